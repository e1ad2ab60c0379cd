//! Outbound listeners, one for each address and port that the workload may call (xds-semantics, outbound
//! per-port listeners), and the explicit HTTP proxy.

use envoy_api::Resource;
use memo::Shared;

use super::Inputs;

/// The memos of outbound listeners.
#[derive(Default)]
pub(super) struct Memos {}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub(super) fn sweep(&self) {}
}

/// The listeners.
pub(super) fn listeners(inputs: &Inputs, memos: &super::Memos) -> Vec<Shared<Resource>> {
    let _ = (inputs, memos);
    Vec::new()
}
