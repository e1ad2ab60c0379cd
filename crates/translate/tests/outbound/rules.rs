//! Rules of VirtualServices and DestinationRules for TLS and bytes.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::common::{World, istio, list, service};
use super::world::{client, entry};

fn check(objects: &[Value], expected: Expect) {
    expected.assert_eq(&World::new(objects).told());
}

fn to(host: &str) -> Value {
    json!([{"destination": {"host": host}}])
}

#[test]
fn without_rules_names_tell_services_apart_where_addresses_do_not() {
    let addressed = service("own", "10.1.0.1", &[("tls", 443)]);
    check(
        &[addressed, entry("one", &[], (443, "TLS")), entry("two", &[], (443, "HTTPS"))],
        expect![[r#"
        0.0.0.0_443 (tls_inspector)
          [one.com] tcp outbound|443||one.com
          [two.com] tcp outbound|443||two.com
          else [] tcp PassthroughCluster
        10.1.0.1_443
          [] tcp outbound|443||own.a.svc.cluster.local
    "#]],
    );
    check(
        &[entry("range", &["10.2.0.0/16", "10.3.0.0/16"], (443, "TLS"))],
        expect![[r#"
        0.0.0.0_443 (tls_inspector)
          [range.com 10.2.0.0/16] tcp outbound|443||range.com
          [range.com 10.3.0.0/16] tcp outbound|443||range.com
          else [] tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn rules_by_server_name() {
    let rules = json!({"hosts": ["own"], "tls": [
        {"match": [{"sniHosts": ["elsewhere"], "sourceNamespace": "b"}], "route": to("other")},
        {"match": [{"sniHosts": ["x", "b"], "port": 443}, {"sniHosts": ["y"], "gateways": ["gate"]}], "route": to("one")},
        {"match": [{"sniHosts": ["x", "b"]}], "route": to("never")},
        {"match": [{"sniHosts": ["*"], "destinationSubnets": ["10.0.0.0/8"]}], "route": to("two")},
        {"match": [{"sniHosts": ["z"], "sourceLabels": {"app": "client"}}], "route": to("three")},
    ]});
    let world =
        World::new(&[service("own", "10.1.0.1", &[("tls", 443)]), istio("VirtualService", "v", rules)]);
    expect![[r#"
        10.1.0.1_443 (tls_inspector)
          [b x] tcp outbound|443||one.a.svc.cluster.local by v
          [10.0.0.0/8] tcp outbound|443||two.a.svc.cluster.local by v
          else [] tcp PassthroughCluster
    "#]]
    .assert_eq(&world.told());
    let labelled = client("a", &json!({"LABELS": {"app": "client"}}));
    expect![[r#"
        10.1.0.1_443 (tls_inspector)
          [b x] tcp outbound|443||one.a.svc.cluster.local by v
          [10.0.0.0/8] tcp outbound|443||two.a.svc.cluster.local by v
          [z 10.0.0.0/8] tcp outbound|443||three.a.svc.cluster.local by v
          else [] tcp PassthroughCluster
    "#]]
    .assert_eq(&world.told_to(&labelled));
    expect![[r#"
        10.1.0.1_443 (tls_inspector)
          [elsewhere] tcp outbound|443||other.a.svc.cluster.local by v
          [b x] tcp outbound|443||one.a.svc.cluster.local by v
          [10.0.0.0/8] tcp outbound|443||two.a.svc.cluster.local by v
          else [] tcp PassthroughCluster
    "#]]
    .assert_eq(&world.told_to(&client("b", &json!({}))));
}

#[test]
fn a_rule_for_all_names_is_the_default_chain() {
    let rules = json!({"hosts": ["own"], "tls": [
        {"match": [{"sniHosts": ["*"]}], "route": to("rest")},
        {"match": [{"sniHosts": ["x"]}], "route": to("one")},
    ]});
    check(
        &[service("own", "10.1.0.1", &[("tls", 443)]), istio("VirtualService", "v", rules)],
        expect![[r#"
        10.1.0.1_443 (tls_inspector)
          [x] tcp outbound|443||one.a.svc.cluster.local by v
          else [] tcp outbound|443||rest.a.svc.cluster.local by v
    "#]],
    );
}

#[test]
fn rules_for_bytes() {
    let weighted = json!([
        {"destination": {"host": "own", "subset": "v1"}, "weight": 1},
        {"destination": {"host": "elsewhere", "port": {"number": 7}}, "weight": 3},
        {"destination": {"host": "nobody"}, "weight": 0},
    ]);
    let of = |tcp: Value| istio("VirtualService", "v", json!({"hosts": ["own"], "tcp": tcp}));
    let own = service("own", "10.1.0.1", &[("tcp", 90)]);
    check(
        &[own.clone(), of(json!([{"route": weighted}]))],
        expect![[r#"
        10.1.0.1_90
          [] tcp {1 of outbound|90|v1|own.a.svc.cluster.local, 3 of outbound|7||elsewhere.a.svc.cluster.local} by v
    "#]],
    );
    let subnets = json!([
        {"match": [{"port": 91}], "route": to("never")},
        {"match": [{"destinationSubnets": ["10.4.0.0/16", "10.3.0.0/16"]}], "route": to("near")},
    ]);
    check(
        &[own, of(subnets.clone())],
        expect![[r#"
        10.1.0.1_90
          [10.3.0.0/16 10.4.0.0/16] tcp outbound|90||near.a.svc.cluster.local
          else [] tcp outbound|90||own.a.svc.cluster.local
    "#]],
    );
    let range = entry("range", &["10.3.0.0/16"], (90, "TCP"));
    let exact = json!({"hosts": ["range.com"], "tcp": [
        {"match": [{"destinationSubnets": ["10.3.0.0/16"]}], "route": to("near")},
        {"match": [{"destinationSubnets": ["10.5.0.0/16"]}], "route": to("far")},
    ]});
    check(
        &[range, istio("VirtualService", "v", exact)],
        expect![[r#"
        0.0.0.0_90
          [10.3.0.0/16] tcp outbound|90||near.a.svc.cluster.local
          [10.5.0.0/16] tcp outbound|90||far.a.svc.cluster.local
          else [] tcp PassthroughCluster
    "#]],
    );
}

#[test]
fn what_a_rule_says_of_connections() {
    let policy = json!({"host": "own", "trafficPolicy": {
            "connectionPool": {"tcp": {"idleTimeout": "7s", "maxConnectionDuration": "9s"}},
            "loadBalancer": {"consistentHash": {"useSourceIp": true}},
            "tunnel": {"protocol": "POST", "targetHost": "::1", "targetPort": 8443}},
        "subsets": [{"name": "plain", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}]});
    let rules = json!({"hosts": ["own"], "tcp": [
        {"match": [{"port": 91}], "route": [{"destination": {"host": "own", "subset": "plain"}}]}]});
    let world = World::new(&[
        service("own", "10.1.0.1", &[("tcp", 90), ("tcp-b", 91)]),
        istio("DestinationRule", "d", policy),
        istio("VirtualService", "v", rules),
    ]);
    let proxy = |name: &str| {
        let listener = world.listener(name);
        let chain = list(&listener["filterChains"]).next().unwrap().clone();
        chain["filters"][0]["typedConfig"].clone()
    };
    let host = proxy("10.1.0.1_90");
    assert_eq!(
        (&host["idleTimeout"], &host["maxDownstreamConnectionDuration"]),
        (&json!("7s"), &json!("9s"))
    );
    assert_eq!(host["tunnelingConfig"], json!({"hostname": "[::1]:8443", "usePost": true}));
    assert_eq!(host["hashPolicy"], json!([{"sourceIp": {}}]));
    let subset = proxy("10.1.0.1_91");
    assert_eq!(subset["idleTimeout"], json!("7s"));
    assert_eq!((&subset["tunnelingConfig"], &subset["hashPolicy"]), (&Value::Null, &Value::Null));
}
