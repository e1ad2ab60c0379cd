//! Inbound listeners: `virtualInbound`, where captured traffic arrives, and those bound to ports of their own
//! (xds-semantics, inbound chains and Sidecar ingress listeners).

use envoy_api::Resource;
use memo::Shared;

use super::Inputs;

/// The name of the listener for captured traffic.
pub(super) const NAME: &str = "virtualInbound";

/// The memos of inbound listeners.
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
