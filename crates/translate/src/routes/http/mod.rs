//! Rules of a VirtualService into Envoy routes; for sidecars and for gateways (xds-semantics, VS → routes).
//!
//! ```text
//!   RuleInputs { service, port, client, targets, settings } ──translate──> Vec<RoutePlan> ──build──> Route
//! ```
//!
//! What a rule's destinations turn out to be ([`Target`]) is looked up before, by whoever knows the
//! services and DestinationRules that the proxy sees: [`destinations`] lists what must be looked up, in order.

mod action;
mod filters;
pub(crate) mod hash;
mod headers;
mod matching;
mod plan;
mod retry;

use std::sync::Arc;

use memo::Shared;
use mesh::MergedRule;
use model::mesh_config::MeshConfig;
use model::networking::{ConsistentHash, Destination, HttpMatch, HttpRoute, Retry, VirtualService};
use model::proxy_config::ProxyHeaders;
use model::settings::Settings;
use model::{Host, Labels, Service, Text};

pub(crate) use plan::{CatchAllPlan, DefaultPlan, RoutePlan, RulePlan};
pub(crate) use retry::{inbound as inbound_retry, outbound as outbound_retry};

use super::session::Session;

/// Everything that the routes of one VirtualService may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuleInputs {
    /// The rules.
    pub(crate) service: Shared<VirtualService>,
    /// The port that is listened on: what `match.port` means, the port of destinations that say none.
    /// 0 for an HTTP proxy and on Unix sockets.
    pub(crate) port: u16,
    /// Whether the listener takes TLS off: the scheme that redirects assume.
    pub(crate) tls: bool,
    /// Whose requests these are.
    pub(crate) client: Client,
    /// What the destinations turn out to be, in the order of [`destinations`].
    pub(crate) targets: Arc<[Target]>,
    /// What holds for all routes of a proxy.
    pub(crate) settings: Shared<RouteSettings>,
}

/// Whose requests are routed; decides conditions on the source, which are no part of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    /// `mesh`, or `<namespace>/<name>` of the gateways that the routes are for.
    pub(crate) gateways: Vec<Text>,
    /// The proxy's namespace.
    pub(crate) namespace: Text,
    /// The proxy's labels, as far as some rule mentions them.
    pub(crate) labels: Labels,
}

impl Client {
    /// The client as far as the rules of this VirtualService look at it, so that all namespaces share
    /// the routes of one that does not.
    pub(crate) fn narrowed(&self, service: &VirtualService) -> Self {
        let matches = || service.http.iter().flat_map(|rule| &rule.matches);
        let namespace = matches().any(|one| !one.source_namespace.is_empty());
        let labels = matches().any(|one| !one.source_labels.is_empty());
        Self {
            gateways: self.gateways.clone(),
            namespace: if namespace { self.namespace.clone() } else { Text::default() },
            labels: if labels { self.labels.clone() } else { Labels::default() },
        }
    }
}

/// What holds for all routes of a proxy; share one, so that it is cheap in keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RouteSettings {
    /// Retries of rules that say nothing (`defaultHttpRetryPolicy`); `None` for istiod's own.
    pub(crate) retry: Option<Retry>,
    /// Whether rewritten requests get `x-forwarded-host`.
    pub(crate) forwarded_host: bool,
    /// Whether mirrored requests keep their host (no `-shadow` appended).
    pub(crate) plain_shadow_host: bool,
    /// Whether answers announce HTTP/3 at the port listened on (`alt-svc`), for gateways that serve it.
    pub(crate) http3: bool,
}

impl RouteSettings {
    /// From the mesh's configuration, the proxy's headers and the switches; no HTTP/3.
    pub(crate) fn new(mesh: &MeshConfig, headers: &ProxyHeaders, settings: &Settings) -> Self {
        Self {
            retry: mesh.default_http_retry.clone(),
            forwarded_host: headers.x_forwarded_host.unwrap_or_default(),
            plain_shadow_host: settings.disable_shadow_host_suffix,
            http3: false,
        }
    }
}

/// What a destination turns out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The service's only port, if it has exactly one.
    pub(crate) only_port: Option<u16>,
    /// The host that the destination is just another name of (ExternalName; one hop).
    pub(crate) alias_of: Option<Host>,
    /// Consistent hashing towards it ([`hash::of_destination`]); unused for mirrors.
    pub(crate) hash: Option<ConsistentHash>,
    /// Sticky sessions, by the service's labels; unused for mirrors.
    pub(crate) session: Option<Session>,
}

impl Target {
    /// From the destination's service, with its port if that is its only one, and its DestinationRule; each
    /// `None` if the proxy sees none.
    pub(crate) fn new(
        destination: &Destination,
        service: Option<(&Service, Option<u16>)>,
        rule: Option<&MergedRule>,
        settings: &Settings,
    ) -> Self {
        Self {
            only_port: service.and_then(|(_, port)| port),
            alias_of: service.and_then(|(service, _)| service.external_name.clone()),
            hash: rule.and_then(|rule| hash::of_destination(&rule.rule, destination)),
            session: service.and_then(|(service, _)| Session::of(&service.labels, settings)),
        }
    }
}

/// The destinations of a VirtualService's HTTP rules, in the order in which [`translate`] wants their
/// targets: of each rule the routes', then the mirrors'.
pub(crate) fn destinations(service: &VirtualService) -> impl Iterator<Item = &Destination> {
    service.http.iter().flat_map(|rule| rule_destinations(rule))
}

fn rule_destinations(rule: &HttpRoute) -> impl Iterator<Item = &Destination> {
    let routes = rule.routes.iter().map(|route| &route.destination);
    routes.chain(rule.all_mirrors().map(|(destination, _)| destination))
}

/// The routes of a VirtualService, in order of precedence; none if no rule is for this port and client.
///
/// What follows a route that matches every request is left out, since nothing could get there.
pub(crate) fn translate(inputs: &RuleInputs) -> Vec<RoutePlan> {
    let mut routes = Vec::new();
    let mut targets = &*inputs.targets;
    for rule in &inputs.service.http {
        let (own, rest) = targets.split_at(rule_destinations(rule).count().min(targets.len()));
        targets = rest;
        if add_rule(inputs, rule, own, &mut routes) {
            break;
        }
    }
    routes
}

/// Adds the routes of one rule; answers whether nothing can get past them.
fn add_rule(
    inputs: &RuleInputs,
    rule: &Arc<HttpRoute>,
    targets: &[Target],
    routes: &mut Vec<RoutePlan>,
) -> bool {
    if rule.matches.is_empty() {
        routes.push(RulePlan::plan(inputs, rule, None, targets));
        return true;
    }
    for (index, condition) in rule.matches.iter().enumerate() {
        if !applies(condition, inputs) {
            continue;
        }
        routes.push(RulePlan::plan(inputs, rule, Some(index), targets));
        if matching::is_catch_all(condition) {
            return true;
        }
    }
    false
}

fn applies(condition: &HttpMatch, inputs: &RuleInputs) -> bool {
    (condition.port == 0 || condition.port == inputs.port) && matching::is_for(condition, &inputs.client)
}
