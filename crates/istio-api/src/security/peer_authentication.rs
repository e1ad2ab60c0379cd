//! PeerAuthentication: whether mutual TLS is due on inbound connections.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::{enumerations, messages};
use crate::selector::WorkloadSelector;

messages! {
    /// The spec of a PeerAuthentication.
    pub struct PeerAuthentication {
        pub selector: Option<WorkloadSelector>,
        pub mtls: Option<MutualTls>,
        pub port_level_mtls: BTreeMap<u32, MutualTls>,
    }

    /// A mode of mutual TLS.
    pub struct MutualTls {
        /// `UNSET` inherits from the next wider policy.
        pub mode: MutualTlsMode,
    }
}

enumerations! {
    /// Whether mutual TLS is refused, possible or due.
    pub enum MutualTlsMode {
        Unset "UNSET" = 0,
        Disable "DISABLE" = 1,
        Permissive "PERMISSIVE" = 2,
        Strict "STRICT" = 3,
    }
}
