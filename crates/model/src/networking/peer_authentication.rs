//! Mutual TLS on the server's side: PeerAuthentication.

use super::Selector;
use crate::key::Meta;

/// Mode of mutual TLS of a mesh, namespace or workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// Identity and age.
    pub meta: Meta,
    /// The workloads; `None` for the namespace (or the mesh, in the root namespace).
    pub selector: Selector,
    /// The mode; `Unset` inherits.
    pub mode: MutualTlsMode,
    /// Modes by the workload's port, sorted.
    pub port_modes: Vec<(u16, MutualTlsMode)>,
}

/// Mode of mutual TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum MutualTlsMode {
    #[default]
    Unset,
    Disable,
    Permissive,
    Strict,
}
