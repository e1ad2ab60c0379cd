//! What a route does with a request: send it to clusters, redirect it, answer it.

use envoy_api::Name;
use envoy_api::envoy::config::core::v3::{self as core, DataSource, data_source::Specifier};
use envoy_api::envoy::config::route::v3 as route;
use envoy_api::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use model::networking::{
    Destination, DirectResponse, HttpDestination, Redirect, RedirectPort, ResponseBody, Rewrite,
};
use route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use route::route::Action;
use route::route_action::{ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy};
use route::weighted_cluster::{ClusterWeight, cluster_weight};

use super::headers::Changes;
use super::plan::{Backend, RulePlan, is_some_share};
use super::{Target, filters, hash, matching, outbound_retry};
use crate::{names, wire};

/// The cluster of a destination without a host; there is none of that name.
const UNKNOWN: &str = "UnknownService";

/// The cluster of a destination: of the host that it is another name of, if it is one; at its port, the
/// service's only port or the port that was called.
pub(super) fn cluster(destination: &Destination, target: &Target, port: u16) -> Name {
    if destination.host.as_str().is_empty() {
        return UNKNOWN.into();
    }
    let host = target.alias_of.as_ref().unwrap_or(&destination.host);
    let port = destination.port.or(target.only_port).unwrap_or(port);
    names::outbound(port, &destination.subset, host).into()
}

/// Everything to one cluster, without a time limit.
pub(super) fn to_cluster(cluster: String) -> route::RouteAction {
    route::RouteAction {
        timeout: Some(prost_types::Duration::default()),
        max_grpc_timeout: Some(prost_types::Duration::default()),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster)),
        ..Default::default()
    }
}

/// An answer without a body.
pub(super) fn answer(status: u32) -> Action {
    Action::DirectResponse(route::DirectResponseAction { status, ..Default::default() })
}

/// The action of a rule; header changes of a single destination are put to the route's.
pub(super) fn build(plan: &RulePlan, changes: &mut Changes) -> Action {
    if let Some(redirected) = &plan.rule.redirect {
        return Action::Redirect(redirect(redirected, plan));
    }
    if let Some(response) = &plan.rule.direct_response {
        return Action::DirectResponse(direct_response(response));
    }
    let authority = authority(plan, changes);
    match destinations(plan, changes) {
        Some(specifier) => Action::Route(forward(plan, specifier, authority.or(changes.authority.take()))),
        // Envoy refuses a route that leads nowhere, and with it the whole table; so the requests are
        // answered as if no cluster were there.
        None => answer(503),
    }
}

/// The authority that the rule itself rewrites to; a rewrite wins over a `host` header.
fn authority(plan: &RulePlan, changes: &mut Changes) -> Option<String> {
    let written = plan.rule.rewrite.as_ref().map(|rewrite| rewrite.authority.to_string());
    written.filter(|authority| !authority.is_empty()).or(changes.authority.take())
}

fn forward(plan: &RulePlan, to: ClusterSpecifier, authority: Option<String>) -> route::RouteAction {
    let rule = &plan.rule;
    let timeout = Some(rule.timeout.map(wire::duration).unwrap_or_default());
    let hashed = matches!(&*plan.backends, [only] if only.hash.is_some());
    let counted = counted(plan).filter_map(|(_, backend)| backend.hash.as_ref());
    let action = route::RouteAction {
        timeout,
        max_grpc_timeout: timeout,
        retry_policy: outbound_retry(rule.retries.as_ref().or(plan.settings.retry.as_ref()), hashed),
        hash_policy: counted.filter_map(hash::build).collect(),
        request_mirror_policies: mirrors(plan),
        cluster_specifier: Some(to),
        host_rewrite_specifier: authority.map(HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    };
    match &rule.rewrite {
        Some(change) => rewritten(action, change, plan.settings.forwarded_host),
        None => action,
    }
}

fn rewritten(action: route::RouteAction, change: &Rewrite, forwarded_host: bool) -> route::RouteAction {
    let action = route::RouteAction { append_x_forwarded_host: forwarded_host, ..action };
    match &change.uri_regex {
        Some((pattern, substitution)) => route::RouteAction {
            regex_rewrite: Some(RegexMatchAndSubstitute {
                pattern: Some(matching::regex(pattern)),
                substitution: substitution.to_string(),
            }),
            ..action
        },
        None => route::RouteAction { prefix_rewrite: change.uri.to_string(), ..action },
    }
}

/// The destinations that get any traffic.
fn counted(plan: &RulePlan) -> impl Iterator<Item = (&HttpDestination, &Backend)> {
    let only = plan.backends.len() == 1;
    let all = plan.rule.routes.iter().zip(&plan.backends);
    all.filter(move |(route, _)| only || route.weight > 0)
}

/// One cluster, or several by weight; `None` if there is none at all.
fn destinations(plan: &RulePlan, changes: &mut Changes) -> Option<ClusterSpecifier> {
    if let ([route], [backend]) = (&*plan.rule.routes, &*plan.backends) {
        changes.extend(Changes::build(&route.headers));
        return Some(ClusterSpecifier::Cluster(backend.cluster.to_string()));
    }
    let total: u64 = counted(plan).map(|(route, _)| u64::from(route.weight)).sum();
    let clusters: Vec<_> = counted(plan).map(|(route, backend)| weighted(route, backend, total)).collect();
    let weighted = route::WeightedCluster { clusters, ..Default::default() };
    (!weighted.clusters.is_empty()).then_some(ClusterSpecifier::WeightedClusters(weighted))
}

fn weighted(route: &HttpDestination, backend: &Backend, total: u64) -> ClusterWeight {
    let changes = Changes::build(&route.headers);
    ClusterWeight {
        name: backend.cluster.to_string(),
        weight: Some(share(route.weight, total)),
        request_headers_to_add: changes.request_add,
        request_headers_to_remove: changes.request_remove,
        response_headers_to_add: changes.response_add,
        response_headers_to_remove: changes.response_remove,
        host_rewrite_specifier: changes
            .authority
            .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
        ..Default::default()
    }
}

/// A weight of `total`, made smaller with all others where their sum is more than Envoy takes.
fn share(weight: u32, total: u64) -> u32 {
    let most = u64::from(u32::MAX);
    if total <= most {
        return weight;
    }
    u32::try_from(u64::from(weight) * most / total).unwrap_or(u32::MAX).max(1)
}

fn mirrors(plan: &RulePlan) -> Vec<RequestMirrorPolicy> {
    let wanted = plan.rule.all_mirrors().zip(&plan.mirrors);
    let wanted = wanted.filter(|((_, share), _)| is_some_share(*share));
    let policy = wanted.map(|((_, share), cluster)| RequestMirrorPolicy {
        cluster: cluster.to_string(),
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(filters::percent(share, 100)),
            ..Default::default()
        }),
        trace_sampled: Some(false),
        disable_shadow_host_suffix_append: plan.settings.plain_shadow_host,
        ..Default::default()
    });
    policy.collect()
}

fn redirect(redirect: &Redirect, plan: &RulePlan) -> route::RedirectAction {
    let path = redirect.uri.to_string();
    let path = match redirect.uri_is_prefix {
        true => PathRewriteSpecifier::PrefixRewrite(path),
        false => PathRewriteSpecifier::PathRedirect(path),
    };
    let scheme = (!redirect.scheme.is_empty()).then(|| redirect.scheme.to_string());
    route::RedirectAction {
        host_redirect: redirect.authority.to_string(),
        port_redirect: redirect_port(redirect, plan),
        response_code: redirect_code(redirect.code) as i32,
        path_rewrite_specifier: Some(path),
        scheme_rewrite_specifier: scheme.map(SchemeRewriteSpecifier::SchemeRedirect),
        ..Default::default()
    }
}

/// The port that a redirect names, 0 for none: Envoy does not know the request's port, but the route is
/// for one port only. That of the scheme is left out.
fn redirect_port(redirect: &Redirect, plan: &RulePlan) -> u32 {
    let port = match redirect.port {
        RedirectPort::Unset | RedirectPort::ProtocolDefault => 0,
        RedirectPort::Port(port) => port,
        RedirectPort::RequestPort => plan.port,
    };
    let scheme = match &*redirect.scheme {
        "" if plan.tls => "https",
        "" => "http",
        written => written,
    };
    if matches!((port, scheme), (80, "http") | (443, "https")) { 0 } else { port.into() }
}

/// The status of a redirect; one that Envoy does not know, which admission refuses, is the default.
fn redirect_code(code: u32) -> RedirectResponseCode {
    match code {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    }
}

fn direct_response(response: &DirectResponse) -> route::DirectResponseAction {
    let body = response.body.as_ref().map(|body| match body {
        ResponseBody::Text(text) => Specifier::InlineString(text.to_string()),
        ResponseBody::Bytes(bytes) => Specifier::InlineBytes(bytes.clone().into()),
    });
    let source = |specifier| DataSource { specifier: Some(specifier), ..Default::default() };
    route::DirectResponseAction { status: response.status, body: body.map(source), ..Default::default() }
}
