//! The plan of one route, and its building.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_api::envoy::config::core::v3::{self as core, header_value_option::HeaderAppendAction};
use envoy_api::envoy::config::route::v3 as route;
use envoy_api::{Any, Name};
use memo::Shared;
use model::networking::{ConsistentHash, HttpMatch, HttpRoute, Share};
use model::{Host, Text};

use super::headers::{self, Changes};
use super::{RouteSettings, RuleInputs, Target, action, filters, hash, matching, outbound_retry};
use crate::routes::domains::with_port;
use crate::routes::session::{self, Session};
use crate::{names, wire};

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RoutePlan {
    /// Of a VirtualService.
    Rule(Box<RulePlan>),
    /// To a service without rules.
    Default(DefaultPlan),
    /// Of requests to hosts that nothing is known of.
    CatchAll(CatchAllPlan),
}

impl RoutePlan {
    /// Renders.
    pub(crate) fn build(&self) -> route::Route {
        match self {
            Self::Rule(plan) => plan.build(),
            Self::Default(plan) => plan.build(),
            Self::CatchAll(plan) => plan.build(),
        }
    }

    /// The clusters that requests, or copies of them, are sent to.
    pub(crate) fn clusters(&self) -> Vec<Name> {
        match self {
            Self::Rule(plan) => plan.clusters(),
            Self::Default(plan) => vec![names::outbound(plan.port, "", &plan.host).into()],
            Self::CatchAll(plan) => plan.cluster.iter().cloned().collect(),
        }
    }

    /// Whether every request meets its condition, so that nothing gets past it.
    pub(crate) fn is_catch_all(&self) -> bool {
        match self {
            Self::Rule(plan) => plan.condition().is_none_or(matching::is_catch_all),
            Self::Default(_) | Self::CatchAll(_) => true,
        }
    }
}

/// A route of a VirtualService: a rule and one of its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RulePlan {
    /// The rule; most of it is rendered as it is.
    pub(super) rule: Arc<HttpRoute>,
    /// The condition, an index into the rule's; `None` for a rule without.
    pub(super) condition: Option<usize>,
    /// Namespace and name of the VirtualService.
    pub(super) object: (Text, Text),
    /// The port that is listened on.
    pub(super) port: u16,
    /// Whether the listener takes TLS off.
    pub(super) tls: bool,
    /// The rule's destinations, in order.
    pub(super) backends: Vec<Backend>,
    /// Clusters of the rule's mirrors, in order.
    pub(super) mirrors: Vec<Name>,
    /// Sticky sessions.
    pub(super) session: Option<Session>,
    /// What holds for all routes of a proxy.
    pub(super) settings: Shared<RouteSettings>,
}

/// A destination as decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backend {
    pub(super) cluster: Name,
    pub(super) hash: Option<ConsistentHash>,
}

impl RulePlan {
    /// Decides; `targets` are those of the rule's destinations, then of its mirrors.
    pub(super) fn plan(
        inputs: &RuleInputs,
        rule: &Arc<HttpRoute>,
        condition: Option<usize>,
        targets: &[Target],
    ) -> RoutePlan {
        let unknown = Target::default();
        let target = |at: usize| targets.get(at).unwrap_or(&unknown);
        let backends = rule.routes.iter().enumerate().map(|(at, route)| Backend {
            cluster: action::cluster(&route.destination, target(at), inputs.port),
            hash: target(at).hash.clone(),
        });
        let count = rule.routes.len();
        let mirrors = rule.all_mirrors().enumerate();
        let mirrors = mirrors.map(|(at, (to, _))| action::cluster(to, target(count + at), inputs.port));
        let key = &inputs.service.meta.key;
        RoutePlan::Rule(Box::new(Self {
            rule: rule.clone(),
            condition,
            object: (key.namespace.clone(), key.name.clone()),
            port: inputs.port,
            tls: inputs.tls,
            backends: backends.collect(),
            mirrors: mirrors.collect(),
            session: session(rule, targets),
            settings: inputs.settings.clone(),
        }))
    }

    fn condition(&self) -> Option<&HttpMatch> {
        self.condition.and_then(|at| self.rule.matches.get(at))
    }

    fn build(&self) -> route::Route {
        let mut changes = Changes::build(&self.rule.headers);
        let action = action::build(self, &mut changes);
        if self.settings.http3 {
            let value = format!("h3=\":{}\"; ma=86400", self.port);
            let append = HeaderAppendAction::AppendIfExistsOrAdd;
            changes.response_add.push(headers::addition("alt-svc", &value, append));
        }
        let condition = self.condition();
        route::Route {
            name: self.name(),
            r#match: Some(matching::build(condition)),
            metadata: Some(self.metadata()),
            decorator: Some(decorator(self.operation(&action))),
            typed_per_filter_config: self.filters(),
            request_headers_to_add: changes.request_add,
            request_headers_to_remove: changes.request_remove,
            response_headers_to_add: changes.response_add,
            response_headers_to_remove: changes.response_remove,
            stat_prefix: condition.map(|one| one.stat_prefix.to_string()).unwrap_or_default(),
            action: Some(action),
            ..Default::default()
        }
    }

    /// The rule's name, with that of the condition behind a dot if it has one.
    fn name(&self) -> String {
        match self.condition().map(|one| &*one.name) {
            None | Some("") => self.rule.name.to_string(),
            Some(name) => format!("{}.{name}", self.rule.name),
        }
    }

    /// Which object the route is of.
    fn metadata(&self) -> core::Metadata {
        let (namespace, name) = &self.object;
        wire::object_metadata("virtual-service", namespace, name)
    }

    /// What the route is called in traces: by its destination if it has just one, else by its object.
    fn operation(&self, action: &route::route::Action) -> String {
        let path = matching::operation_path(self.condition());
        let single = match action {
            route::route::Action::Route(_) if self.backends.len() == 1 => self.backends.first(),
            _ => None,
        };
        match single.and_then(|backend| names::parse_outbound(&backend.cluster)) {
            Some(cluster) => format!("{}:{}{path}", cluster.host, cluster.port),
            None => format!("{}:{}{path}", self.object.1, self.port),
        }
    }

    fn filters(&self) -> BTreeMap<String, Any> {
        let faults = self.rule.fault.as_ref().map(|fault| Any::pack(&filters::fault(fault)));
        let cors = self.rule.cors.as_ref().map(|policy| Any::pack(&filters::cors(policy)));
        let session = self.session.as_ref().map(Session::build);
        let all = [(filters::FAULT, faults), (filters::CORS, cors), (session::FILTER, session)];
        all.into_iter().filter_map(|(name, config)| Some((name.to_owned(), config?))).collect()
    }

    fn clusters(&self) -> Vec<Name> {
        if self.rule.redirect.is_some() || self.rule.direct_response.is_some() {
            return Vec::new();
        }
        let only = self.backends.len() == 1;
        let routes = self.rule.routes.iter().zip(&self.backends);
        let routes = routes.filter(|(route, _)| only || route.weight > 0).map(|(_, one)| one.cluster.clone());
        let mirrors = self.rule.all_mirrors().zip(&self.mirrors);
        let mirrors = mirrors.filter(|((_, share), _)| is_some_share(*share)).map(|(_, one)| one.clone());
        routes.chain(mirrors).collect()
    }
}

/// Whether any request at all is meant.
pub(super) fn is_some_share(share: Share) -> bool {
    !matches!(share, Share::Fraction(model::Millionths(0)) | Share::Percent(0))
}

/// The session of the last destination that counts; a second one that has a session ends the search, as
/// for istiod.
fn session(rule: &HttpRoute, targets: &[Target]) -> Option<Session> {
    if rule.redirect.is_some() || rule.direct_response.is_some() {
        return None;
    }
    let only = rule.routes.len() == 1;
    let counted = rule.routes.iter().zip(targets).filter(|(route, _)| only || route.weight > 0);
    let mut found = None;
    for (_, target) in counted {
        if found.is_some() && target.session.is_some() {
            break;
        }
        found.clone_from(&target.session);
    }
    found
}

fn decorator(operation: String) -> route::Decorator {
    route::Decorator { operation, propagate: None }
}

/// The route to a service without rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DefaultPlan {
    /// The service.
    pub(crate) host: Host,
    /// Its port.
    pub(crate) port: u16,
    /// Hashing by its DestinationRule; retries go to other hosts all the same.
    pub(crate) hash: Option<ConsistentHash>,
    /// What holds for all routes of a proxy.
    pub(crate) settings: Shared<RouteSettings>,
}

impl DefaultPlan {
    fn build(&self) -> route::Route {
        let cluster = names::outbound(self.port, "", &self.host);
        let action = route::RouteAction {
            retry_policy: outbound_retry(self.settings.retry.as_ref(), false),
            hash_policy: self.hash.as_ref().and_then(hash::build).into_iter().collect(),
            ..action::to_cluster(cluster)
        };
        route::Route {
            name: "default".into(),
            r#match: Some(matching::build(None)),
            decorator: Some(decorator(format!("{}/*", with_port(self.host.as_str(), self.port)))),
            action: Some(route::route::Action::Route(action)),
            ..Default::default()
        }
    }
}

/// What is done with requests to hosts that nothing is known of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CatchAllPlan {
    /// The route's name.
    pub(crate) name: &'static str,
    /// Where they are sent; `None` answers 502.
    pub(crate) cluster: Option<Name>,
    /// Whether they get `x-forwarded-host`.
    pub(crate) forwarded_host: bool,
}

impl CatchAllPlan {
    fn build(&self) -> route::Route {
        let action = match &self.cluster {
            Some(cluster) => route::route::Action::Route(route::RouteAction {
                append_x_forwarded_host: self.forwarded_host,
                ..action::to_cluster(cluster.to_string())
            }),
            None => action::answer(502),
        };
        route::Route {
            name: self.name.into(),
            r#match: Some(matching::build(None)),
            action: Some(action),
            ..Default::default()
        }
    }
}
