//! Endpoints as Envoy's messages, grouped by locality; for endpoint resources and for the assignments
//! inside clusters that resolve names.

use std::collections::BTreeMap;

use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::config::endpoint::v3 as api;
use memo::Shared;
use model::endpoint::{EndpointWorkload, TlsMode};
use model::settings::Settings;
use model::{Endpoint, Health, Text};

use crate::wire;

/// An endpoint as one cluster uses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LbEndpoint {
    /// The endpoint.
    pub(crate) endpoint: Shared<Endpoint>,
    /// Whether the proxy may speak mutual TLS with it.
    pub(crate) mutual_tls: bool,
    /// Its share, at least 1.
    pub(crate) weight: u32,
}

/// The label of workloads that end (`PILOT_DRAINING_LABEL` of istiod by its default).
pub(super) const DRAINING: &str = "istio.io/draining";

/// `LocalityLbEndpoints.lb_endpoints`.
pub(super) const LB_ENDPOINTS: u32 = 2;

/// The plan of one endpoint in a locality, which is a part of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Placed {
    endpoint: LbEndpoint,
    style: Style,
}

impl Placed {
    /// Renders the endpoint.
    pub(super) fn build(&self) -> api::LbEndpoint {
        self.endpoint.build(self.style)
    }
}

/// What all endpoints are rendered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Style {
    /// Whether endpoints say which workload they are, for telemetry.
    workload: bool,
    /// Whether further addresses are sent.
    dual_stack: bool,
}

impl Style {
    /// The style that the mesh's switches ask for.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            workload: settings.telemetry_label && settings.endpoint_telemetry_label,
            dual_stack: settings.dual_stack,
        }
    }
}

/// The plan of one locality of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Locality {
    /// `region/zone/subzone`, may be empty.
    pub(crate) name: Text,
    /// Its share; `None` sends none.
    pub(crate) weight: Option<u32>,
    /// 0 is used first.
    pub(crate) priority: u32,
    /// Its endpoints; a locality without any is sent too where it has lost them to a distribution.
    pub(crate) endpoints: Vec<LbEndpoint>,
    /// What its endpoints are rendered by.
    pub(crate) style: Style,
}

/// Groups endpoints by locality, sorted by its name; a locality's weight is the sum of its endpoints'.
pub(crate) fn group(endpoints: impl IntoIterator<Item = LbEndpoint>, style: Style) -> Vec<Locality> {
    let mut groups: BTreeMap<Text, Vec<LbEndpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        let name = &endpoint.endpoint.workload.locality;
        match groups.get_mut(name) {
            Some(group) => group.push(endpoint),
            None => {
                groups.insert(name.clone(), vec![endpoint]);
            }
        }
    }
    let plan = |(name, endpoints): (Text, Vec<LbEndpoint>)| {
        let weight = Some(total(&endpoints));
        Locality { name, weight, priority: 0, endpoints, style }
    };
    groups.into_iter().map(plan).collect()
}

/// The sum of weights; beyond what Envoy can count it is the largest number.
pub(super) fn total(endpoints: &[LbEndpoint]) -> u32 {
    endpoints.iter().fold(0, |sum: u32, endpoint| sum.saturating_add(endpoint.weight))
}

impl LbEndpoint {
    /// An endpoint with its own weight.
    pub(crate) fn new(endpoint: Shared<Endpoint>, mutual_tls: bool) -> Self {
        let weight = endpoint.weight.max(1);
        Self { endpoint, mutual_tls, weight }
    }

    fn build(&self, style: Style) -> api::LbEndpoint {
        let endpoint = &*self.endpoint;
        let further = if style.dual_stack { endpoint.addresses.get(1..).unwrap_or_default() } else { &[] };
        let additional =
            |ip: &Text| api::endpoint::AdditionalAddress { address: Some(wire::address(ip, endpoint.port)) };
        let host = api::Endpoint {
            address: Some(address(endpoint)),
            additional_addresses: further.iter().map(additional).collect(),
            ..Default::default()
        };
        api::LbEndpoint {
            health_status: health(endpoint) as i32,
            metadata: Some(self.metadata(style)),
            load_balancing_weight: Some(self.weight),
            host_identifier: Some(api::lb_endpoint::HostIdentifier::Endpoint(host)),
        }
    }

    fn metadata(&self, style: Style) -> core::Metadata {
        let workload = &*self.endpoint.workload;
        let mut metadata = core::Metadata::default();
        let mode = match &workload.tls_mode {
            TlsMode::Istio => Some("istio"),
            TlsMode::Other(mode) => Some(&**mode),
            TlsMode::Disabled => None,
        };
        if let Some(mode) = mode.filter(|_| self.mutual_tls) {
            let fields = wire::fields([("tlsMode", wire::text_value(mode))]);
            metadata.filter_metadata.insert("envoy.transport_socket_match".into(), fields);
        }
        if style.workload {
            let fields = wire::fields([("workload", wire::text_value(&workload_text(workload)))]);
            metadata.filter_metadata.insert("istio".into(), fields);
        }
        metadata
    }
}

impl Locality {
    /// Renders the locality.
    pub(crate) fn build(&self) -> api::LocalityLbEndpoints {
        let lb_endpoints = self.endpoints.iter().map(|endpoint| endpoint.build(self.style)).collect();
        api::LocalityLbEndpoints { lb_endpoints, ..self.head() }
    }

    /// Renders the locality without its endpoints.
    pub(super) fn head(&self) -> api::LocalityLbEndpoints {
        api::LocalityLbEndpoints {
            locality: Some(locality(&self.name)),
            load_balancing_weight: self.weight,
            priority: self.priority,
            ..Default::default()
        }
    }

    /// The plans of its endpoints.
    pub(super) fn placed(&self) -> impl Iterator<Item = Placed> {
        self.endpoints.iter().map(|endpoint| Placed { endpoint: endpoint.clone(), style: self.style })
    }
}

/// Its health; a label says that it ends whatever the cluster says.
fn health(endpoint: &Endpoint) -> Health {
    if endpoint.workload.labels.is_set(DRAINING) { Health::Draining } else { endpoint.health }
}

fn address(endpoint: &Endpoint) -> core::Address {
    let address = endpoint.address();
    if endpoint.port == 0 {
        return wire::pipe(address.strip_prefix("unix://").unwrap_or(address));
    }
    wire::address(address, endpoint.port)
}

/// The parts of `region/zone/subzone`, missing ones empty.
pub(super) fn parts(locality: &str) -> [&str; 3] {
    let mut parts = locality.splitn(3, '/');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn locality(name: &str) -> core::Locality {
    let [region, zone, sub_zone] = parts(name);
    core::Locality { region: region.into(), zone: zone.into(), sub_zone: sub_zone.into() }
}

/// `workload;namespace;canonical name;canonical revision;cluster`, for telemetry of calls whose server
/// does not say who it is.
fn workload_text(workload: &EndpointWorkload) -> String {
    let first = |keys: &[&str]| keys.iter().find_map(|key| workload.labels.get(key));
    let name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
    let revision = first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    let name = name.unwrap_or(&workload.workload);
    let revision = revision.filter(|revision| *revision != "latest").unwrap_or_default();
    let fields = [&*workload.workload, &*workload.namespace, name, revision, &*workload.cluster];
    let mut text = String::with_capacity(fields.iter().map(|field| field.len() + 1).sum());
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            text.push(';');
        }
        text.push_str(field);
    }
    text
}
