//! `virtualOutbound`: where all captured outbound traffic arrives (xds-semantics, virtualOutbound).

use envoy_api::Resource;
use memo::Shared;

use super::Inputs;

/// The listener's name.
pub(super) const NAME: &str = "virtualOutbound";

/// The listener; `None` where nothing is captured.
pub(super) fn listener(inputs: &Inputs, memos: &super::Memos) -> Option<Shared<Resource>> {
    let _ = (inputs, memos);
    None
}
