//! WorkloadEntry: one workload outside the registry.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::messages;

messages! {
    /// The spec of a WorkloadEntry, or an endpoint of a ServiceEntry.
    pub struct WorkloadEntry {
        pub address: String,
        /// By the name of the service port.
        pub ports: BTreeMap<String, u32>,
        pub labels: BTreeMap<String, String>,
        pub network: String,
        pub locality: String,
        pub weight: u32,
        pub service_account: String,
    }
}
