//! Clusters that no service stands behind.

use mesh::ClusterProfile;
use model::Text;
use model::networking::OutboundMode;
use model::settings::Settings;

use super::balancer::Balancer;
use super::dynamic::DynamicDns;
use super::http::{HttpOptions, Upstream};
use super::metadata::Metadata;
use super::plan::{Assignment, ClusterPlan, Discovery};
use super::pool::{self, Limits};
use super::{InboundInputs, OutboundInputs};
use crate::cluster_mesh::ClusterMesh;
use crate::names;
use crate::tls::EXTERNAL_SECRETS;

/// Where the socket of a proxy's own secret service is.
const SECRETS_SOCKET: &str = "./var/run/secrets/credential-uds/socket";

/// The plans of what outbound traffic needs beside services, in order.
pub(super) fn outbound(inputs: &OutboundInputs, mesh: &ClusterMesh) -> Vec<ClusterPlan> {
    let (profile, settings) = (&*inputs.profile, &*inputs.settings);
    let mut plans = vec![black_hole(mesh)];
    if profile.kind == model::ProxyKind::Sidecar {
        plans.push(passthrough(profile, mesh, settings));
        if inputs.scope.outbound.mode == OutboundMode::AllowAnyDynamicDns {
            plans.push(any_dynamic_dns(profile, mesh, settings));
        }
    }
    if profile.external_sds {
        plans.push(secrets(mesh));
    }
    plans
}

/// Inbound traffic to ports that no service declares. Its statistics go under the outbound cluster's
/// name, as in istiod.
pub(super) fn inbound_passthrough(inputs: &InboundInputs) -> ClusterPlan {
    let (mesh, settings) = (&ClusterMesh::of(&inputs.mesh), &*inputs.settings);
    let preserve_case = inputs.profile.config.headers.preserve_case.unwrap_or_default();
    ClusterPlan {
        name: names::INBOUND_PASSTHROUGH.into(),
        stat_name: Some(names::PASSTHROUGH.into()),
        bind: Some(super::inbound::bind(inputs.profile.ip_mode, true)),
        ..to_original(mesh, settings, preserve_case)
    }
}

fn passthrough(profile: &ClusterProfile, mesh: &ClusterMesh, settings: &Settings) -> ClusterPlan {
    ClusterPlan {
        peer_exchange: exchanges(profile, settings),
        ..to_original(mesh, settings, profile.preserve_header_case)
    }
}

fn to_original(mesh: &ClusterMesh, settings: &Settings, preserve_case: bool) -> ClusterPlan {
    let pool = mesh.default_pool();
    ClusterPlan {
        discovery: Discovery::OriginalDestination { port: None, kept: false },
        connect_timeout: pool::connect_timeout(pool, mesh),
        limits: Some(Limits::plan(pool, None, mesh, settings)),
        http: HttpOptions::passthrough(preserve_case),
        balancer: Balancer::provided(),
        ..empty(names::PASSTHROUGH, mesh)
    }
}

fn black_hole(mesh: &ClusterMesh) -> ClusterPlan {
    empty(names::BLACK_HOLE, mesh)
}

fn any_dynamic_dns(profile: &ClusterProfile, mesh: &ClusterMesh, settings: &Settings) -> ClusterPlan {
    let cache = super::dynamic_cache_of_any(profile.ip_mode, profile.dns_capture, settings);
    ClusterPlan {
        discovery: Discovery::Dynamic(DynamicDns { cache, insecure: true }),
        limits: Some(Limits::plan(None, None, mesh, settings)),
        http: HttpOptions::passthrough(profile.preserve_header_case),
        balancer: Balancer::provided(),
        peer_exchange: exchanges(profile, settings),
        ..empty(names::ALLOW_ANY_DYNAMIC_DNS, mesh)
    }
}

fn secrets(mesh: &ClusterMesh) -> ClusterPlan {
    let upstream = Upstream::Http2(Default::default());
    ClusterPlan {
        assignment: Assignment::Pipe(SECRETS_SOCKET.into()),
        http: HttpOptions { upstream, ..HttpOptions::default() },
        ..empty(EXTERNAL_SECRETS, mesh)
    }
}

fn exchanges(profile: &ClusterProfile, settings: &Settings) -> bool {
    settings.metadata_exchange && profile.capabilities.metadata_exchange
}

/// A cluster without endpoints.
fn empty(name: &str, mesh: &ClusterMesh) -> ClusterPlan {
    ClusterPlan {
        name: Text::from(name),
        stat_name: None,
        discovery: Discovery::Static,
        dns: None,
        assignment: Assignment::None,
        connect_timeout: mesh.connect_timeout,
        limits: None,
        http: HttpOptions::default(),
        outlier_detection: None,
        balancer: Balancer::default(),
        tls: None,
        metadata: Metadata::default(),
        peer_exchange: false,
        bind: None,
    }
}
