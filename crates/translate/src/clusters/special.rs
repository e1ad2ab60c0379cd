//! Clusters that no service stands behind.

use mesh::ClusterProfile;
use model::Text;
use model::networking::OutboundMode;
use model::settings::Settings;

use super::balancer::Balancer;
use super::dynamic::DynamicDns;
use super::http::{HttpOptions, Upstream};
use super::metadata::Metadata;
use super::plan::{Assignment, ClusterPlan, Discovery, PeerExchange};
use super::pool::{self, Limits};
use super::{InboundInputs, OutboundInputs, tls};
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
        peer_exchange: PeerExchange::of(profile, settings),
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
    let plaintext = || tls::Outcome { insecure: true, ..tls::Outcome::default() };
    let secured = |rule| tls::plan_any(rule, profile, mesh, settings);
    let secured = mesh.outbound_tls.as_ref().map_or_else(plaintext, secured);
    let mut http = HttpOptions::passthrough(profile.preserve_header_case);
    if secured.auto_sni || secured.auto_san_validation {
        // What TLS has to say of the request takes the place of everything else, as in istiod.
        let (auto_sni, auto_san_validation) = (secured.auto_sni, secured.auto_san_validation);
        http = HttpOptions { auto_sni, auto_san_validation, ..HttpOptions::default() };
    }
    ClusterPlan {
        discovery: Discovery::Dynamic(DynamicDns { cache, insecure: secured.insecure }),
        limits: Some(Limits::plan(None, None, mesh, settings)),
        http,
        balancer: Balancer::provided(),
        tls: secured.tls,
        peer_exchange: PeerExchange::of(profile, settings),
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
        peer_exchange: None,
        bind: None,
    }
}
