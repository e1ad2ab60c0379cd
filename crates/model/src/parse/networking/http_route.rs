//! HTTP rules: where requests go and what is done to them.

use std::collections::BTreeMap;

use istio_api::networking as api;

use super::super::substitution::{Place, fault as format_fault};
use super::http_match::{check_name, http_match, string_match};
use super::reader::{Reader, text, texts};
use super::virtual_service::{destination, required_destination};
use crate::networking::{
    Cors, DirectResponse, Fault, FaultAbort, FaultDelay, FaultError, HeaderChanges, HeaderOperations,
    HttpDestination, HttpRoute, Mirror, Redirect, RedirectPort, ResponseBody, Retry, Rewrite, Share,
    StringMatch,
};
use crate::{Millionths, Text};

/// One HTTP rule.
pub(super) fn http_route(reader: &mut Reader<'_>, spec: &api::HttpRoute) -> HttpRoute {
    one_action(reader, spec);
    let delegate = spec.delegate.as_ref().map(|delegate| {
        let own = reader.namespace().clone();
        (text(&delegate.name), if delegate.namespace.is_empty() { own } else { text(&delegate.namespace) })
    });
    HttpRoute {
        name: text(&spec.name),
        matches: reader.each("match", &spec.r#match, http_match),
        routes: destinations(reader, &spec.route),
        redirect: reader.optional("redirect", spec.redirect.as_ref(), redirect),
        direct_response: reader.optional("directResponse", spec.direct_response.as_ref(), direct_response),
        delegate,
        rewrite: reader.optional("rewrite", spec.rewrite.as_ref(), rewrite),
        timeout: reader.duration("timeout", spec.timeout),
        retries: reader.optional("retries", spec.retries.as_ref(), retry),
        fault: reader.optional("fault", spec.fault.as_ref(), fault),
        mirror: reader.optional("mirror", spec.mirror.as_ref(), destination),
        mirror_percentage: reader.optional("mirrorPercentage", spec.mirror_percentage.as_ref(), millionths),
        mirror_percent: spec.mirror_percent.map(|percent| mirror_percent(reader, percent)),
        mirrors: reader.each("mirrors", &spec.mirrors, mirror),
        cors: reader.optional("corsPolicy", spec.cors_policy.as_ref(), cors),
        headers: header_changes(reader, spec.headers.as_ref()),
    }
}

/// A rule routes, redirects, answers or delegates, and does one of these only.
fn one_action(reader: &mut Reader<'_>, spec: &api::HttpRoute) {
    let routes = !spec.route.is_empty();
    let actions = [routes, spec.redirect.is_some(), spec.direct_response.is_some(), spec.delegate.is_some()];
    match actions.iter().filter(|action| **action).count() {
        0 => reader.refuse("", "action-missing", "a rule needs route, redirect, directResponse or delegate"),
        1 => {}
        _ => reader.refuse(
            "",
            "actions-exclude",
            "route, redirect, directResponse and delegate exclude each other",
        ),
    }
}

fn destinations(reader: &mut Reader<'_>, spec: &[api::HttpRouteDestination]) -> Vec<HttpDestination> {
    let routes = reader.each("route", spec, |reader, one| HttpDestination {
        destination: required_destination(reader, one.destination.as_ref()),
        weight: reader.weight(one.weight),
        headers: header_changes(reader, one.headers.as_ref()),
    });
    reader.weights("route", routes.iter().map(|one| one.weight));
    routes
}

fn redirect(reader: &mut Reader<'_>, spec: &api::HttpRedirect) -> Redirect {
    let (uri, uri_is_prefix) = match spec.prefix_rewrite.as_str() {
        "" => (spec.uri.as_str(), false),
        prefix => (prefix, true),
    };
    if !matches!(spec.redirect_code, 0 | 301 | 302 | 303 | 307 | 308) {
        let detail = format!("{} is none of 301, 302, 303, 307 and 308", spec.redirect_code);
        reader.refuse("redirectCode", "redirect-code-invalid", detail);
    }
    check_value(reader, "uri", &spec.uri);
    check_value(reader, "prefixRewrite", &spec.prefix_rewrite);
    check_value(reader, "authority", &spec.authority);
    check_value(reader, "scheme", &spec.scheme);
    let port = match (spec.derive_port, spec.port) {
        (Some(api::RedirectPortSelection::FromProtocolDefault), _) => RedirectPort::ProtocolDefault,
        (Some(api::RedirectPortSelection::FromRequestPort), _) => RedirectPort::RequestPort,
        (None, Some(port)) => RedirectPort::Port(reader.port("port", port)),
        (None, None) => RedirectPort::Unset,
    };
    Redirect {
        uri: text(uri),
        uri_is_prefix,
        authority: text(&spec.authority),
        scheme: text(&spec.scheme),
        port,
        code: spec.redirect_code,
    }
}

/// The longest body of a direct response (`max_direct_response_body_size_bytes` of every route table).
const MOST_BODY_BYTES: usize = 1 << 20;

fn direct_response(reader: &mut Reader<'_>, spec: &api::HttpDirectResponse) -> DirectResponse {
    // The range that proxies accept.
    if !(200..600).contains(&spec.status) {
        let detail = format!("{} is not in the range 200 to 599", spec.status);
        reader.refuse("status", "status-out-of-range", detail);
    }
    let body = spec.body.as_ref().and_then(|body| match (&body.string, &body.bytes) {
        (_, Some(bytes)) => Some(ResponseBody::Bytes(bytes.0.clone())),
        (Some(string), None) => Some(ResponseBody::Text(text(string))),
        (None, None) => None,
    });
    let length = match &body {
        Some(ResponseBody::Bytes(bytes)) => bytes.len(),
        Some(ResponseBody::Text(text)) => text.len(),
        None => 0,
    };
    if length > MOST_BODY_BYTES {
        let detail = format!("the body has {length} bytes, and proxies take {MOST_BODY_BYTES} at most");
        reader.refuse("body", "body-too-long", detail);
    }
    DirectResponse { status: spec.status, body }
}

fn rewrite(reader: &mut Reader<'_>, spec: &api::HttpRewrite) -> Rewrite {
    let uri_regex = reader.optional("uriRegexRewrite", spec.uri_regex_rewrite.as_ref(), |reader, regex| {
        check_value(reader, "rewrite", &regex.rewrite);
        (reader.regex("match", &regex.r#match), text(&regex.rewrite))
    });
    check_value(reader, "uri", &spec.uri);
    check_value(reader, "authority", &spec.authority);
    if uri_regex.is_some() && !spec.uri.is_empty() {
        reader.refuse("uriRegexRewrite", "rewrites-exclude", "uri and uriRegexRewrite exclude each other");
    }
    Rewrite { uri: text(&spec.uri), authority: text(&spec.authority), uri_regex }
}

/// Retries of a rule or of the mesh.
pub(in crate::parse) fn retry(reader: &mut Reader<'_>, spec: &api::HttpRetry) -> Retry {
    if spec.attempts < 0 {
        reader.refuse("attempts", "number-negative", format!("{} is negative", spec.attempts));
    }
    Retry {
        attempts: spec.attempts,
        per_try_timeout: reader.duration("perTryTimeout", spec.per_try_timeout),
        retry_on: text(&spec.retry_on),
        remote_localities: spec.retry_remote_localities,
        ignore_previous_hosts: spec.retry_ignore_previous_hosts,
        backoff: reader.positive_duration("backoff", spec.backoff),
    }
}

fn fault(reader: &mut Reader<'_>, spec: &api::HttpFaultInjection) -> Fault {
    Fault {
        delay: reader.optional("delay", spec.delay.as_ref(), fault_delay),
        abort: reader.optional("abort", spec.abort.as_ref(), fault_abort),
    }
}

fn fault_delay(reader: &mut Reader<'_>, spec: &api::FaultDelay) -> FaultDelay {
    let share = match (&spec.percentage, reader.limit("percent", spec.percent)) {
        (Some(percentage), _) => fraction(reader, percentage),
        (None, Some(percent)) => Share::Percent(percent),
        (None, None) => Share::Unset,
    };
    if spec.exponential_delay.is_some() {
        reader.leave_out("exponentialDelay", "delay-unknown", "proxies know only fixed delays");
    }
    FaultDelay { fixed: reader.positive_duration("fixedDelay", spec.fixed_delay), share }
}

fn fault_abort(reader: &mut Reader<'_>, spec: &api::FaultAbort) -> FaultAbort {
    let share = spec.percentage.as_ref().map_or(Share::Unset, |percentage| fraction(reader, percentage));
    let error = match (&spec.http2_error, &spec.grpc_status, spec.http_status) {
        (Some(_), _, _) => {
            reader.leave_out("http2Error", "abort-unknown", "proxies know only httpStatus and grpcStatus");
            FaultError::Unset
        }
        (None, Some(status), _) => FaultError::Grpc(text(status)),
        (None, None, Some(status)) => FaultError::Http(abort_status(reader, status)),
        (None, None, None) => FaultError::Unset,
    };
    FaultAbort { error, share }
}

/// The status of an abort, in the range that proxies accept.
fn abort_status(reader: &mut Reader<'_>, status: i32) -> u32 {
    match u32::try_from(status) {
        Ok(status) if (200..600).contains(&status) => status,
        _ => {
            let detail = format!("{status} is not in the range 200 to 599");
            reader.refuse("httpStatus", "status-out-of-range", detail);
            0
        }
    }
}

/// A share as a fraction; what is not between 0 and 100 percent is refused.
fn fraction(reader: &mut Reader<'_>, spec: &api::Percent) -> Share {
    Share::Fraction(millionths(reader, spec))
}

fn millionths(reader: &mut Reader<'_>, spec: &api::Percent) -> Millionths {
    if !(0.0..=100.0).contains(&spec.value) {
        let detail = format!("{} is not in the range 0 to 100", spec.value);
        reader.refuse("percentage.value", "percentage-out-of-range", detail);
    }
    Millionths::from_percent(spec.value)
}

fn mirror(reader: &mut Reader<'_>, spec: &api::HttpMirrorPolicy) -> Mirror {
    Mirror {
        destination: required_destination(reader, spec.destination.as_ref()),
        share: spec.percentage.as_ref().map_or(Share::Unset, |percentage| fraction(reader, percentage)),
    }
}

fn mirror_percent(reader: &mut Reader<'_>, percent: u32) -> u32 {
    if percent > 100 {
        reader.refuse("mirrorPercent", "percentage-out-of-range", format!("{percent} is above 100"));
    }
    percent
}

fn cors(reader: &mut Reader<'_>, spec: &api::CorsPolicy) -> Cors {
    let mut origins = reader.each("allowOrigins", &spec.allow_origins, string_match);
    if origins.is_empty() {
        origins = spec.allow_origin.iter().map(|origin| StringMatch::Exact(text(origin))).collect();
    }
    Cors {
        origins,
        methods: texts(&spec.allow_methods),
        headers: texts(&spec.allow_headers),
        expose_headers: texts(&spec.expose_headers),
        max_age: reader.duration("maxAge", spec.max_age),
        credentials: spec.allow_credentials,
        forward_unmatched: match spec.unmatched_preflights {
            api::UnmatchedPreflights::Unspecified => None,
            api::UnmatchedPreflights::Forward => Some(true),
            api::UnmatchedPreflights::Ignore => Some(false),
        },
    }
}

fn header_changes(reader: &mut Reader<'_>, spec: Option<&api::Headers>) -> HeaderChanges {
    let Some(spec) = spec else { return HeaderChanges::default() };
    HeaderChanges {
        request: reader.inside("headers.request", |reader| header_operations(reader, spec.request.as_ref())),
        response: reader
            .inside("headers.response", |reader| header_operations(reader, spec.response.as_ref())),
    }
}

fn header_operations(reader: &mut Reader<'_>, spec: Option<&api::HeaderOperations>) -> HeaderOperations {
    let Some(spec) = spec else { return HeaderOperations::default() };
    for name in &spec.remove {
        check_name(reader, "remove", name);
    }
    HeaderOperations {
        set: values(reader, "set", &spec.set),
        add: values(reader, "add", &spec.add),
        remove: texts(&spec.remove),
    }
}

/// Headers and their values; one whose value proxies cannot make a format of is left out, alone.
fn values(reader: &mut Reader<'_>, field: &str, written: &BTreeMap<String, String>) -> Vec<(Text, Text)> {
    let mut pairs = Vec::with_capacity(written.len());
    for (name, value) in written {
        check_name(reader, field, name);
        check_value(reader, &format!("{field}.{name}"), value);
        // What these two say becomes the authority as it is, or nothing.
        let is_format = !name.starts_with(':') && !name.eq_ignore_ascii_case("host");
        match format_fault(value, Place::Header).filter(|_| is_format) {
            Some(fault) => {
                let outcome = "the header is left out, the rest of the route is served";
                reader.fail(&format!("{field}.{name}"), fault.code(), (fault.detail(), outcome));
            }
            None => pairs.push((text(name), text(value))),
        }
    }
    pairs
}

/// A value that ends up in a header, of a request or of the answer.
fn check_value(reader: &mut Reader<'_>, field: &str, value: &str) {
    if value.contains(['\0', '\r', '\n']) {
        reader.refuse(field, "value-invalid", "the value has a character that no header may have");
    }
}

#[cfg(test)]
#[path = "http_route_tests.rs"]
mod tests;
