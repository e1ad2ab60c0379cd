//! Where calls arrive through small configurations.

use serde_json::{Value, json};

use super::*;

fn outcome(listeners: Value, routes: Value, call: Value) -> Outcome {
    let of = |value: Value| value.as_array().cloned().unwrap_or_default();
    let configuration = Configuration { listeners: of(listeners), routes: of(routes), clusters: Vec::new() };
    simulate(&configuration, &serde_json::from_value(call).expect("a call"))
}

/// What a call through one listener comes to: cluster, else the refusal.
fn check(listener: &Value, call: Value, wanted: &str) {
    let mut listener = listener.clone();
    listener["name"] = json!("l");
    listener["address"] = json!({"socketAddress": {"address": "0.0.0.0", "portValue": 80}});
    let mut with_port = json!({"port": 80, "protocol": "tcp"});
    with_port.as_object_mut().expect("a call").extend(call.as_object().expect("a call").clone());
    let result = outcome(json!([listener]), json!([]), with_port);
    let refusal = |error| serde_json::to_value(error).expect("a name").as_str().map(str::to_owned);
    assert_eq!(result.error.and_then(refusal).unwrap_or(result.cluster), wanted);
}

fn chain(cluster: &str, matched: Value) -> Value {
    let proxy = json!({"typedConfig": {"@type": "t/x.v3.TcpProxy", "cluster": cluster}});
    json!({"name": cluster, "filterChainMatch": matched, "filters": [proxy]})
}

fn chains(chains: &[Value]) -> Value {
    json!({"filterChains": chains})
}

fn inspector(kind: &str) -> Value {
    json!({"name": kind, "typedConfig": {"@type": format!("t/envoy.x.v3.{kind}")}})
}

fn with_tls(chains: &[Value]) -> Value {
    json!({"listenerFilters": [inspector("TlsInspector")], "filterChains": chains})
}

fn with_both(chains: &[Value]) -> Value {
    json!({"listenerFilters": [inspector("TlsInspector"), inspector("HttpInspector")], "filterChains": chains})
}

#[test]
fn the_exact_listener_is_before_the_wildcard_and_that_before_the_captured_one() {
    let at = |name: &str, address: &str, port: u16| {
        json!({"name": name, "address": {"socketAddress": {"address": address, "portValue": port}},
               "filterChains": [chain("c", json!({}))]})
    };
    let all = [at("any", "0.0.0.0", 80), at("exact", "1.2.3.4", 80), at("virtualOutbound", "0.0.0.0", 15001)];
    let listener = |call: Value| outcome(json!(all), json!([]), call).listener;
    assert_eq!(listener(json!({"address": "1.2.3.4", "port": 80})), "exact");
    assert_eq!(listener(json!({"port": 80})), "any");
    assert_eq!(listener(json!({"port": 81})), "virtualOutbound");
    let inbound = outcome(json!(all), json!([]), json!({"port": 80, "call_mode": "inbound"}));
    assert_eq!(inbound.error, Some(Refusal::NoListener));
    let found =
        outcome(json!([at("virtualInbound", "0.0.0.0", 15006)]), json!([]), json!({"call_mode": "inbound"}));
    assert_eq!(found.listener, "virtualInbound");
}

#[test]
fn a_set_port_beats_an_unset_one_and_a_wrong_one_falls_out() {
    let all = chains(&[chain("any", json!({})), chain("80", json!({"destinationPort": 80}))]);
    check(&all, json!({}), "80");
    let other = chains(&[chain("any", json!({})), chain("81", json!({"destinationPort": 81}))]);
    check(&other, json!({}), "any");
    check(&chains(&[chain("81", json!({"destinationPort": 81}))]), json!({}), "no_filter_chain");
}

#[test]
fn the_longest_prefix_wins() {
    let range =
        |prefix: &str, length: u8| json!({"prefixRanges": [{"addressPrefix": prefix, "prefixLen": length}]});
    let all = chains(&[
        chain("16", range("10.1.0.0", 16)),
        chain("24", range("10.1.2.0", 24)),
        chain("any", json!({})),
    ]);
    check(&all, json!({"address": "10.1.2.3"}), "24");
    check(&all, json!({"address": "10.1.9.9"}), "16");
    check(&all, json!({"address": "10.2.0.1"}), "any");
}

#[test]
fn the_exact_server_name_beats_the_longest_wildcard() {
    let names = |names: &[&str]| json!({"serverNames": names});
    let all = [
        chain("short", names(&["*.com"])),
        chain("long", names(&["*.b.com"])),
        chain("exact", names(&["a.b.com"])),
        chain("any", json!({})),
    ];
    let all = with_tls(&all);
    let tls = |sni: &str| json!({"tls": "tls", "sni": sni});
    check(&all, tls("a.b.com"), "exact");
    check(&all, tls("z.b.com"), "long");
    check(&all, tls("z.com"), "short");
    check(&all, tls("z.org"), "any");
    check(&all, json!({"tls": "tls", "host_header": "a.b.com"}), "exact");
    check(&all, json!({"tls": "mtls", "host_header": "a.b.com"}), "any");
}

#[test]
fn an_unset_field_does_not_match_once_a_sibling_matched_a_set_one() {
    let both = json!({"serverNames": ["a.com"], "applicationProtocols": ["h2"]});
    let all = with_tls(&[chain("both", both), chain("any", json!({}))]);
    check(&all, json!({"tls": "tls", "sni": "a.com", "alpn": "other"}), "no_filter_chain");
}

#[test]
fn without_a_tls_inspector_all_is_raw_and_nameless() {
    let all = [
        chain("tls", json!({"transportProtocol": "tls"})),
        chain("raw", json!({"transportProtocol": "raw_buffer"})),
    ];
    check(&with_tls(&all), json!({"tls": "tls"}), "tls");
    check(&with_tls(&all), json!({}), "raw");
    check(&chains(&all), json!({"tls": "tls"}), "raw");
    let protocols = [chain("istio", json!({"applicationProtocols": ["istio"]})), chain("any", json!({}))];
    check(&with_tls(&protocols), json!({"tls": "mtls"}), "istio");
    check(&chains(&protocols), json!({"tls": "mtls"}), "any");
}

#[test]
fn protocols_imply_what_the_handshake_offers() {
    let protocols = ["istio-http/1.1", "istio-h2", "istio", "http/1.1", "h2", "h2c"];
    let mut all: Vec<Value> =
        protocols.iter().map(|p| chain(p, json!({"applicationProtocols": [p]}))).collect();
    all.push(chain("none", json!({})));
    let all = with_both(&all);
    let call = |tls: &str, protocol: &str| json!({"tls": tls, "protocol": protocol});
    check(&all, call("mtls", "http"), "istio-http/1.1");
    check(&all, call("mtls", "http2"), "istio-h2");
    check(&all, call("mtls", "tcp"), "istio");
    check(&all, call("tls", "http"), "http/1.1");
    check(&all, call("tls", "http2"), "h2");
    check(&all, call("tls", "tcp"), "none");
    check(&all, call("plaintext", "http"), "http/1.1");
    check(&all, call("plaintext", "http2"), "h2c");
    check(&all, call("plaintext", "tcp"), "none");
    check(&all, json!({"tls": "tls", "alpn": "istio"}), "istio");
    check(&all, json!({"alpn": "istio"}), "bad_call");
}

#[test]
fn a_disabled_inspector_is_none() {
    let listener = |predicate: Value| {
        let mut filter = inspector("HttpInspector");
        filter["filterDisabled"] = predicate;
        let all = [chain("http", json!({"applicationProtocols": ["http/1.1"]})), chain("any", json!({}))];
        json!({"listenerFilters": [filter], "filterChains": all})
    };
    let range = |start: u16, end: u16| json!({"destinationPortRange": {"start": start, "end": end}});
    let call = || json!({"protocol": "http"});
    check(&listener(range(80, 81)), call(), "any");
    check(&listener(range(70, 80)), call(), "http");
    check(&listener(json!({"orMatch": {"rules": [range(1, 2), range(80, 81)]}})), call(), "any");
    check(&listener(json!({"andMatch": {"rules": [range(1, 2), range(80, 81)]}})), call(), "http");
    check(&listener(json!({"andMatch": {"rules": [range(1, 90), range(80, 81)]}})), call(), "any");
    check(&listener(json!({"notMatch": range(80, 81)})), call(), "http");
    check(&listener(json!({"notMatch": range(1, 2)})), call(), "any");
    check(&listener(json!({"anyMatch": true})), call(), "any");
}

#[test]
fn two_chains_left_are_an_error_and_none_left_is_the_default_chain() {
    check(&chains(&[chain("a", json!({})), chain("b", json!({}))]), json!({}), "multiple_filter_chain");
    let mut only_default = chains(&[chain("81", json!({"destinationPort": 81}))]);
    only_default["defaultFilterChain"] = chain("default", json!({}));
    check(&only_default, json!({}), "default");
}

#[test]
fn a_transport_socket_asks_for_tls_and_for_the_right_kind() {
    let socket = |require: bool, secret: &str| {
        let mut chain = chain("c", json!({}));
        let secrets = json!([{"name": secret}]);
        chain["transportSocket"] = json!({"typedConfig": {
            "requireClientCertificate": require, "commonTlsContext": {"tlsCertificateSdsSecretConfigs": secrets}}});
        with_tls(&[chain])
    };
    let (mutual, simple) = (socket(true, "default"), socket(false, "default"));
    check(&mutual, json!({}), "tls_error");
    check(&mutual, json!({"tls": "mtls"}), "c");
    check(&mutual, json!({"tls": "tls"}), "mtls_error");
    check(&simple, json!({"tls": "tls"}), "c");
    check(&simple, json!({"tls": "mtls"}), "mtls_error");
    check(&socket(true, "other"), json!({"tls": "tls"}), "c");
    check(&socket(true, "other"), json!({"tls": "mtls", "mtls_secret_config_name": "other"}), "c");
}

fn manager(config: Value) -> Value {
    let filter = json!({"typedConfig": {"@type": "t/x.v3.HttpConnectionManager", "routeConfig": config}});
    chains(&[json!({"name": "c", "filters": [filter]})])
}

fn host(name: &str, domains: &[&str]) -> Value {
    json!({"name": name, "domains": domains, "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name}}]})
}

fn get(host: &str) -> Value {
    json!({"protocol": "http", "host_header": host})
}

#[test]
fn a_connection_manager_wants_http_in_the_clear() {
    let listener = manager(json!({"virtualHosts": [host("all", &["*"])]}));
    check(&listener, get("a"), "all");
    check(&listener, json!({"protocol": "tcp"}), "protocol_error");
    check(&listener, json!({"protocol": "http", "tls": "tls"}), "protocol_error");
}

#[test]
fn virtual_hosts_match_exactly_then_by_suffix_then_by_prefix_then_all() {
    let hosts = json!([
        host("all", &["*"]),
        host("prefix", &["www.*"]),
        host("short", &["*.com"]),
        host("long", &["*.b.com"]),
        host("exact", &["www.b.com"]),
    ]);
    let listener = manager(json!({"virtualHosts": hosts}));
    check(&listener, get("www.b.com"), "exact");
    check(&listener, get("www.x.b.com"), "long");
    check(&listener, get("www.com"), "short");
    check(&listener, get("www.org"), "prefix");
    check(&listener, get("org"), "all");
    check(&listener, get("www.b.com:80"), "prefix");
    check(&manager(json!({"virtualHosts": [host("a", &["a.com"])]})), get("b.com"), "no_virtual_host");
}

#[test]
fn a_port_in_the_host_is_cut_only_where_the_table_says_so() {
    let table = |ignore: bool| {
        manager(json!({"ignorePortInHostMatching": ignore, "virtualHosts": [host("a", &["a.com"])]}))
    };
    check(&table(true), get("a.com:80"), "a");
    check(&table(false), get("a.com:80"), "no_virtual_host");
}

#[test]
fn plaintext_to_a_host_of_tls_is_redirected() {
    let mut strict = host("a", &["*"]);
    strict["requireTls"] = json!("ALL");
    check(&manager(json!({"virtualHosts": [strict]})), get("a"), "tls_redirect");
}

#[test]
fn the_first_route_that_has_the_path_wins() {
    let route = |matcher: Value, cluster: &str| json!({"match": matcher, "route": {"cluster": cluster}});
    let routes = json!([
        route(json!({"path": "/exact"}), "exact"),
        route(json!({"pathSeparatedPrefix": "/sep"}), "separated"),
        route(json!({"safeRegex": {"regex": "v[0-9]"}}), "regex"),
        route(json!({"prefix": "/p"}), "first"),
        route(json!({"prefix": "/pp"}), "second"),
    ]);
    let listener = manager(json!({"virtualHosts": [{"name": "a", "domains": ["*"], "routes": routes}]}));
    let path = |path: &str| json!({"protocol": "http", "host_header": "a", "path": path});
    check(&listener, path("/exact"), "exact");
    check(&listener, path("/exact/more"), "no_route");
    check(&listener, path("/sep/x"), "separated");
    check(&listener, path("/a/v1/b"), "regex");
    check(&listener, path("/pp"), "first");
}

#[test]
fn served_routes_are_found_by_name_and_inline_ones_have_none() {
    let filter =
        json!({"typedConfig": {"@type": "t/x.v3.HttpConnectionManager", "rds": {"routeConfigName": "80"}}});
    let mut listener = chains(&[json!({"name": "c", "filters": [filter]})]);
    listener["name"] = json!("l");
    listener["address"] = json!({"socketAddress": {"address": "0.0.0.0", "portValue": 80}});
    let call = || json!({"port": 80, "protocol": "http", "host_header": "a"});
    let found =
        outcome(json!([listener]), json!([{"name": "80", "virtualHosts": [host("a", &["*"])]}]), call());
    assert_eq!((found.error, found.route_config.as_str(), found.cluster.as_str()), (None, "80", "a"));
    let lost = outcome(json!([listener]), json!([]), call());
    assert_eq!(lost.error, Some(Refusal::NoRouteConfig));
}
