//! The name table: what a user applies, and which names an agent then answers for.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use expect_test::{Expect, expect};
use memo::Shared;
use mesh::{Config, NameProfile, Snapshot};
use model::Change;
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use serde_json::{Value, json};
use translate::name_table::{self, Inputs, Memos};

fn snapshot(objects: &[(&str, Value)]) -> Snapshot {
    let mut config = Config::default();
    for (cluster, object) in objects {
        let context = Context { cluster: (*cluster).into(), domain: "cluster.local".into() };
        let parsed = parse_object(object, &context).unwrap();
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let (origin, problems) = Default::default();
        config.apply(Change { key: parsed.key, value: parsed.value, origin, problems });
    }
    Snapshot::default().next(config)
}

/// The table of a sidecar in namespace `a` of the local cluster with this metadata.
fn table(snapshot: &Snapshot, metadata: Value) -> String {
    let id = "sidecar~10.0.0.1~client.a~a.svc.cluster.local".into();
    let mut node = Node { id, ..Node::default() };
    node.metadata.insert("CLUSTER_ID".into(), "Kubernetes".into());
    node.metadata.insert("DNS_CAPTURE".into(), "true".into());
    node.metadata.extend(metadata.as_object().unwrap().clone());
    let member = snapshot.member(&Shared::new(parse_node(&node).unwrap()));
    let inputs = Inputs {
        profile: Shared::new(NameProfile::of(&member)),
        scope: member.scope.clone(),
        facts: snapshot.endpoints.facts.clone(),
        settings: snapshot.config.settings.clone(),
    };
    let resource = name_table::table(&inputs, &Memos::default());
    assert_eq!(&*resource.name, "");
    let json = envoy_api::json::resource(envoy_api::type_url::NAME_TABLE, &resource.body.to_bytes());
    let line = |(host, info): (&String, &Value)| {
        let text = |key: &str| info[key].as_str().unwrap_or_default().to_owned();
        let ips: Vec<&str> = info["ips"].as_array().unwrap().iter().map(|ip| ip.as_str().unwrap()).collect();
        let [registry, short, namespace] = ["registry", "shortname", "namespace"].map(text);
        format!("{host} {} {registry} {short}/{namespace}\n", ips.join(","))
    };
    json["table"].as_object().into_iter().flatten().map(line).collect()
}

fn check(objects: &[Value], expected: Expect) {
    let objects: Vec<_> = objects.iter().map(|object| ("Kubernetes", object.clone())).collect();
    expected.assert_eq(&table(&snapshot(&objects), json!({})));
}

fn service(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name},
        "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}], "selector": {"app": name}}})
}

fn slice(service: &str, endpoints: Value) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": format!("{service}-1"),
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 80}], "endpoints": endpoints})
}

/// A pod of a StatefulSet whose governing service is `db`, with its endpoint.
fn pod(name: &str, address: &str, network: &str) -> (Value, Value) {
    let labels = json!({"app": "db", "topology.istio.io/network": network});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "a", "name": name, "labels": labels},
        "spec": {"hostname": name, "subdomain": "db", "containers": []},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}]}});
    let endpoint = json!({"addresses": [address], "conditions": {"ready": true},
        "targetRef": {"kind": "Pod", "namespace": "a", "name": name}});
    (pod, endpoint)
}

fn entry(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"namespace": "a", "name": name}, "spec": spec})
}

#[test]
fn services_are_named_with_their_short_names() {
    check(
        &[service("s", "10.1.0.1"), service("headless-without-pods", "None")],
        expect![[r#"
            s.a.svc.cluster.local 10.1.0.1 Kubernetes s/a
        "#]],
    );
}

#[test]
fn headless_services_and_their_pods_are_named_by_ready_endpoints() {
    let (one, first) = pod("db-0", "10.2.0.1", "");
    let (two, second) = pod("db-1", "10.2.0.2", "");
    let (three, mut third) = pod("db-2", "10.2.0.3", "");
    third["conditions"]["ready"] = false.into();
    check(
        &[service("db", "None"), one, two, three, slice("db", json!([first, second, third]))],
        expect![[r#"
            db-0.db.a.svc.cluster.local 10.2.0.1 Kubernetes db-0.db/a
            db-1.db.a.svc.cluster.local 10.2.0.2 Kubernetes db-1.db/a
            db.a.svc.cluster.local 10.2.0.1,10.2.0.2 Kubernetes db/a
        "#]],
    );
}

#[test]
fn only_pods_of_the_own_network_are_named() {
    let (one, first) = pod("db-0", "10.2.0.1", "n1");
    let (two, second) = pod("db-1", "10.2.0.2", "n2");
    let objects = [service("db", "None"), one, two, slice("db", json!([first, second]))];
    let objects: Vec<_> = objects.iter().map(|object| ("Kubernetes", object.clone())).collect();
    let snapshot = snapshot(&objects);
    let expected = expect![[r#"
        db-1.db.a.svc.cluster.local 10.2.0.2 Kubernetes db-1.db/a
        db.a.svc.cluster.local 10.2.0.2 Kubernetes db/a
    "#]];
    expected.assert_eq(&table(&snapshot, json!({"NETWORK": "n2"})));
}

#[test]
fn service_entries_are_named_by_written_and_allocated_addresses() {
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let mut allocated = entry("auto", json!({"hosts": ["auto.com"], "resolution": "DNS", "ports": ports}));
    allocated["status"] = json!({"addresses": [{"host": "auto.com", "value": "240.240.0.7"}]});
    let written = json!({"hosts": ["x.com", "*.y.com"], "addresses": ["10.3.0.1", "10.3.0.2", "10.4.0.0/16"],
        "resolution": "NONE", "ports": ports});
    check(
        &[allocated, entry("written", written)],
        expect![[r#"
            *.y.com 10.3.0.1,10.3.0.2 External /
            auto.com 240.240.0.7 External /
            x.com 10.3.0.1,10.3.0.2 External /
        "#]],
    );
}

#[test]
fn a_kubernetes_service_wins_its_name() {
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let spec = json!({"hosts": ["s.a.svc.cluster.local"], "addresses": ["10.3.0.1"], "resolution": "STATIC",
        "ports": ports});
    check(
        &[entry("decorates", spec), service("s", "10.1.0.1")],
        expect![[r#"
            s.a.svc.cluster.local 10.1.0.1 Kubernetes s/a
        "#]],
    );
}

#[test]
fn gateways_see_no_names() {
    let snapshot = snapshot(&[("Kubernetes", service("s", "10.1.0.1"))]);
    let id = "router~10.0.0.1~gw.a~a.svc.cluster.local".into();
    let member = snapshot.member(&Shared::new(parse_node(&Node { id, ..Node::default() }).unwrap()));
    let inputs = Inputs {
        profile: Shared::new(NameProfile::of(&member)),
        scope: member.scope.clone(),
        facts: snapshot.endpoints.facts.clone(),
        settings: snapshot.config.settings.clone(),
    };
    assert!(name_table::table(&inputs, &Memos::default()).body.is_empty());
}
