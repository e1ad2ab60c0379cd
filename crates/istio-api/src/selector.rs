//! What the kinds share: selection of workloads.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::messages;

messages! {
    /// Selects workloads of one namespace by `matchLabels`.
    pub struct WorkloadSelector {
        pub match_labels: BTreeMap<String, String>,
    }

    /// A port, by number.
    pub struct PortSelector {
        pub number: u32,
    }
}
