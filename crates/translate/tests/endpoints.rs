//! Endpoints: what a user applies, and which addresses a proxy is told for each cluster.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use expect_test::{Expect, expect};
use memo::Shared;
use mesh::{Config, EndpointProfile, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::endpoints::{self, Inputs, Memos};

fn config(objects: &[Value]) -> Config {
    let mut config = Config::default();
    for object in objects {
        let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
        let parsed = parse_object(object, &context).unwrap();
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let (origin, problems) = Default::default();
        config.apply(Change { key: parsed.key, value: parsed.value, origin, problems });
    }
    config
}

fn client() -> Shared<Proxy> {
    let id = "sidecar~10.0.0.1~client.a~a.svc.cluster.local".into();
    Shared::new(parse_node(&Node { id, ..Node::default() }).unwrap())
}

/// The assignments of a client in namespace `a`, one a line.
fn told(snapshot: &Snapshot, memos: &Memos) -> String {
    let member = snapshot.member(&client());
    let inputs = Inputs {
        profile: Shared::new(EndpointProfile::of(&member)),
        scope: member.scope.clone(),
        authn: snapshot.authn.clone(),
        mesh: snapshot.config.mesh.clone(),
        settings: snapshot.config.settings.clone(),
    };
    let of_service = |(at, scoped): (usize, &mesh::ScopedService)| {
        let found = snapshot.endpoints.of(&scoped.service.host, &scoped.service.namespace);
        endpoints::of_service(&inputs, at, found, memos)
    };
    let all = member.scope.services.iter().enumerate().flat_map(of_service);
    all.map(|resource| describe(&resource)).collect()
}

fn describe(resource: &envoy_api::Resource) -> String {
    let json = envoy_api::json::resource(envoy_api::type_url::ENDPOINT, &resource.body.to_bytes());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let localities = list(&json["endpoints"]);
    let endpoints = localities.iter().flat_map(|locality| list(&locality["lbEndpoints"]));
    let address = |endpoint: Value| {
        let at = endpoint["endpoint"]["address"]["socketAddress"].clone();
        format!(" {}:{}", at["address"].as_str().unwrap_or_default(), at["portValue"])
    };
    let addresses: String = endpoints.map(address).collect();
    format!("{}{addresses}\n", json["clusterName"].as_str().unwrap_or_default())
}

fn check(objects: &[Value], expected: Expect) {
    let snapshot = Snapshot::default().next(config(objects));
    expected.assert_eq(&told(&snapshot, &Memos::default()));
}

fn entry(name: &str, port: (&str, u16), address: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"namespace": "a", "name": name},
        "spec": {"hosts": ["h.com"], "resolution": "STATIC", "endpoints": [{"address": address}],
            "ports": [{"number": port.1, "name": port.0, "protocol": "HTTP"}]}})
}

#[test]
fn service_entries_of_one_host_have_their_own_ports_endpoints() {
    check(
        &[entry("one", ("http", 80), "10.1.0.1"), entry("two", ("http-more", 90), "10.1.0.2")],
        expect![[r#"
            outbound|80||h.com 10.1.0.1:80
            outbound|90||h.com 10.1.0.2:90
        "#]],
    );
}

fn pod(namespace: &str, name: &str, ip: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": []}, "status": {"podIP": ip, "podIPs": [{"ip": ip}]}})
}

/// Names of the Pods at an address.
fn pods_at(snapshot: &Snapshot, ip: &str) -> Vec<String> {
    let pods = snapshot.workloads.pods_at(&"Kubernetes".into(), ip.parse().unwrap());
    pods.iter().map(|pod| pod.key.name.to_string()).collect()
}

#[test]
fn a_pod_is_still_there_when_another_one_at_its_address_goes() {
    let before = Snapshot::default().next(config(&[pod("a", "x", "10.0.0.5"), pod("a", "y", "10.0.0.5")]));
    assert_eq!(pods_at(&before, "10.0.0.5"), ["x", "y"]);
    let mut config = before.config.clone();
    let key = before.workloads.pods_at(&"Kubernetes".into(), "10.0.0.5".parse().unwrap())[1].key.clone();
    config.apply(Change { key, value: None, origin: Default::default(), problems: Vec::new() });
    assert_eq!(pods_at(&before.next(config), "10.0.0.5"), ["x"]);
}

#[test]
fn an_address_in_a_slice_is_of_its_own_namespaces_pod() {
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "ports": [{"name": "http", "port": 80}], "endpoints": [{"addresses": ["10.0.0.5"]}]});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "s"},
        "spec": {"clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80}]}});
    let objects = [slice, service, pod("a", "x", "10.0.0.5"), pod("b", "y", "10.0.0.5")];
    let snapshot = Snapshot::default().next(config(&objects));
    let found = snapshot.endpoints.of(&model::Host::new("s.a.svc.cluster.local"), &"a".into()).unwrap();
    assert_eq!(&*found.endpoints[0].workload.workload, "x");
}

#[test]
fn endpoints_by_name_are_for_headless_services_and_not_for_hosts_without_any() {
    let mut entry = entry("one", ("http", 80), "10.1.0.1");
    entry["spec"]["resolution"] = "NONE".into();
    entry["spec"]["endpoints"] = json!([]);
    let mut config = config(&[entry]);
    let settings = model::settings::Settings { eds_for_headless: true, ..Default::default() };
    config.settings = Shared::new(settings);
    assert_eq!(told(&Snapshot::default().next(config), &Memos::default()), "");
}
