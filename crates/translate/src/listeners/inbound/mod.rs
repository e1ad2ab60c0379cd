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
use mesh::{ListenerProfile, ServiceTarget, WorkloadAuthn};
use model::mesh_config::MeshConfig;
use model::networking::Sidecar;
use model::proxy::Interception;
use model::settings::Settings;

use super::{Base, Class, Hcm};
use chains::{Chain, PortChains, PortInputs};
use listener::{Head, ListenerInputs};
use ports::Port;
use sockets::{SocketInputs, Sockets};

/// The name of the listener for captured traffic.
pub(super) const NAME: &str = "virtualInbound";

/// The memos of inbound listeners.
#[derive(Default)]
pub(super) struct Memos {
    sets: Memo<Inputs, Vec<Shared<Resource>>>,
    ports: Memo<PortInputs, PortChains>,
    chains: Memo<Chain, Part>,
    hcms: Memo<Hcm, Filter>,
    sockets: Memo<SocketInputs, Sockets>,
    configs: Memo<Any, Any>,
    listeners: Memo<ListenerInputs, Resource>,
}

impl Memos {
    /// See [`crate::Memos::counts`].
    pub(super) fn counts(&self) -> [crate::Count; 3] {
        [
            crate::Count::planned("listeners", "inbound-port", self.ports.counts()),
            crate::Count::encoded("listeners", "inbound-chain", self.chains.counts()),
            crate::Count::encoded("listeners", "inbound-listener", self.listeners.counts()),
        ]
    }

    /// See [`crate::Memos::sweep`].
    pub(super) fn sweep(&self) {
        self.sets.sweep();
        self.ports.sweep();
        self.chains.sweep();
        self.hcms.sweep();
        self.sockets.sweep();
        self.configs.sweep();
        self.listeners.sweep();
    }
}

/// Everything that inbound listeners may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Inputs {
    base: Base,
    targets: Vec<ServiceTarget>,
    sidecar: Option<Shared<Sidecar>>,
    workload_authn: Shared<WorkloadAuthn>,
    profile: Shared<ListenerProfile>,
    mesh: Shared<MeshConfig>,
    settings: Shared<Settings>,
}

impl Inputs {
    fn of(inputs: &super::Inputs, memos: &super::Memos) -> Self {
        Self {
            base: Base::of(inputs, Class::SidecarInbound, memos),
            targets: inputs.targets.clone(),
            sidecar: inputs.scope.sidecar.clone(),
            workload_authn: inputs.workload_authn.clone(),
            profile: inputs.profile.clone(),
            mesh: inputs.mesh.clone(),
            settings: inputs.settings.clone(),
        }
    }
}

/// The listeners: one for everything that is captured (unless nothing is), and one for each port that is
/// bound for itself.
pub(super) fn listeners(inputs: &super::Inputs, memos: &super::Memos) -> Vec<Shared<Resource>> {
    let inputs = Inputs::of(inputs, memos);
    (*memos.inbound.sets.get(&inputs, |inputs| set(inputs, memos))).clone()
}

fn set(inputs: &Inputs, memos: &super::Memos) -> Vec<Shared<Resource>> {
    let sockets = memos.inbound.sockets.get(&SocketInputs::of(inputs), |key| Sockets::new(key, memos));
    let chains = |port: Port| {
        let key = PortInputs::of(port, inputs, &sockets);
        memos.inbound.ports.get(&key, |key| PortChains::new(key, memos))
    };
    let built = |key: ListenerInputs| memos.inbound.listeners.get(&key, ListenerInputs::build);
    let (mut captured, mut all) = (Vec::new(), Vec::new());
    for port in ports::declared(inputs) {
        if port.bound {
            let head = Head::of_port(&port, inputs);
            all.push(built(ListenerInputs { head, chains: vec![chains(port)] }));
        } else {
            captured.push(chains(port));
        }
    }
    if inputs.profile.interception != Interception::None {
        let mut whole: Vec<_> = std::iter::once(ports::loops(inputs)).map(chains).collect();
        whole.extend(ports::undeclared(inputs).into_iter().map(chains));
        whole.extend(captured);
        all.push(built(ListenerInputs { head: Head::captured(inputs), chains: whole }));
    }
    all
}
