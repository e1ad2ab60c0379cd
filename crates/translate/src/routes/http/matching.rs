//! Conditions of a rule: those decided here, and those that the proxy decides per request.

use envoy_api::envoy::config::route::v3 as route;
use envoy_api::envoy::r#type::matcher::v3 as matcher;
use model::Text;
use model::networking::{HttpMatch, StringMatch};
use route::header_matcher::HeaderMatchSpecifier;
use route::query_parameter_matcher::QueryParameterMatchSpecifier;
use route::route_match::PathSpecifier;

use super::Client;

/// Header names that stand for claims of a JWT: `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`.
const CLAIMS: &str = "@request.auth.claims";

/// Whether the condition is for this client; one that names gateways says nothing about the source.
pub(super) fn is_for(condition: &HttpMatch, client: &Client) -> bool {
    if !condition.gateways.is_empty() {
        return condition.gateways.iter().any(|gateway| client.gateways.contains(gateway));
    }
    condition.source_labels.selects(&client.labels)
        && (condition.source_namespace.is_empty() || condition.source_namespace == client.namespace)
}

/// Whether every request meets the condition, once it is for this port and client.
pub(super) fn is_catch_all(condition: &HttpMatch) -> bool {
    let path = match &condition.uri {
        None | Some(StringMatch::Present) => true,
        Some(StringMatch::Prefix(prefix)) => &**prefix == "/",
        Some(StringMatch::Regex(regex)) => &**regex == ".*",
        Some(StringMatch::Exact(_)) => false,
    };
    let pseudo = [&condition.method, &condition.authority, &condition.scheme];
    path && condition.headers.is_empty()
        && condition.without_headers.is_empty()
        && condition.query_params.is_empty()
        && pseudo.iter().all(|one| one.is_none())
}

/// The condition as Envoy's; without one, every path.
pub(super) fn build(condition: Option<&HttpMatch>) -> route::RouteMatch {
    let every = PathSpecifier::Prefix("/".into());
    let Some(condition) = condition else {
        return route::RouteMatch { path_specifier: Some(every), ..Default::default() };
    };
    route::RouteMatch {
        path_specifier: Some(path(condition).unwrap_or(every)),
        case_sensitive: Some(!condition.ignore_uri_case),
        headers: headers(condition),
        query_parameters: condition.query_params.iter().map(|(name, value)| query(name, value)).collect(),
        dynamic_metadata: claims(condition),
        ..Default::default()
    }
}

/// The path of a condition as it appears in traces: with `*` behind a prefix.
pub(super) fn operation_path(condition: Option<&HttpMatch>) -> String {
    match condition.and_then(|one| one.uri.as_ref()) {
        None | Some(StringMatch::Present) => "/*".into(),
        Some(StringMatch::Prefix(prefix)) => format!("{prefix}*"),
        Some(StringMatch::Exact(path) | StringMatch::Regex(path)) => path.to_string(),
    }
}

fn path(condition: &HttpMatch) -> Option<PathSpecifier> {
    Some(match condition.uri.as_ref()? {
        StringMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        StringMatch::Prefix(prefix) => PathSpecifier::Prefix(prefix.to_string()),
        StringMatch::Regex(regex) => PathSpecifier::SafeRegex(self::regex(regex)),
        StringMatch::Present => return None,
    })
}

/// Headers by name, then the pseudo headers.
fn headers(condition: &HttpMatch) -> Vec<route::HeaderMatcher> {
    let plain = |(name, _): &&(Text, StringMatch)| claim(name).is_none();
    let wanted = condition.headers.iter().filter(plain).map(|(name, value)| header(name, value));
    let unwanted = condition.without_headers.iter().filter(plain);
    let unwanted = unwanted.map(|(name, value)| route::HeaderMatcher {
        invert_match: true,
        treat_missing_header_as_empty: !is_present(value),
        ..header(name, value)
    });
    let mut all: Vec<_> = wanted.chain(unwanted).collect();
    all.sort_by(|one, two| one.name.cmp(&two.name));
    let pseudo = [
        (":method", &condition.method),
        (":authority", &condition.authority),
        (":scheme", &condition.scheme),
    ];
    all.extend(pseudo.iter().filter_map(|(name, value)| Some(header(name, value.as_ref()?))));
    all
}

fn header(name: &str, value: &StringMatch) -> route::HeaderMatcher {
    let specifier = match text(value) {
        Some(text) => HeaderMatchSpecifier::StringMatch(text),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    route::HeaderMatcher { name: name.into(), header_match_specifier: Some(specifier), ..Default::default() }
}

fn query(name: &str, value: &StringMatch) -> route::QueryParameterMatcher {
    let specifier = match text(value) {
        Some(text) => QueryParameterMatchSpecifier::StringMatch(text),
        None => QueryParameterMatchSpecifier::PresentMatch(true),
    };
    route::QueryParameterMatcher { name: name.into(), query_parameter_match_specifier: Some(specifier) }
}

/// Whether any value will do; `*` is no regular expression and is taken for that.
fn is_present(value: &StringMatch) -> bool {
    match value {
        StringMatch::Present => true,
        StringMatch::Regex(regex) => &**regex == "*",
        StringMatch::Exact(_) | StringMatch::Prefix(_) => false,
    }
}

/// A text condition as Envoy's; `None` if any value will do.
pub(super) fn text(value: &StringMatch) -> Option<matcher::StringMatcher> {
    use matcher::string_matcher::MatchPattern;
    if is_present(value) {
        return None;
    }
    let pattern = match value {
        StringMatch::Exact(text) => MatchPattern::Exact(text.to_string()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        StringMatch::Regex(text) => MatchPattern::SafeRegex(regex(text)),
        StringMatch::Present => return None,
    };
    Some(matcher::StringMatcher { match_pattern: Some(pattern), ..Default::default() })
}

/// A regular expression; RE2 is the only engine.
pub(super) fn regex(text: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: text.into(), ..Default::default() }
}

fn claims(condition: &HttpMatch) -> Vec<matcher::MetadataMatcher> {
    let of = |list: &[(Text, StringMatch)], invert: bool| {
        let found = list.iter().filter_map(|(name, value)| Some((claim(name)?, value)));
        found.map(|(path, value)| claim_matcher(&path, value, invert)).collect::<Vec<_>>()
    };
    [of(&condition.headers, false), of(&condition.without_headers, true)].concat()
}

/// The claim that a header name stands for, outermost first; `None` for a real header.
fn claim(name: &str) -> Option<Vec<&str>> {
    let head = name.get(..CLAIMS.len())?;
    let rest = name.get(CLAIMS.len()..)?;
    if !head.eq_ignore_ascii_case(CLAIMS) || rest.len() < 2 {
        return None;
    }
    if let Some(dotted) = rest.strip_prefix('.') {
        return Some(dotted.split('.').collect());
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.is_empty()).then(|| inner.split("][").collect())
}

/// A claim that is this text or a list with it.
fn claim_matcher(claim: &[&str], value: &StringMatch, invert: bool) -> matcher::MetadataMatcher {
    use matcher::metadata_matcher::{PathSegment, path_segment::Segment};
    let segment = |key: &str| PathSegment { segment: Some(Segment::Key(key.into())) };
    matcher::MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".into(),
        path: std::iter::once("payload").chain(claim.iter().copied()).map(segment).collect(),
        value: Some(claim_value(value)),
        invert,
    }
}

fn claim_value(value: &StringMatch) -> matcher::ValueMatcher {
    use matcher::list_matcher::MatchPattern as ListPattern;
    use matcher::value_matcher::MatchPattern;
    let of = |pattern| matcher::ValueMatcher { match_pattern: Some(pattern) };
    let Some(text) = text(value) else {
        return of(MatchPattern::PresentMatch(true));
    };
    let one = of(MatchPattern::StringMatch(text));
    let list = matcher::ListMatcher { match_pattern: Some(ListPattern::OneOf(Box::new(one.clone()))) };
    let list = of(MatchPattern::ListMatch(Box::new(list)));
    of(MatchPattern::OrMatch(matcher::OrMatcher { value_matchers: vec![list, one] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_named_with_dots_or_brackets() {
        assert_eq!(claim("@request.auth.claims.a.b"), Some(vec!["a", "b"]));
        assert_eq!(claim("@Request.Auth.Claims[a][b.c]"), Some(vec!["a", "b.c"]));
        for name in ["@request.auth.claims", "@request.auth.claims.", "@request.auth.claims[]", "x"] {
            assert_eq!(claim(name), None, "{name}");
        }
    }

    #[test]
    fn a_condition_on_a_path_or_anything_else_is_no_catch_all() {
        let on = |uri| HttpMatch { uri: Some(uri), ..HttpMatch::default() };
        assert!(is_catch_all(&HttpMatch::default()));
        assert!(is_catch_all(&on(StringMatch::Prefix("/".into()))));
        assert!(is_catch_all(&on(StringMatch::Regex(".*".into()))));
        assert!(!is_catch_all(&on(StringMatch::Prefix("/a".into()))));
        assert!(!is_catch_all(&on(StringMatch::Exact("/".into()))));
        let method = Some(StringMatch::Present);
        assert!(!is_catch_all(&HttpMatch { method, ..HttpMatch::default() }));
    }
}
