//! Endpoints of clusters (xds-semantics, EDS).

mod assignment;
pub(crate) mod lb;
pub(crate) mod locality;
pub(crate) mod select;

use envoy_api::{Needs, Part, Resource};
use memo::{Counts, Memo, Shared};
use mesh::{AuthnIndex, EndpointProfile, MergedRule, Refusals, Scope, ScopedService, ServiceEndpoints};
use model::mesh_config::MeshConfig;
use model::networking::Subset;
use model::settings::Settings;
use model::{ProxyKind, Registry, Resolution, Service, ServicePort, Text};

use crate::cluster_mesh::{ClusterMesh, ClusterMeshes};
use crate::names;
use assignment::Assignment;
use lb::{Locality, Placed};

/// The memos of endpoints: assignments by their inputs, and their parts by plan.
#[derive(Default)]
pub struct Memos {
    assignments: Memo<AssignmentInputs, Shared<Resource>>,
    localities: Memo<Locality, Part>,
    endpoints: Memo<Placed, Part>,
    meshes: ClusterMeshes,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {
        self.assignments.sweep();
        self.localities.sweep();
        self.endpoints.sweep();
        self.meshes.sweep();
    }

    /// Assignments planned, localities encoded, endpoints encoded.
    pub fn counts(&self) -> [(&'static str, Counts); 3] {
        [
            ("assignment", self.assignments.counts()),
            ("locality", self.localities.counts()),
            ("endpoint", self.endpoints.counts()),
        ]
    }
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

/// Everything that one assignment may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AssignmentInputs {
    pub(crate) service: Shared<Service>,
    pub(crate) port: u16,
    /// The port's name, by which its endpoints are told; the port may be another service's of the same host.
    pub(crate) port_name: Text,
    /// Index into the rule's subsets.
    pub(crate) subset: Option<usize>,
    pub(crate) rule: Option<Shared<MergedRule>>,
    /// Whether it is for connections forwarded by server name, to endpoints with mutual TLS only.
    pub(crate) by_server_name: bool,
    pub(crate) endpoints: Option<Shared<ServiceEndpoints>>,
    pub(crate) profile: Shared<EndpointProfile>,
    /// Which endpoints refuse mutual TLS; `None` if none does.
    pub(crate) refusals: Option<Shared<Refusals>>,
    pub(crate) mesh: Shared<ClusterMesh>,
    pub(crate) settings: Shared<Settings>,
}

/// The resources of one service's clusters (all visible ports, default and subsets) that proxies ask
/// endpoints for. `endpoints` is `None` for a service that has none.
pub fn of_service(
    inputs: &Inputs,
    service: usize,
    endpoints: Option<&Shared<ServiceEndpoints>>,
    memos: &Memos,
) -> Vec<Shared<Resource>> {
    let Some(scoped) = inputs.scope.services.get(service) else { return Vec::new() };
    if !asks_for_endpoints(&scoped.service, inputs) {
        return Vec::new();
    }
    let mesh = memos.meshes.get(&inputs.mesh);
    let mut resources = Vec::new();
    for key in keys(inputs, scoped, endpoints, &mesh) {
        let resource = memos.assignments.get(&key, |key| build(key, memos));
        resources.push((*resource).clone());
    }
    resources
}

/// Whether the clusters of a service get their endpoints by EDS.
fn asks_for_endpoints(service: &Service, inputs: &Inputs) -> bool {
    match service.resolution {
        Resolution::Dns | Resolution::DnsRoundRobin | Resolution::Alias => false,
        Resolution::Passthrough => {
            let headless = service.registry == Registry::Kubernetes && inputs.settings.eds_for_headless;
            inputs.profile.kind == ProxyKind::Router || headless
        }
        Resolution::DynamicDns => !service.host.is_wildcard(),
        Resolution::Static => true,
    }
}

/// The keys of all clusters of a service: ports, then subsets, then those by server name.
fn keys<'a>(
    inputs: &'a Inputs,
    scoped: &'a ScopedService,
    endpoints: Option<&'a Shared<ServiceEndpoints>>,
    mesh: &'a Shared<ClusterMesh>,
) -> impl Iterator<Item = AssignmentInputs> + 'a {
    let rule = inputs.scope.rule(&scoped.service.host);
    let namespace = &scoped.service.namespace;
    let refusals = endpoints.and_then(|endpoints| inputs.authn.refusals_of(namespace, endpoints));
    let subsets = rule.map_or(0, |rule| rule.rule.subsets.len());
    let forms = if inputs.profile.server_name_clusters { &[false, true][..] } else { &[false] };
    let ports = scoped.ports().filter(|port| port.protocol != model::Protocol::Udp);
    ports.flat_map(move |port: &ServicePort| {
        let subsets = std::iter::once(None).chain((0..subsets).map(Some));
        let refusals = refusals.clone();
        subsets.flat_map(move |subset| {
            let refusals = refusals.clone();
            forms.iter().map(move |by_server_name| AssignmentInputs {
                service: scoped.service.clone(),
                port: port.number,
                port_name: port.name.clone(),
                subset,
                rule: rule.cloned(),
                by_server_name: *by_server_name,
                endpoints: endpoints.cloned(),
                profile: inputs.profile.clone(),
                refusals: refusals.clone(),
                mesh: mesh.clone(),
                settings: inputs.settings.clone(),
            })
        })
    })
}

impl AssignmentInputs {
    pub(crate) fn subset(&self) -> Option<&Subset> {
        self.rule.as_ref()?.rule.subsets.get(self.subset?)
    }

    fn name(&self) -> String {
        let subset = self.subset().map_or("", |subset| &subset.name);
        let form = if self.by_server_name { names::server_name } else { names::outbound };
        form(self.port, subset, &self.service.host)
    }
}

fn build(inputs: &AssignmentInputs, memos: &Memos) -> Shared<Resource> {
    let assignment = Assignment::plan(inputs);
    let parts: Vec<Part> =
        assignment.localities.iter().map(|locality| (*locality.part(memos)).clone()).collect();
    let name = inputs.name();
    let head = envoy_api::envoy::config::endpoint::v3::ClusterLoadAssignment {
        cluster_name: name.clone(),
        ..Default::default()
    };
    let field = envoy_api::field::LOCALITIES;
    Shared::new(Resource::with_parts(name.into(), &head, field, &parts, Needs::default()))
}

impl Locality {
    fn part(&self, memos: &Memos) -> Shared<Part> {
        memos.localities.get(self, |locality| {
            let endpoints = locality.placed().map(|placed| {
                memos.endpoints.get(&placed, |placed| Part::field(lb::LB_ENDPOINTS, &placed.build()))
            });
            let endpoints: Vec<Shared<Part>> = endpoints.collect();
            let endpoints = endpoints.iter().map(|part| &**part);
            Part::field_with(envoy_api::field::LOCALITIES, &locality.head(), lb::LB_ENDPOINTS, endpoints)
        })
    }
}

/// What a proxy gets that asks for a cluster without endpoints or one that is not known.
pub fn missing(name: &str) -> Option<Resource> {
    let message = envoy_api::envoy::config::endpoint::v3::ClusterLoadAssignment {
        cluster_name: name.into(),
        ..Default::default()
    };
    Some(Resource::of(name.into(), &message, Needs::default()))
}
