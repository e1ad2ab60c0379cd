//! A VirtualService with the routes of its delegates put in (xds-semantics, VirtualService).

use std::sync::Arc;

use memo::Shared;
use model::networking::{HttpMatch, HttpRoute, StringMatch, VirtualService};
use model::{Key, Problem, Text};

use super::export_to;
use crate::Config;

/// A VirtualService as it is used, and what is wrong with its delegates.
pub(super) struct Resolved {
    pub(super) service: Shared<VirtualService>,
    pub(super) problems: Vec<Problem>,
}

/// The objects that a VirtualService delegates to, there or not.
pub(super) fn references(root: &VirtualService) -> impl Iterator<Item = Key> + '_ {
    let own = (!root.hosts.is_empty()).then_some(root);
    let delegates = own.into_iter().flat_map(|root| root.http.iter());
    delegates.filter_map(|route| route.delegate.as_ref()).map(|delegate| delegate_key(root, delegate))
}

fn delegate_key(root: &VirtualService, (name, namespace): &(Text, Text)) -> Key {
    let own = &root.meta.key;
    let namespace = if namespace.is_empty() { &own.namespace } else { namespace };
    Key { namespace: namespace.clone(), name: name.clone(), ..own.clone() }
}

/// Puts the delegates' routes in the places of the rules that delegate.
pub(super) fn resolve(root: &Shared<VirtualService>, config: &Config) -> Resolved {
    if root.http.iter().all(|route| route.delegate.is_none()) {
        return Resolved { service: root.clone(), problems: Vec::new() };
    }
    let mut problems = Vec::new();
    let mut http = Vec::new();
    for (index, route) in root.http.iter().enumerate() {
        let Some(delegate) = &route.delegate else {
            http.push(route.clone());
            continue;
        };
        let mut tell = Teller { root, index, problems: &mut problems };
        let key = delegate_key(root, delegate);
        if let Some(leaf) = visible(root, &key, config, &mut tell) {
            http.extend(leaf.http.iter().filter_map(|leaf| merge(route, leaf, &mut tell)));
        }
    }
    let service = VirtualService { http, ..(**root).clone() };
    Resolved { service: Shared::new(service), problems }
}

/// Reports what is wrong with one rule of a root.
struct Teller<'a> {
    root: &'a VirtualService,
    index: usize,
    problems: &'a mut Vec<Problem>,
}

impl Teller<'_> {
    fn tell(&mut self, code: &'static str, detail: String) {
        let field = format!("spec.http[{}].delegate", self.index);
        self.problems.push(Problem::error(&self.root.meta.key, code, field, detail));
    }
}

fn visible<'a>(
    root: &VirtualService,
    key: &Key,
    config: &'a Config,
    tell: &mut Teller<'_>,
) -> Option<&'a Shared<VirtualService>> {
    let Some(leaf) = config.virtual_services.get(key) else {
        tell.tell("delegate-not-found", format!("there is no {key}, the rule is left out"));
        return None;
    };
    if !leaf.hosts.is_empty() {
        tell.tell(
            "delegate-has-hosts",
            format!("{key} has hosts and so is no delegate, the rule is left out"),
        );
        return None;
    }
    if !export_to(config, leaf).contains(&root.meta.key.namespace) {
        let namespace = &root.meta.key.namespace;
        tell.tell(
            "delegate-not-visible",
            format!("{key} is not exported to {namespace}, the rule is left out"),
        );
        return None;
    }
    Some(leaf)
}

/// One rule of a delegate narrowed by the rule that delegates; none if they exclude each other.
fn merge(root: &HttpRoute, leaf: &HttpRoute, tell: &mut Teller<'_>) -> Option<Arc<HttpRoute>> {
    if leaf.delegate.is_some() {
        tell.tell(
            "delegate-of-delegate",
            format!("rule \"{}\" of the delegate delegates again, it is left out", leaf.name),
        );
        return None;
    }
    let Some(matches) = merge_matches(&root.matches, &leaf.matches) else {
        let detail = format!(
            "rule \"{}\" of the delegate matches what the root's does not, it is left out",
            leaf.name
        );
        tell.tell("delegate-match-conflict", detail);
        return None;
    };
    Some(Arc::new(HttpRoute {
        name: joined(&root.name, &leaf.name),
        matches,
        routes: leaf.routes.clone(),
        redirect: leaf.redirect.clone(),
        direct_response: leaf.direct_response.clone().or_else(|| root.direct_response.clone()),
        delegate: None,
        rewrite: leaf.rewrite.clone().or_else(|| root.rewrite.clone()),
        timeout: leaf.timeout.or(root.timeout),
        retries: leaf.retries.clone().or_else(|| root.retries.clone()),
        fault: leaf.fault.clone().or_else(|| root.fault.clone()),
        mirror: leaf.mirror.clone().or_else(|| root.mirror.clone()),
        mirror_percentage: leaf.mirror_percentage.or(root.mirror_percentage),
        mirror_percent: leaf.mirror_percent.or(root.mirror_percent),
        mirrors: if leaf.mirrors.is_empty() { root.mirrors.clone() } else { leaf.mirrors.clone() },
        cors: leaf.cors.clone().or_else(|| root.cors.clone()),
        headers: if leaf.headers == Default::default() { root.headers.clone() } else { leaf.headers.clone() },
    }))
}

fn joined(root: &Text, leaf: &Text) -> Text {
    match (root.is_empty(), leaf.is_empty()) {
        (_, true) => root.clone(),
        (true, false) => leaf.clone(),
        (false, false) => format!("{root}-{leaf}").into(),
    }
}

/// Every condition of the delegate with every one of the root's that it fits in; none if one fits
/// nowhere.
fn merge_matches(root: &[HttpMatch], leaf: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    if root.is_empty() || leaf.is_empty() {
        return Some(if root.is_empty() { leaf } else { root }.to_vec());
    }
    let mut merged = Vec::with_capacity(leaf.len());
    for leaf in leaf {
        let before = merged.len();
        merged.extend(root.iter().filter(|root| fits(root, leaf)).map(|root| merge_match(root, leaf)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_match(root: &HttpMatch, leaf: &HttpMatch) -> HttpMatch {
    let text = |root: &Text, leaf: &Text| if leaf.is_empty() { root.clone() } else { leaf.clone() };
    let one = |root: &Option<StringMatch>, leaf: &Option<StringMatch>| leaf.clone().or_else(|| root.clone());
    HttpMatch {
        name: joined(&root.name, &leaf.name),
        uri: one(&root.uri, &leaf.uri),
        ignore_uri_case: leaf.ignore_uri_case,
        scheme: one(&root.scheme, &leaf.scheme),
        method: one(&root.method, &leaf.method),
        authority: one(&root.authority, &leaf.authority),
        headers: both(&root.headers, &leaf.headers),
        without_headers: both(&root.without_headers, &leaf.without_headers),
        query_params: both(&root.query_params, &leaf.query_params),
        port: if leaf.port == 0 { root.port } else { leaf.port },
        source_labels: root.source_labels.overlaid(&leaf.source_labels),
        source_namespace: text(&root.source_namespace, &leaf.source_namespace),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        stat_prefix: text(&root.stat_prefix, &leaf.stat_prefix),
    }
}

type Named = [(Text, StringMatch)];

/// The conditions of both by name, sorted; the delegate's where both name the same.
fn both(root: &Named, leaf: &Named) -> Vec<(Text, StringMatch)> {
    let rest = root.iter().filter(|(name, _)| leaf.iter().all(|(other, _)| other != name));
    let mut all: Vec<_> = rest.chain(leaf).cloned().collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// Whether a condition of the delegate lies within one of the root's.
fn fits(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let texts = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    texts.into_iter().all(|(root, leaf)| text_fits(root.as_ref(), leaf.as_ref()))
        && all_fit(&root.headers, &leaf.headers)
        && all_fit(&root.without_headers, &leaf.without_headers)
        && all_fit(&root.query_params, &leaf.query_params)
        && root.ignore_uri_case == leaf.ignore_uri_case
        && (root.port == 0 || leaf.port == 0 || root.port == leaf.port)
        && (root.source_namespace.is_empty() || root.source_namespace == leaf.source_namespace)
        && labels_fit(root, leaf)
        && gateways_fit(&root.gateways, &leaf.gateways)
}

fn all_fit(root: &Named, leaf: &Named) -> bool {
    let of_root = |name: &Text| root.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    leaf.iter().all(|(name, value)| text_fits(of_root(name), Some(value)))
}

/// Texts fit if one is not given, if both are the same exact text, or if the root's is a prefix of the
/// delegate's. A regular expression fits nothing, not even itself: nobody can tell what lies within it.
fn text_fits(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> bool {
    use StringMatch::{Exact, Prefix};
    match (root, leaf) {
        (None, _) | (_, None) => true,
        (Some(Exact(root)), Some(Exact(leaf))) => root == leaf && !root.is_empty(),
        (Some(Prefix(root)), Some(Prefix(leaf) | Exact(leaf))) => {
            !root.is_empty() && !leaf.is_empty() && leaf.starts_with(&**root)
        }
        _ => false,
    }
}

fn labels_fit(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let same = |(key, value): (&Text, &Text)| root.source_labels.text(key).is_none_or(|other| other == value);
    leaf.source_labels.iter().all(same)
}

fn gateways_fit(root: &[Text], leaf: &[Text]) -> bool {
    if root.is_empty() || leaf.is_empty() {
        return true;
    }
    root.len() >= leaf.len() && leaf.iter().all(|gateway| root.contains(gateway))
}
