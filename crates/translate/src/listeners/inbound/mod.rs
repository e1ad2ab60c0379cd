//! Inbound listeners: `virtualInbound`, where captured traffic arrives, and those bound to ports of their own
//! (xds-semantics, inbound chains and Sidecar ingress listeners).
//!
//! ```text
//!   targets | Sidecar ingress ──> Port ──> chains (by mode and protocol) ──> Part ──> listener
//! ```

mod chains;
mod listener;
mod matches;
mod ports;
mod sockets;
#[cfg(test)]
mod tests;

use envoy_api::envoy::config::listener::v3::Filter;
use envoy_api::{Any, Part, Resource};
use memo::{Memo, Shared};
use model::proxy::Interception;

use super::{Base, Class, Hcm, Inputs};
use chains::{Chain, PortChains, PortInputs};
use listener::{Head, ListenerInputs};
use ports::Port;
use sockets::{SocketInputs, Sockets};

/// The name of the listener for captured traffic.
pub(super) const NAME: &str = "virtualInbound";

/// The memos of inbound listeners.
#[derive(Default)]
pub(super) struct Memos {
    ports: Memo<PortInputs, PortChains>,
    chains: Memo<Chain, Part>,
    hcms: Memo<Hcm, Filter>,
    sockets: Memo<SocketInputs, Sockets>,
    configs: Memo<Any, Any>,
    listeners: Memo<ListenerInputs, Resource>,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub(super) fn sweep(&self) {
        self.ports.sweep();
        self.chains.sweep();
        self.hcms.sweep();
        self.sockets.sweep();
        self.configs.sweep();
        self.listeners.sweep();
    }
}

/// The listeners: one for everything that is captured (unless nothing is), and one for each port that is
/// bound for itself.
pub(super) fn listeners(inputs: &Inputs, memos: &super::Memos) -> Vec<Shared<Resource>> {
    let base = Base::of(inputs, Class::SidecarInbound, memos);
    let sockets = memos.inbound.sockets.get(&SocketInputs::of(inputs), |key| Sockets::new(key, memos));
    let chains = |port: Port| {
        let key = PortInputs::of(port, inputs, &base, &sockets);
        memos.inbound.ports.get(&key, |key| PortChains::new(key, memos))
    };
    let built = |key: ListenerInputs| memos.inbound.listeners.get(&key, ListenerInputs::build);
    let (mut captured, mut all) = (Vec::new(), Vec::new());
    for port in ports::declared(inputs) {
        if port.bound {
            let head = Head::of_port(&port, inputs, &base);
            all.push(built(ListenerInputs { head, chains: vec![chains(port)] }));
        } else {
            captured.push(chains(port));
        }
    }
    if inputs.profile.interception != Interception::None {
        let mut whole: Vec<_> = std::iter::once(ports::loops(inputs)).map(chains).collect();
        whole.extend(ports::undeclared(inputs).into_iter().map(chains));
        whole.extend(captured);
        all.push(built(ListenerInputs { head: Head::captured(inputs, &base), chains: whole }));
    }
    all
}
