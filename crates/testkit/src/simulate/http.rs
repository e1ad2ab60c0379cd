//! The choice of virtual host and route in a connection manager.

use regex::Regex;
use serde_json::Value;

use super::{
    Call, Configuration, Outcome, Refusal, Tls,
    tree::{is, list, text},
};

/// Finds host and route for the call, and notes each in the outcome.
pub(super) fn walk(
    configuration: &Configuration,
    manager: &Value,
    call: &Call,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let config = match manager.pointer("/typedConfig/routeConfig") {
        Some(inline) => inline,
        None => {
            text(manager, "/typedConfig/rds/routeConfigName").clone_into(&mut outcome.route_config);
            configuration.route_config(&outcome.route_config).ok_or(Refusal::NoRouteConfig)?
        }
    };
    let host = pick_host(config, &call.host_header).ok_or(Refusal::NoVirtualHost)?;
    text(host, "/name").clone_into(&mut outcome.virtual_host);
    if text(host, "/requireTls") == "ALL" && call.tls == Tls::Plaintext {
        return Err(Refusal::TlsRedirect);
    }
    let mut routes = list(host, "/routes").iter();
    let route = routes.find(|route| has_path(&route["match"], &call.path)).ok_or(Refusal::NoRoute)?;
    text(route, "/name").clone_into(&mut outcome.route);
    text(route, "/route/cluster").clone_into(&mut outcome.cluster);
    Ok(())
}

/// The virtual host of the exact domain, else of the longest suffix, else of the longest prefix, else of all.
fn pick_host<'a>(config: &'a Value, host: &str) -> Option<&'a Value> {
    let host = if is(config, "/ignorePortInHostMatching") { without_port(host) } else { host };
    let hosts = list(config, "/virtualHosts").iter();
    let ranked = hosts.flat_map(|one| {
        list(one, "/domains").iter().filter_map(Value::as_str).map(move |domain| (rank(domain, host), one))
    });
    // Of equal ranks the first wins, so the later one must be truly better.
    let best = ranked.reduce(|best, one| if one.0 > best.0 { one } else { best });
    best.filter(|(rank, _)| *rank > Rank::default()).map(|(_, one)| one)
}

/// Class of a match (exact 4, suffix 3, prefix 2, all 1), then its length; zero: no match.
type Rank = (u8, usize);

fn rank(domain: &str, host: &str) -> Rank {
    if domain == "*" {
        return (1, 0);
    }
    let suffix = domain.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
    let prefix = domain.strip_suffix('*').is_some_and(|prefix| host.starts_with(prefix));
    let class = if domain == host {
        4
    } else if suffix {
        3
    } else if prefix {
        2
    } else {
        0
    };
    (class, if class == 0 { 0 } else { domain.len() })
}

/// The host without a port; a bare IPv6 address in brackets keeps its colons.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a route's matcher takes the path. Headers and query parameters are not looked at.
fn has_path(matcher: &Value, path: &str) -> bool {
    let value = |name: &str| matcher.get(name).and_then(Value::as_str);
    if let Some(exact) = value("path") {
        return path == exact;
    }
    if let Some(prefix) = value("prefix").or_else(|| value("pathSeparatedPrefix")) {
        return path.starts_with(prefix);
    }
    let pattern = text(matcher, "/safeRegex/regex");
    matcher.get("safeRegex").is_some() && Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(path))
}
