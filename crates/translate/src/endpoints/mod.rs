//! Endpoints of clusters (xds-semantics, EDS).

pub(crate) mod lb;
pub(crate) mod locality;
pub(crate) mod select;

use envoy_api::Resource;
use memo::Shared;
use mesh::{AuthnIndex, EndpointProfile, Scope, ServiceEndpoints};
use model::mesh_config::MeshConfig;
use model::settings::Settings;

/// The memos of endpoints.
#[derive(Default)]
pub struct Memos {}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {}
}

/// Everything that the endpoint resources of a scope and profile may depend on, beside the endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct Inputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<EndpointProfile>,
    pub authn: Shared<AuthnIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// The resources of one service's clusters (all visible ports, default and subsets) that proxies ask
/// endpoints for. `endpoints` is `None` for a service that has none.
pub fn of_service(
    inputs: &Inputs,
    service: usize,
    endpoints: Option<&Shared<ServiceEndpoints>>,
    memos: &Memos,
) -> Vec<Shared<Resource>> {
    let _ = (inputs, service, endpoints, memos);
    Vec::new()
}

/// What a proxy gets that asks for a cluster without endpoints or one that is not known.
pub fn missing(name: &str) -> Option<Resource> {
    let message = envoy_api::envoy::config::endpoint::v3::ClusterLoadAssignment {
        cluster_name: name.into(),
        ..Default::default()
    };
    Some(Resource::of(name.into(), &message, envoy_api::Needs::default()))
}
