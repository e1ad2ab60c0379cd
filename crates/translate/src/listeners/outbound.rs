//! Outbound listeners, one for each address and port that the workload may call (xds-semantics, outbound
//! per-port listeners), and the explicit HTTP proxy.
//!
//! ```text
//!   scope ──claims──> who listens where, with which chains (the same for all workloads that see the same)
//!                       └─ per workload: + filters with its tags ──> listener
//! ```

mod chain;
mod claims;
mod conflicts;
mod listener;
mod tcp;

use envoy_api::{Part, Resource};
use memo::{Memo, Shared};
use mesh::Scope;

use super::{Base, Class, Inputs};
use claims::ClaimInputs;
use conflicts::Claimed;
use listener::{ChainInputs, ListenerInputs};
use tcp::Asked;
pub(crate) use tcp::options as tcp_options;

/// The memos of outbound listeners.
#[derive(Default)]
pub(super) struct Memos {
    asked: Memo<Shared<Scope>, Asked>,
    claims: Memo<ClaimInputs, Vec<Shared<Claimed>>>,
    claimed: Memo<Claimed, Claimed>,
    listeners: Memo<ListenerInputs, Resource>,
    chains: Memo<ChainInputs, Part>,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub(super) fn sweep(&self) {
        self.asked.sweep();
        self.claims.sweep();
        self.claimed.sweep();
        self.listeners.sweep();
        self.chains.sweep();
    }

    /// See [`crate::Memos::counts`].
    pub(super) fn counts(&self) -> [crate::Count; 3] {
        [
            crate::Count::planned("listeners", "outbound-claims", self.claims.counts()),
            crate::Count::encoded("listeners", "outbound-chain", self.chains.counts()),
            crate::Count::encoded("listeners", "outbound-listener", self.listeners.counts()),
        ]
    }
}

/// The listeners. What is for the workload itself alone is left out: it does not call itself through its proxy.
pub(super) fn listeners(inputs: &Inputs, memos: &super::Memos) -> Vec<Shared<Resource>> {
    let base = Base::of(inputs, Class::SidecarOutbound, memos);
    let claims = memos.outbound.claims.get(&ClaimInputs::of(inputs, &memos.outbound.asked), |inputs| {
        let claimed = claims::decide(inputs).into_iter();
        claimed.map(|one| memos.outbound.claimed.get(&one, Claimed::clone)).collect()
    });
    let all = ListenerInputs::of_all(&claims, &base, inputs);
    all.map(|key| memos.outbound.listeners.get(&key, |key| key.build(memos))).collect()
}
