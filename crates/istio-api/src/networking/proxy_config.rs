//! ProxyConfig, the object: settings of the proxies it selects.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::messages;
use crate::selector::WorkloadSelector;

messages! {
    /// The spec of a ProxyConfig.
    pub struct ProxyConfig {
        pub selector: Option<WorkloadSelector>,
        pub concurrency: Option<i32>,
        pub environment_variables: BTreeMap<String, String>,
        pub image: Option<ProxyImage>,
    }

    /// The image of a proxy.
    pub struct ProxyImage {
        pub image_type: String,
    }
}
