//! Listeners of sidecars (xds-semantics, LDS); those of gateways stand in [`crate::gateways`].
//!
//! ```text
//!   Inputs ── Base::of(class) ──> what the filters of all chains of a class share (http, tcp, logs)
//!     │                             │
//!     └── outbound, inbound, … ── Hcm | TcpProxy (plans) ──> filters ──> chains (parts) ──> listener
//! ```

pub(crate) mod access_log;
mod base;
pub(crate) mod connections;
pub(crate) mod hcm;
pub(crate) mod http_filters;
mod inbound;
pub(crate) mod listener_filters;
pub(crate) mod network_filters;
mod outbound;
mod stats;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tracing;
mod virtual_outbound;

use envoy_api::Resource;
use memo::{Memo, Shared};
use mesh::{Collectors, EndpointFacts, ListenerProfile, Scope, ServiceTarget, WorkloadAuthn};
use model::mesh_config::MeshConfig;
use model::settings::Settings;

pub(crate) use base::{Base, Class};
pub(crate) use hcm::{Hcm, HcmOptions, Routes};
pub(crate) use network_filters::{TcpOptions, TcpProxy, TcpTarget};
pub(crate) use outbound::tcp_options;

/// The memos of listeners.
#[derive(Default)]
pub struct Memos {
    bases: Memo<base::BaseInputs, Base>,
    logs: Memo<access_log::Inputs, access_log::AccessLogs>,
    http: Memo<hcm::HttpInputs, hcm::HttpBase>,
    tcp: Memo<network_filters::TcpBase, network_filters::TcpBase>,
    inbound: inbound::Memos,
    outbound: outbound::Memos,
    virtual_outbound: Memo<virtual_outbound::VirtualInputs, Resource>,
    pub(crate) gateways: crate::gateways::Memos,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {
        self.bases.sweep();
        self.logs.sweep();
        self.http.sweep();
        self.tcp.sweep();
        self.inbound.sweep();
        self.outbound.sweep();
        self.virtual_outbound.sweep();
        self.gateways.sweep();
    }

    /// See [`crate::Memos::counts`].
    pub(crate) fn counts(&self) -> Vec<crate::Count> {
        let inbound = self.inbound.counts().into_iter();
        inbound.chain(self.outbound.counts()).chain(self.gateways.counts()).collect()
    }
}

/// Everything that the listeners of a proxy may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct Inputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<ListenerProfile>,
    pub targets: Vec<ServiceTarget>,
    pub workload_authn: Shared<WorkloadAuthn>,
    pub gateway: Option<Shared<mesh::MergedGateway>>,
    pub facts: Shared<EndpointFacts>,
    pub collectors: Shared<Collectors>,
    /// For gateways: VirtualServices bound to them, in order, by `<namespace>/<name>` of the Gateway.
    pub routes: Shared<mesh::RouteIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// The listeners of a sidecar: sorted by name, then `virtualOutbound`, then `virtualInbound`; none at all
/// if the mesh's `proxyListenPort` is 0.
pub fn sidecar(inputs: &Inputs, memos: &Memos) -> Vec<Shared<Resource>> {
    if inputs.mesh.proxy_listen_port == 0 {
        return Vec::new();
    }
    let mut all = outbound::listeners(inputs, memos);
    all.extend(virtual_outbound::listener(inputs, memos));
    all.extend(inbound::listeners(inputs, memos));
    all.sort_by(|one, two| (rank(&one.name), &one.name).cmp(&(rank(&two.name), &two.name)));
    all
}

fn rank(name: &str) -> u8 {
    match name {
        virtual_outbound::NAME => 1,
        inbound::NAME => 2,
        _ => 0,
    }
}
