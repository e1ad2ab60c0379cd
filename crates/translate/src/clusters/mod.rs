//! Clusters: where traffic goes, and how (xds-semantics, CDS).

use envoy_api::Resource;
use memo::Shared;
use mesh::{AuthnIndex, ClusterProfile, EndpointFacts, ListenerProfile, Scope, ServiceTarget};
use model::mesh_config::MeshConfig;
use model::settings::Settings;

/// The memos of clusters.
#[derive(Default)]
pub struct Memos {}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {}
}

/// Everything that the clusters shared by all proxies of a scope and profile may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct OutboundInputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<ClusterProfile>,
    pub facts: Shared<EndpointFacts>,
    pub authn: Shared<AuthnIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// Everything that the clusters of one workload (inbound) may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct InboundInputs {
    pub targets: Vec<ServiceTarget>,
    pub scope: Shared<Scope>,
    pub profile: Shared<ListenerProfile>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// Clusters of services and subsets, and the special ones (passthrough, black hole).
pub fn outbound(inputs: &OutboundInputs, memos: &Memos) -> Vec<Shared<Resource>> {
    let _ = (inputs, memos);
    Vec::new()
}

/// Clusters of the workload's own ports, and for unknown ones.
pub fn inbound(inputs: &InboundInputs, memos: &Memos) -> Vec<Shared<Resource>> {
    let _ = (inputs, memos);
    Vec::new()
}
