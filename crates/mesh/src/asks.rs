//! What a scope asks of the proxies that see it: the few of their labels that something in it mentions.

use std::collections::BTreeSet;

use memo::Shared;
use model::labels;
use model::mesh_config::MeshConfig;
use model::networking::{HttpRoute, TrafficPolicy, VirtualService};
use model::service::TrafficDistribution;
use model::{Labels, Resolution, Service, Text};

use crate::{MergedGateway, MergedRule, RouteIndex, Scope};

/// The facts of a proxy, beside its profile's fixed ones, that something in a scope mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    /// Labels by which failover goes.
    pub(crate) failover: BTreeSet<Text>,
    /// Those of them that go for services whose endpoints' names are resolved.
    pub(crate) names: BTreeSet<Text>,
    /// Labels that `sourceLabels` of routes mention.
    pub(crate) source: BTreeSet<Text>,
    /// Whether some service is local to its client's machine.
    pub(crate) node: bool,
}

impl Asks {
    /// What a scope asks under this mesh configuration.
    pub(crate) fn new(scope: &Scope, mesh: &MeshConfig) -> Self {
        let mut asks = Self::default();
        let zones = mesh.zone_aware.iter().flat_map(|zone| &zone.failover_priority);
        let mesh_wide = mesh.locality_lb.iter().flat_map(|setting| &setting.failover_priority).chain(zones);
        add_failover(&mut asks.failover, mesh_wide.clone());
        for scoped in &scope.services {
            let service = &scoped.service;
            asks.node |= service.node_local;
            let resolves = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
            if service.traffic_distribution != TrafficDistribution::Any {
                asks.failover.extend(place());
            }
            if resolves {
                asks.add_names(service, scope.rule(&service.host), mesh_wide.clone());
            }
        }
        for rule in scope.rules.values() {
            add_rule(&mut asks.failover, rule);
        }
        for service in scope.egress.iter().flat_map(|egress| &egress.virtual_services) {
            asks.add_routes(service);
        }
        asks
    }

    /// Labels by which failover of a service goes whose clusters hold its endpoints.
    fn add_names<'a>(
        &mut self,
        service: &Service,
        rule: Option<&Shared<MergedRule>>,
        mesh_wide: impl Iterator<Item = &'a Text>,
    ) {
        if service.traffic_distribution != TrafficDistribution::Any {
            self.names.extend(place());
        }
        add_failover(&mut self.names, mesh_wide);
        if let Some(rule) = rule {
            add_rule(&mut self.names, rule);
        }
    }

    fn add_routes(&mut self, service: &VirtualService) {
        self.source.extend(source_keys(service).cloned());
    }

    /// The same with what rules bound to a gateway ask.
    pub(crate) fn with_bound(asks: Shared<Self>, bound: &BTreeSet<Text>) -> Shared<Self> {
        if bound.is_subset(&asks.source) {
            return asks;
        }
        let mut asks = (*asks).clone();
        asks.source.extend(bound.iter().cloned());
        Shared::new(asks)
    }
}

/// What the rules bound to some Gateways may ask of the gateway that serves them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bound {
    routes: Shared<RouteIndex>,
    /// `<namespace>/<name>`, sorted.
    gateways: Vec<Text>,
    namespace: Text,
}

impl Bound {
    pub(crate) fn of(gateway: &MergedGateway, routes: &Shared<RouteIndex>, namespace: &Text) -> Self {
        let servers = gateway.servers.iter().flat_map(|entry| &entry.servers);
        let gateways: BTreeSet<&Text> = servers.map(|server| &server.gateway).collect();
        let gateways = gateways.into_iter().cloned().collect();
        Self { routes: routes.clone(), gateways, namespace: namespace.clone() }
    }

    /// Labels that `sourceLabels` of the rules mention.
    pub(crate) fn source_labels(&self) -> BTreeSet<Text> {
        let bound = self.gateways.iter().flat_map(|gateway| self.routes.bound_to(gateway, &self.namespace));
        bound.flat_map(|service| source_keys(service)).cloned().collect()
    }
}

fn source_keys(service: &VirtualService) -> impl Iterator<Item = &Text> {
    let http = service.http.iter().flat_map(|route: &std::sync::Arc<HttpRoute>| &route.matches);
    let labels = http.map(|one| &one.source_labels);
    let labels =
        labels.chain(service.tls.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels));
    let labels =
        labels.chain(service.tcp.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels));
    labels.flat_map(Labels::iter).map(|(key, _)| key)
}

/// Labels by which traffic distribution goes.
fn place() -> impl Iterator<Item = Text> {
    labels::SAME_NODE.iter().map(|label| Text::from(*label))
}

fn add_failover<'a>(to: &mut BTreeSet<Text>, labels: impl Iterator<Item = &'a Text>) {
    to.extend(labels.map(|label| label.split('=').next().unwrap_or(label).into()));
}

fn add_rule(to: &mut BTreeSet<Text>, rule: &MergedRule) {
    let subsets = rule.rule.subsets.iter().filter_map(|subset| subset.policy.as_deref());
    for policy in rule.rule.policy.as_deref().into_iter().chain(subsets) {
        add_policy(to, policy);
        for (_, policy) in &policy.port_levels {
            add_policy(to, policy);
        }
    }
}

fn add_policy(to: &mut BTreeSet<Text>, policy: &TrafficPolicy) {
    let Some(balancer) = &policy.load_balancer else { return };
    add_failover(to, balancer.locality.iter().flat_map(|setting| &setting.failover_priority));
    add_failover(to, balancer.zone_aware.iter().flat_map(|setting| &setting.failover_priority));
}

/// Of these labels only those under these keys.
pub(crate) fn narrowed(labels: &Labels, keys: &BTreeSet<Text>) -> Labels {
    if keys.is_empty() {
        return Labels::default();
    }
    labels
        .iter()
        .filter(|(key, _)| keys.contains(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
