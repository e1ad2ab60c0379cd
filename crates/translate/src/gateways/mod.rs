//! Listeners and route configurations of gateways (xds-semantics, gateways 6.5–6.8).

use envoy_api::Resource;
use memo::Shared;

use crate::{listeners, routes};

/// The listeners of a gateway.
pub fn listeners(inputs: &listeners::Inputs, memos: &listeners::Memos) -> Vec<Shared<Resource>> {
    let _ = (inputs, memos);
    Vec::new()
}

/// The route configuration of this name for a gateway; an unknown name gets an empty one.
pub fn route(inputs: &routes::Inputs, name: &str, memos: &routes::Memos) -> Option<Shared<Resource>> {
    let _ = memos;
    let _ = inputs;
    routes::missing(name).map(Shared::new)
}
