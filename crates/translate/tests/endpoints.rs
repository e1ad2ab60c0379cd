//! Endpoints: what a user applies, and which addresses a proxy is told for each cluster.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use expect_test::{Expect, expect};
use memo::Shared;
use mesh::{Config, EndpointProfile, Snapshot};
use model::mesh_config::MeshConfig;
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::endpoints::{self, Inputs, Memos};

fn config(mut config: Config, objects: &[Value]) -> Config {
    for object in objects {
        let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
        let parsed = parse_object(object, &context).unwrap();
        assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
        let (origin, problems) = Default::default();
        config.apply(Change { key: parsed.key, value: parsed.value, origin, problems });
    }
    config
}

/// A client in namespace `a`, and what is known of its assignments.
struct Client {
    proxy: Shared<Proxy>,
    profile: Shared<EndpointProfile>,
    memos: Memos,
}

impl Client {
    fn new() -> Self {
        let id = "sidecar~10.0.0.1~client.a~a.svc.cluster.local".into();
        let proxy = Shared::new(parse_node(&Node { id, ..Node::default() }).unwrap());
        let profile = Shared::new(EndpointProfile::of(&Snapshot::default().member(&proxy)));
        Self { proxy, profile, memos: Memos::default() }
    }
}

/// The assignments of a client, one a line.
fn told(snapshot: &Snapshot, client: &Client) -> String {
    let member = snapshot.member(&client.proxy);
    let inputs = Inputs {
        profile: client.profile.clone(),
        scope: member.scope.clone(),
        authn: snapshot.authn.clone(),
        mesh: snapshot.config.mesh.clone(),
        settings: snapshot.config.settings.clone(),
    };
    let of_service = |(at, scoped): (usize, &mesh::ScopedService)| {
        let found = snapshot.endpoints.of(&scoped.service.host, &scoped.service.namespace);
        endpoints::of_service(&inputs, at, found, &client.memos)
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
    let snapshot = Snapshot::default().next(config(Config::default(), objects));
    expected.assert_eq(&told(&snapshot, &Client::new()));
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

fn pod(namespace: &str, name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name,
            "labels": {"app": name, "security.istio.io/tlsMode": "istio"}},
        "spec": {"serviceAccountName": "default", "nodeName": "n"},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn service(namespace: &str, name: &str, address: &str) -> [Value; 3] {
    let labels = json!({"kubernetes.io/service-name": name});
    let target = json!({"kind": "Pod", "namespace": namespace, "name": name});
    [
        pod(namespace, name, address),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": "10.9.0.1", "clusterIPs": ["10.9.0.1"], "selector": {"app": name},
                "ports": [{"name": "http", "port": 80}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "endpoints": [{"addresses": [address], "targetRef": target}],
            "ports": [{"name": "http", "port": 8080}]}),
    ]
}

fn peer_authentication(namespace: &str, mode: &str) -> Value {
    json!({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"namespace": namespace, "name": "all"}, "spec": {"mtls": {"mode": mode}}})
}

#[test]
fn only_what_says_otherwise_plans_an_assignment_again() {
    let services = [service("a", "one", "10.1.0.1"), service("b", "two", "10.1.0.2")].concat();
    let client = Client::new();
    let made = |snapshot: &Snapshot| {
        let before = client.memos.counts()[0].1.made;
        told(snapshot, &client);
        client.memos.counts()[0].1.made - before
    };
    let first = Snapshot::default().next(config(Config::default(), &services));
    assert_eq!(made(&first), 2);
    let with = |more: &[Value]| first.next(config(first.config.clone(), more));
    // A mesh-wide mode and one of a namespace are told apart by DISABLE alone.
    assert_eq!(made(&with(&[peer_authentication("istio-system", "STRICT")])), 0);
    assert_eq!(made(&with(&[peer_authentication("b", "STRICT")])), 0);
    assert_eq!(made(&with(&[peer_authentication("b", "DISABLE")])), 1);
    let mut logged = first.config.clone();
    let mesh =
        model::mesh_config::MeshConfig { access_log_file: "/dev/stdout".into(), ..(*logged.mesh).clone() };
    logged.mesh = Shared::new(mesh.clone());
    assert_eq!(made(&first.next(logged.clone())), 0);
    logged.mesh = Shared::new(MeshConfig { locality_lb: None, ..mesh });
    assert_eq!(made(&first.next(logged)), 2);
}

/// Names of the Pods at an address.
fn pods_at(snapshot: &Snapshot, ip: &str) -> Vec<String> {
    let pods = snapshot.workloads.pods_at(&"Kubernetes".into(), ip.parse().unwrap());
    pods.iter().map(|pod| pod.key.name.to_string()).collect()
}

#[test]
fn a_pod_is_still_there_when_another_one_at_its_address_goes() {
    let before = Snapshot::default()
        .next(config(Config::default(), &[pod("a", "x", "10.0.0.5"), pod("a", "y", "10.0.0.5")]));
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
    let snapshot = Snapshot::default().next(config(Config::default(), &objects));
    let found = snapshot.endpoints.of(&model::Host::new("s.a.svc.cluster.local"), &"a".into()).unwrap();
    assert_eq!(&*found.endpoints[0].workload.workload, "x");
}

#[test]
fn endpoints_by_name_are_for_headless_services_and_not_for_hosts_without_any() {
    let mut entry = entry("one", ("http", 80), "10.1.0.1");
    entry["spec"]["resolution"] = "NONE".into();
    entry["spec"]["endpoints"] = json!([]);
    let mut config = config(Config::default(), &[entry]);
    let settings = model::settings::Settings { eds_for_headless: true, ..Default::default() };
    config.settings = Shared::new(settings);
    assert_eq!(told(&Snapshot::default().next(config), &Client::new()), "");
}
