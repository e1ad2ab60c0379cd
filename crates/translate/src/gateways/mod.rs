//! Listeners and route configurations of gateways (xds-semantics, gateways 6.5–6.8).

mod hosts;
mod l4;
mod listener;
mod table;

use std::collections::BTreeMap;

use envoy_api::{Part, Resource};
use memo::{Memo, Shared};
use model::Text;

use crate::listeners::{self, Base, Class};
use crate::routes;
use listener::{Chain, ListenerPlan};

/// The memos of gateways' listeners.
#[derive(Default)]
pub(crate) struct Memos {
    chains: Memo<Chain, Part>,
    listeners: Memo<ListenerPlan, Resource>,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub(crate) fn sweep(&self) {
        self.chains.sweep();
        self.listeners.sweep();
    }

    /// See [`crate::Memos::counts`].
    pub(crate) fn counts(&self) -> [crate::Count; 2] {
        [
            crate::Count::encoded("listeners", "gateway-chain", self.chains.counts()),
            crate::Count::encoded("listeners", "gateway-listener", self.listeners.counts()),
        ]
    }
}

/// The listeners of a gateway, sorted by name: one for each address and port of its servers.
pub fn listeners(inputs: &listeners::Inputs, memos: &listeners::Memos) -> Vec<Shared<Resource>> {
    let Some(gateway) = &inputs.gateway else { return Vec::new() };
    let base = Base::of(inputs, Class::Gateway, memos);
    let mut plans: BTreeMap<Text, ListenerPlan> = BTreeMap::new();
    let mut taken = l4::Taken::new();
    for entry in &gateway.servers {
        if inputs.profile.unprivileged && entry.listener_port < 1024 {
            continue;
        }
        let context = listener::Context { inputs, base: &base, entry };
        for (quic, chains) in [(false, context.chains(&mut taken)), (true, context.quic_chains())] {
            if !chains.is_empty() {
                let plan = context.plan(quic);
                plans.entry(plan.name.clone()).or_insert(plan).chains.extend(chains);
            }
        }
    }
    plans.values().map(|plan| memos.gateways.listeners.get(plan, |plan| plan.build(memos))).collect()
}

/// The route configuration of this name for a gateway; an unknown name gets an empty one.
pub fn route(inputs: &routes::Inputs, name: &str, memos: &routes::Memos) -> Option<Shared<Resource>> {
    match inputs.gateway.as_ref().and_then(|gateway| Some((gateway, gateway.routes.get(name)?))) {
        Some((gateway, places)) => Some(table::resource(inputs, gateway, (name, places), memos)),
        None => routes::missing(name).map(Shared::new),
    }
}
