//! Which endpoints of a service a cluster uses (xds-semantics, EDS filter list).

use std::sync::Arc;

use memo::Shared;
use mesh::{EffectivePolicy, Refusals};
use model::endpoint::{Health, TlsMode};
use model::labels::SESSION_COOKIE;
use model::networking::{ClientTlsMode, DestinationRule, Subset, TrafficPolicy};
use model::service::TrafficDistribution;
use model::settings::Settings;
use model::{Endpoint, Labels, Service, Text};

use super::lb::{DRAINING, LbEndpoint};

/// What decides whether an endpoint is used, beside the port.
#[derive(Clone, Copy)]
pub(crate) struct Selection<'a> {
    /// The service.
    pub(crate) service: &'a Service,
    /// Labels that the subset asks for.
    pub(crate) subset: Option<&'a Labels>,
    /// The client's cluster.
    pub(crate) cluster: &'a str,
    /// The client's machine; endpoints of services that are local to nodes must be on it.
    pub(crate) node: &'a str,
    /// Networks that the client sees; empty for all.
    pub(crate) network_view: &'a [Text],
    /// Whether only endpoints of the client's cluster count.
    pub(crate) cluster_local: bool,
    /// Whether endpoints that are not ready are sent.
    pub(crate) unhealthy: bool,
}

impl Selection<'_> {
    /// Whether the endpoint is used, whatever its port.
    pub(crate) fn keeps(&self, endpoint: &Endpoint) -> bool {
        let workload = &*endpoint.workload;
        let elsewhere = (self.cluster_local || self.service.node_local) && *workload.cluster != *self.cluster;
        let seen = workload.network.is_empty()
            || self.network_view.is_empty()
            || self.network_view.contains(&workload.network);
        seen && !elsewhere
            && (!self.service.node_local || *workload.node == *self.node)
            && self.subset.is_none_or(|labels| labels.selects(&workload.labels))
            && !endpoint.address().is_empty()
            && self.keeps_health(endpoint)
    }

    fn keeps_health(&self, endpoint: &Endpoint) -> bool {
        let draining = endpoint.health == Health::Draining || endpoint.workload.labels.is_set(DRAINING);
        match endpoint.health {
            Health::Terminating => false,
            Health::Unhealthy if !self.unhealthy => false,
            _ => !draining || self.service.labels.is_set(SESSION_COOKIE),
        }
    }
}

/// Whether endpoints that are not ready are sent whatever the rules say.
pub(crate) fn forces_unhealthy(service: &Service, settings: &Settings) -> bool {
    settings.send_unhealthy || service.traffic_distribution != TrafficDistribution::Any
}

/// Whether a service's clusters may hold endpoints that are not ready.
pub(crate) fn supports_unhealthy(service: &Service, settings: &Settings) -> bool {
    forces_unhealthy(service, settings) || settings.auto_send_unhealthy
}

/// Whether endpoints that are not ready are sent under this policy: not where it asks for panic below a
/// share of healthy ones, since Envoy would then send traffic to them.
pub(crate) fn sends_unhealthy(service: &Service, policy: &EffectivePolicy<'_>, settings: &Settings) -> bool {
    let panics = policy.outlier_detection.is_some_and(|outlier| outlier.min_health_percent > 0);
    forces_unhealthy(service, settings) || settings.auto_send_unhealthy && !panics
}

/// The mode of TLS that a rule says for a port of its host or of a subset, if any: a port's level before
/// the top level, a subset before the host. A level that says nothing leaves the question to the next.
pub(crate) fn rule_mode(rule: &DestinationRule, subset: Option<&Subset>, port: u16) -> Option<ClientTlsMode> {
    let of = |policy: Option<&Arc<TrafficPolicy>>| {
        let policy = policy?;
        let level = policy.port_levels.iter().find(|(number, level)| *number == port && level.tls.is_some());
        let tls = level.and_then(|(_, level)| level.tls.as_ref()).or(policy.tls.as_ref());
        tls.map(|tls| tls.mode)
    };
    of(subset.and_then(|subset| subset.policy.as_ref())).or_else(|| of(rule.policy.as_ref()))
}

/// By what mutual TLS with an endpoint is judged: the rule's mode if it says one, else what the endpoint
/// and its PeerAuthentication say.
#[derive(Clone, Copy)]
pub(crate) struct MutualTls<'a> {
    /// The rule's mode for the port or subset.
    pub(crate) rule: Option<ClientTlsMode>,
    /// Which endpoints refuse it by PeerAuthentication; `None` if none does.
    pub(crate) refusals: Option<&'a Refusals>,
}

impl MutualTls<'_> {
    /// Whether the client may speak mutual TLS with the endpoint.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> bool {
        if let Some(mode) = self.rule {
            return mode == ClientTlsMode::IstioMutual;
        }
        let workload = &*endpoint.workload;
        workload.tls_mode == TlsMode::Istio
            && !self.refusals.is_some_and(|refusals| refusals.contain(workload, endpoint.port))
    }

    /// The endpoint with the judgement.
    pub(crate) fn judge(&self, endpoint: &Shared<Endpoint>) -> LbEndpoint {
        LbEndpoint::new(endpoint.clone(), self.of(endpoint))
    }
}
