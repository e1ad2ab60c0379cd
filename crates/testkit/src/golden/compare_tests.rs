//! What the comparison calls a difference.

use serde_json::{Value, json};

use super::*;

/// Every difference as `Kind path: expected -> actual`.
fn check(expected: Value, actual: Value, wanted: &[&str]) {
    let line = |one: &Difference| format!("{:?} {}: {} -> {}", one.kind, one.path, one.expected, one.actual);
    let lines: Vec<String> = differences(&expected, &actual).iter().map(line).collect();
    assert_eq!(lines, wanted);
}

#[test]
fn equal_trees_have_no_difference() {
    check(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]}), &[]);
}

#[test]
fn fields_are_missing_extra_or_changed() {
    check(
        json!({"gone": 1, "same": 2, "other": "x"}),
        json!({"new": {}, "same": 2, "other": "y"}),
        &["Missing gone: 1 -> null", "Extra new: null -> {}", "Changed other: \"x\" -> \"y\""],
    );
}

#[test]
fn a_number_has_one_spelling_and_a_string_is_no_number() {
    check(json!({"value": 100}), json!({"value": 100.0}), &[]);
    check(json!({"value": 100}), json!({"value": 100.5}), &["Changed value: 100 -> 100.5"]);
    check(json!({"value": "1"}), json!({"value": 1}), &["Changed value: \"1\" -> 1"]);
}

#[test]
fn an_absent_and_an_empty_message_differ() {
    check(json!({"a": {}}), json!({}), &["Missing a: {} -> null"]);
}

#[test]
fn another_type_is_one_difference() {
    check(
        json!({"typedConfig": {"@type": "T", "x": 1}}),
        json!({"typedConfig": {"@type": "U", "y": 2}}),
        &["Changed typedConfig.@type: \"T\" -> \"U\""],
    );
}

#[test]
fn lists_keep_their_order() {
    check(json!({"path": [1, 2]}), json!({"path": [2, 1]}), &["Order path: [1,2] -> [2,1]"]);
    check(json!({"path": [1, 2]}), json!({"path": [1]}), &["Changed path: [1,2] -> [1]"]);
    check(
        json!({"list": [{"x": 1}, {"x": 2}]}),
        json!({"list": [{"x": 1}, {"x": 3}, {"x": 4}]}),
        &["Changed list[1].x: 2 -> 3", "Extra list[2]: null -> {\"x\":4}"],
    );
}

#[test]
fn a_named_element_too_few_is_one_difference() {
    check(
        json!({"httpFilters": [{"name": "a"}, {"name": "b"}, {"name": "c", "x": 1}]}),
        json!({"httpFilters": [{"name": "b"}, {"name": "c", "x": 2}, {"name": "d"}]}),
        &[
            "Missing httpFilters[a]: {\"name\":\"a\"} -> null",
            "Changed httpFilters[c].x: 1 -> 2",
            "Extra httpFilters[d]: null -> {\"name\":\"d\"}",
        ],
    );
}

#[test]
fn named_elements_in_another_order_are_one_difference() {
    check(
        json!({"routes": [{"name": "a"}, {"name": "b"}]}),
        json!({"routes": [{"name": "b"}, {"name": "a"}]}),
        &["Order routes: [\"a\",\"b\"] -> [\"b\",\"a\"]"],
    );
}

#[test]
fn elements_of_one_name_pair_in_turn() {
    check(
        json!({"routes": [{"name": "default", "x": 1}, {"name": "default", "x": 2}]}),
        json!({"routes": [{"name": "default", "x": 1}, {"name": "default", "x": 3}]}),
        &["Changed routes[default].x: 2 -> 3"],
    );
}

#[test]
fn virtual_hosts_and_domains_have_no_order() {
    let host = |name: &str, domains: &[&str]| json!({"name": name, "domains": domains});
    check(
        json!({"virtualHosts": [host("a", &["a", "a.b"]), host("b", &["b"])]}),
        json!({"virtualHosts": [host("b", &["b"]), host("a", &["a.b", "a"])]}),
        &[],
    );
    check(
        json!({"virtualHosts": [host("a", &["a", "a.b"])]}),
        json!({"virtualHosts": [host("a", &["a", "a.c"]), host("z", &[])]}),
        &[
            "Missing virtualHosts[a].domains[a.b]: \"a.b\" -> null",
            "Extra virtualHosts[a].domains[a.c]: null -> \"a.c\"",
            "Extra virtualHosts[z]: null -> {\"domains\":[],\"name\":\"z\"}",
        ],
    );
}

#[test]
fn multisets_count_their_elements() {
    check(json!({"domains": ["a", "a"]}), json!({"domains": ["a"]}), &["Missing domains[a]: \"a\" -> null"]);
}

#[test]
fn filter_chains_pair_by_name_and_match() {
    let chain = |port: u16, filter: &str| json!({"name": "0.0.0.0_80", "filterChainMatch": {"destinationPort": port}, "filters": [filter]});
    check(
        json!({"filterChains": [chain(1, "a"), chain(2, "b")]}),
        json!({"filterChains": [chain(2, "b"), chain(1, "a")]}),
        &[],
    );
    check(
        json!({"filterChains": [chain(1, "a"), chain(2, "b")]}),
        json!({"filterChains": [chain(2, "c"), chain(1, "a")]}),
        &["Changed filterChains[0.0.0.0_80].filters: [\"b\"] -> [\"c\"]"],
    );
}

#[test]
fn localities_and_endpoints_have_no_order() {
    let endpoint = |ip: &str, weight: u32| json!({"endpoint": {"address": {"socketAddress": {"address": ip}}}, "loadBalancingWeight": weight});
    let locality =
        |zone: &str, endpoints: &[Value]| json!({"locality": {"zone": zone}, "lbEndpoints": endpoints});
    let (one, two) = (endpoint("10.0.0.1", 1), endpoint("10.0.0.2", 1));
    check(
        json!({"endpoints": [locality("a", &[one.clone(), two.clone()]), locality("b", &[])]}),
        json!({"endpoints": [locality("b", &[]), locality("a", &[two.clone(), one.clone()])]}),
        &[],
    );
    check(
        json!({"endpoints": [locality("a", &[one.clone(), two.clone()]), locality("b", &[])]}),
        json!({"endpoints": [locality("b", std::slice::from_ref(&one)), locality("a", &[two, endpoint("10.0.0.1", 5)])]}),
        &[
            "Changed endpoints[a].lbEndpoints[10.0.0.1].loadBalancingWeight: 1 -> 5",
            &format!("Extra endpoints[b].lbEndpoints[10.0.0.1]: null -> {one}"),
        ],
    );
}
