//! Listeners of sidecars (xds-semantics, LDS); those of gateways stand in [`crate::gateways`].

use envoy_api::Resource;
use memo::Shared;
use mesh::{EndpointFacts, ListenerProfile, Scope, ServiceTarget, WorkloadAuthn};
use model::mesh_config::MeshConfig;
use model::settings::Settings;

/// The memos of listeners.
#[derive(Default)]
pub struct Memos {}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {}
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
    /// For gateways: VirtualServices bound to them, in order, by `<namespace>/<name>` of the Gateway.
    pub routes: Shared<mesh::RouteIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// The listeners of a sidecar.
pub fn sidecar(inputs: &Inputs, memos: &Memos) -> Vec<Shared<Resource>> {
    let _ = (inputs, memos);
    Vec::new()
}
