//! Clusters: where traffic goes, and how (xds-semantics, CDS).
//!
//! A cluster is known twice: by what it may depend on ([`ClusterInputs`]), so that nothing is planned where
//! nothing has changed, and by what was decided ([`ClusterPlan`]), so that equal plans are one resource.

mod accounts;
mod balancer;
mod dns;
mod dynamic;
mod http;
mod inbound;
mod metadata;
mod outbound;
mod outlier;
mod plan;
mod pool;
mod special;
mod stat_name;
mod tls;

use envoy_api::Resource;
use memo::{Counts, Memo, Shared};
use mesh::{AuthnIndex, ClusterProfile, EndpointFacts, ListenerProfile, Scope, ScopedService, ServiceTarget};
use model::mesh_config::MeshConfig;
use model::networking::MutualTlsMode;
use model::proxy::IpMode;
use model::settings::Settings;
use model::{Protocol, ProxyKind, Resolution, Service};

use crate::cluster_mesh::{ClusterMesh, ClusterMeshes};
use crate::wire::DnsCache;

pub(crate) use stat_name::expand_outbound as stat_name;

pub use outbound::ClusterInputs;
pub use plan::ClusterPlan;

/// The cache by which names are resolved as they are called on this port; `None` if they are not.
pub(crate) fn dynamic_cache(
    service: &Service,
    protocol: Protocol,
    mode: IpMode,
    settings: &Settings,
) -> Option<DnsCache> {
    let resolves = service.resolution == Resolution::DynamicDns && service.host.is_wildcard();
    (resolves && dynamic::supports(protocol))
        .then(|| dynamic::cache_of(&service.host, dns::family(mode, settings)))
}

/// The cache of names that no service has, in filters and in their cluster; `by_agent` where the agent
/// resolves for the proxy.
pub(crate) fn dynamic_cache_of_any(mode: IpMode, by_agent: bool, settings: &Settings) -> DnsCache {
    dynamic::cache_of_any(dns::family(mode, settings), by_agent)
}

/// The memos of clusters.
#[derive(Default)]
pub struct Memos {
    known: Memo<ClusterInputs, Resource>,
    built: Memo<ClusterPlan, Resource>,
    meshes: ClusterMeshes,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {
        self.known.sweep();
        self.built.sweep();
        self.meshes.sweep();
    }

    /// The cluster of these inputs: known, or planned and built; `None` if there is no such cluster.
    pub fn cluster(&self, inputs: &ClusterInputs) -> Option<Shared<Resource>> {
        self.known.share(inputs, |inputs| Some(self.build(&ClusterPlan::outbound(inputs)?)))
    }

    /// Outbound clusters planned and found.
    pub fn planned(&self) -> Counts {
        self.known.counts()
    }

    /// Clusters built and found.
    pub fn built(&self) -> Counts {
        self.built.counts()
    }

    fn build(&self, plan: &ClusterPlan) -> Shared<Resource> {
        self.built.get(plan, ClusterPlan::build)
    }
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
    let mut clusters = Vec::with_capacity(inputs.scope.services.len() * 2);
    let mesh = memos.meshes.get(&inputs.mesh);
    for service in &inputs.scope.services {
        let Some(first) = first(inputs, service, &mesh) else { continue };
        of_service(inputs, service, first, memos, &mut clusters);
    }
    clusters.extend(special::outbound(inputs, &mesh).iter().map(|plan| memos.build(plan)));
    clusters
}

/// Clusters of the workload's own ports, and for unknown ones; none for gateways.
pub fn inbound(inputs: &InboundInputs, memos: &Memos) -> Vec<Shared<Resource>> {
    if inputs.profile.kind != ProxyKind::Sidecar {
        return Vec::new();
    }
    let mut plans = inbound::plan_all(inputs);
    plans.push(special::inbound_passthrough(inputs));
    plans.iter().map(|plan| memos.build(plan)).collect()
}

/// For every port the default cluster, then the subsets; the same once more by server name where a gateway
/// passes mutual TLS through.
fn of_service(
    inputs: &OutboundInputs,
    scoped: &ScopedService,
    mut cluster: ClusterInputs,
    memos: &Memos,
    clusters: &mut Vec<Shared<Resource>>,
) {
    let service = &scoped.service;
    let dynamic = outbound::is_dynamic(service);
    let by_server_name = inputs.profile.passes_server_names && !service.external;
    let wanted = inputs.profile.hosts.as_ref().is_none_or(|hosts| hosts.contains(&service.host));
    if !wanted && !by_server_name {
        return;
    }
    let to_original = service.resolution == Resolution::Passthrough
        || cluster.rule.as_ref().is_some_and(|rule| outbound::may_release(&rule.rule));
    for port in scoped.ports().filter(|port| port.protocol != Protocol::Udp) {
        cluster.port = port.clone();
        cluster.takes_mutual_tls =
            !to_original || inputs.facts.takes_mutual_tls(&service.host, &service.namespace, port.number);
        if wanted && (!dynamic || dynamic::supports(port.protocol)) {
            cluster.server_name = false;
            of_port(&mut cluster, dynamic, memos, clusters);
        }
        if by_server_name {
            cluster.server_name = true;
            of_port(&mut cluster, false, memos, clusters);
        }
    }
}

fn of_port(cluster: &mut ClusterInputs, dynamic: bool, memos: &Memos, clusters: &mut Vec<Shared<Resource>>) {
    cluster.subset = None;
    let Some(default) = memos.cluster(cluster) else { return };
    clusters.push(default);
    let subsets = cluster.rule.as_ref().filter(|_| !dynamic).map_or(0, |rule| rule.rule.subsets.len());
    for place in 0..subsets {
        cluster.subset = Some(place);
        clusters.extend(memos.cluster(cluster));
    }
}

/// The inputs of a service's first cluster; those of the others differ in port, subset and kind. `None` for
/// another service's name.
fn first(
    inputs: &OutboundInputs,
    scoped: &ScopedService,
    mesh: &Shared<ClusterMesh>,
) -> Option<ClusterInputs> {
    let (service, facts) = (&scoped.service, &inputs.facts);
    if service.resolution == Resolution::Alias {
        return None;
    }
    let (host, namespace) = (&service.host, &service.namespace);
    let resolves = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let embedded = facts.embedded(host, namespace).filter(|_| resolves);
    Some(ClusterInputs {
        port: scoped.ports().next()?.clone(),
        subset: None,
        rule: inputs.scope.rule(host).cloned(),
        accounts: facts.accounts(host, namespace).cloned(),
        takes_mutual_tls: true,
        embedded: embedded.cloned(),
        refusals: embedded.and_then(|endpoints| inputs.authn.refusals_of(namespace, endpoints)),
        refuses: inputs.authn.client_mode(namespace) == Some(MutualTlsMode::Disable),
        server_name: false,
        service: service.clone(),
        profile: inputs.profile.clone(),
        mesh: mesh.clone(),
        settings: inputs.settings.clone(),
    })
}

#[cfg(test)]
mod tests;
