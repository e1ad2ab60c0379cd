//! What must hold of any configuration before a call is sent through it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Configuration,
    tree::{has_type, list, text},
};

/// Everything that is wrong: names that occur twice, references that lead nowhere, domains claimed twice,
/// filter chains that match the same connections.
pub fn problems(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    let kinds = [
        ("listener", &configuration.listeners),
        ("cluster", &configuration.clusters),
        ("route configuration", &configuration.routes),
    ];
    for (kind, resources) in kinds {
        let names = resources.iter().map(|resource| text(resource, "/name").to_owned());
        found.extend(twice(names).map(|name| format!("{kind} {name} occurs twice")));
    }
    for listener in &configuration.listeners {
        listener_problems(configuration, listener, &mut found);
    }
    for config in &configuration.routes {
        route_problems(config, &mut found);
    }
    found
}

fn listener_problems(configuration: &Configuration, listener: &Value, found: &mut Vec<String>) {
    let name = text(listener, "/name");
    let chains = list(listener, "/filterChains");
    let matches =
        chains.iter().map(|chain| chain.get("filterChainMatch").map(Value::to_string).unwrap_or_default());
    found.extend(twice(matches).map(|one| format!("listener {name}: two filter chains match {one:?}")));
    for filter in
        chains.iter().chain(listener.get("defaultFilterChain")).flat_map(|chain| list(chain, "/filters"))
    {
        if !has_type(filter, "HttpConnectionManager") {
            continue;
        }
        if let Some(inline) = filter.pointer("/typedConfig/routeConfig") {
            route_problems(inline, found);
        }
        let routes = text(filter, "/typedConfig/rds/routeConfigName");
        if !routes.is_empty() && configuration.route_config(routes).is_none() {
            found.push(format!("listener {name}: route configuration {routes} was not served"));
        }
    }
}

fn route_problems(config: &Value, found: &mut Vec<String>) {
    let name = text(config, "/name");
    let hosts = list(config, "/virtualHosts");
    let names = twice(hosts.iter().map(|host| text(host, "/name").to_owned()));
    found.extend(names.map(|host| format!("route configuration {name}: virtual host {host} occurs twice")));
    let domains = hosts.iter().flat_map(|host| list(host, "/domains")).filter_map(Value::as_str);
    let domains = twice(domains.map(str::to_ascii_lowercase));
    found.extend(
        domains.map(|domain| format!("route configuration {name}: domain {domain} is claimed twice")),
    );
}

fn twice(names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| !seen.insert(name.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(listeners: Value, routes: Value, wanted: &[&str]) {
        let of = |value: Value| value.as_array().cloned().unwrap_or_default();
        let configuration =
            Configuration { listeners: of(listeners), routes: of(routes), clusters: Vec::new() };
        assert_eq!(problems(&configuration), wanted);
    }

    fn manager(routes: &str) -> Value {
        json!({"typedConfig": {"@type": "t/x.v3.HttpConnectionManager", "rds": {"routeConfigName": routes}}})
    }

    #[test]
    fn names_are_unique_by_kind() {
        check(json!([{"name": "a"}, {"name": "a"}]), json!([{"name": "a"}]), &["listener a occurs twice"]);
    }

    #[test]
    fn routes_that_a_listener_names_are_served() {
        let listener = json!({"name": "l", "filterChains": [{"filters": [manager("80")]}]});
        check(json!([listener]), json!([{"name": "80"}]), &[]);
        check(json!([listener]), json!([]), &["listener l: route configuration 80 was not served"]);
        let default = json!({"name": "l", "defaultFilterChain": {"filters": [manager("80")]}});
        check(json!([default]), json!([]), &["listener l: route configuration 80 was not served"]);
    }

    #[test]
    fn two_chains_do_not_match_the_same() {
        let chain = |port: u16| json!({"filterChainMatch": {"destinationPort": port}});
        check(json!([{"name": "l", "filterChains": [chain(1), chain(2)]}]), json!([]), &[]);
        let wanted = "listener l: two filter chains match \"{\\\"destinationPort\\\":1}\"";
        check(json!([{"name": "l", "filterChains": [chain(1), chain(1)]}]), json!([]), &[wanted]);
    }

    #[test]
    fn hosts_and_domains_are_unique() {
        let host = |name: &str, domain: &str| json!({"name": name, "domains": [domain]});
        check(json!([]), json!([{"name": "80", "virtualHosts": [host("a", "a"), host("b", "b")]}]), &[]);
        check(
            json!([]),
            json!([{"name": "80", "virtualHosts": [host("a", "a"), host("a", "A")]}]),
            &[
                "route configuration 80: virtual host a occurs twice",
                "route configuration 80: domain a is claimed twice",
            ],
        );
    }
}
