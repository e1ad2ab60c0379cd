//! What a scope asks of the proxies that see it: the few of their labels that something in it mentions.

use std::collections::BTreeSet;

use model::labels;
use model::mesh_config::MeshConfig;
use model::networking::{HttpRoute, TrafficPolicy, VirtualService};
use model::service::TrafficDistribution;
use model::{Labels, Text};

use crate::{MergedRule, Scope};

/// The facts of a proxy, beside its profile's fixed ones, that something in a scope mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    /// Labels by which failover goes.
    pub(crate) failover: BTreeSet<Text>,
    /// Labels that `sourceLabels` of routes mention.
    pub(crate) source: BTreeSet<Text>,
    /// Whether some service is local to its client's machine.
    pub(crate) node: bool,
}

impl Asks {
    /// What a scope asks under this mesh configuration.
    pub(crate) fn new(scope: &Scope, mesh: &MeshConfig) -> Self {
        let mut asks = Self::default();
        let mesh_wide = mesh.locality_lb.iter().flat_map(|setting| &setting.failover_priority);
        asks.add_failover(mesh_wide.chain(mesh.zone_aware.iter().flat_map(|zone| &zone.failover_priority)));
        for scoped in &scope.services {
            asks.node |= scoped.service.node_local;
            if scoped.service.traffic_distribution != TrafficDistribution::Any {
                asks.failover.extend(labels::SAME_NODE.iter().map(|label| Text::from(*label)));
            }
        }
        for rule in scope.rules.values() {
            asks.add_rule(rule);
        }
        for service in scope.egress.iter().flat_map(|egress| &egress.virtual_services) {
            asks.add_routes(service);
        }
        asks
    }

    fn add_failover<'a>(&mut self, labels: impl Iterator<Item = &'a Text>) {
        self.failover.extend(labels.map(|label| label.split('=').next().unwrap_or(label).into()));
    }

    fn add_rule(&mut self, rule: &MergedRule) {
        let subsets = rule.rule.subsets.iter().filter_map(|subset| subset.policy.as_deref());
        for policy in rule.rule.policy.as_deref().into_iter().chain(subsets) {
            self.add_policy(policy);
            for (_, policy) in &policy.port_levels {
                self.add_policy(policy);
            }
        }
    }

    fn add_policy(&mut self, policy: &TrafficPolicy) {
        let Some(balancer) = &policy.load_balancer else { return };
        self.add_failover(balancer.locality.iter().flat_map(|setting| &setting.failover_priority));
        self.add_failover(balancer.zone_aware.iter().flat_map(|setting| &setting.failover_priority));
    }

    pub(crate) fn add_routes(&mut self, service: &VirtualService) {
        let http = service.http.iter().flat_map(|route: &std::sync::Arc<HttpRoute>| &route.matches);
        let labels = http.map(|one| &one.source_labels);
        let labels =
            labels.chain(service.tls.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels));
        let labels =
            labels.chain(service.tcp.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels));
        for (key, _) in labels.flat_map(Labels::iter) {
            self.source.insert(key.clone());
        }
    }
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
