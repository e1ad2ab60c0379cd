//! After any edits a proxy is told what it would be told by a process that has just been started.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::mesh_under_edit::{Mesh, entry, rules, service};

const PORTS: [&[(&str, u16)]; 4] = [
    &[("http", 80)],
    &[("http", 80), ("web", 8080)],
    &[("grpc", 8080), ("tcp", 80)],
    &[("http", 8080), ("http-two", 80)],
];
const HOSTS: [&str; 5] = ["one", "two.b.svc.cluster.local", "*.b.svc.cluster.local", "s.com", "*.com"];

fn namespace() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["a", "b"])
}

fn services() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(vec!["one", "two", "three"]);
    let ip = proptest::sample::select(vec!["10.1.0.1", "10.1.0.2", "None"]);
    let ports = proptest::sample::select(PORTS.to_vec());
    (namespace(), name, ip, ports)
        .prop_map(|(namespace, name, ip, ports)| service(namespace, name, ip, ports))
}

fn entries() -> impl Strategy<Value = Value> {
    let host = proptest::sample::select(vec!["s.com", "t.com", "one.b", "*.com"]);
    (namespace(), host).prop_map(|(namespace, host)| entry(namespace, host))
}

fn virtual_services() -> impl Strategy<Value = Value> {
    let hosts = proptest::sample::subsequence(HOSTS.to_vec(), 1..3);
    let conditions = prop_oneof![
        Just(json!({"uri": {"prefix": "/x"}})),
        Just(json!({"port": 80})),
        Just(json!({"sourceLabels": {"app": "none"}})),
        Just(json!({"sourceNamespace": "a"})),
    ];
    let name = proptest::sample::select(vec!["r1", "r2"]);
    let to = proptest::sample::select(vec!["one", "two.b.svc.cluster.local", "nobody"]);
    (namespace(), name, hosts, conditions, to).prop_map(|(namespace, name, hosts, condition, to)| {
        let route = json!([{"destination": {"host": to, "subset": "v1"}}]);
        let http =
            json!([{"match": [condition], "route": route}, {"route": [{"destination": {"host": to}}]}]);
        rules(namespace, name, &hosts, http)
    })
}

fn destination_rules() -> impl Strategy<Value = Value> {
    let host = proptest::sample::select(vec!["one.a.svc.cluster.local", "*.b.svc.cluster.local"]);
    let hash = prop_oneof![
        Just(json!({"simple": "RANDOM"})),
        Just(json!({"consistentHash": {"httpHeaderName": "x"}})),
        Just(json!({"consistentHash": {"useSourceIp": true}})),
    ];
    (namespace(), host, hash).prop_map(|(namespace, host, hash)| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"namespace": namespace, "name": "rule"},
            "spec": {"host": host, "trafficPolicy": {"loadBalancer": hash},
                "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}})
    })
}

fn sidecars() -> impl Strategy<Value = Value> {
    let egress = prop_oneof![
        Just(json!([{"hosts": ["./*"]}])),
        Just(json!([{"hosts": ["b/*", "~/two.b.svc.cluster.local"]}])),
        Just(json!([{"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "hosts": ["*/*"]}])),
        Just(json!([{"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, "hosts": ["*/*"]},
            {"hosts": ["a/*"]}])),
    ];
    let mode = proptest::sample::select(vec!["ALLOW_ANY", "REGISTRY_ONLY"]);
    (egress, mode).prop_map(|(egress, mode)| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
            "metadata": {"namespace": "a", "name": "default"},
            "spec": {"egress": egress, "outboundTrafficPolicy": {"mode": mode}}})
    })
}

fn edits() -> impl Strategy<Value = Vec<(Value, bool)>> {
    let object = prop_oneof![
        4 => services(),
        2 => entries(),
        4 => virtual_services(),
        2 => destination_rules(),
        1 => sidecars(),
    ];
    proptest::collection::vec((object, proptest::bool::weighted(0.8)), 1..12)
}

/// Everything that the client is told.
fn told(mesh: &Mesh) -> Vec<(String, Vec<u8>, Vec<String>)> {
    let of = |name: &envoy_api::Name| {
        let resource = mesh.resource(name);
        let needs = resource.needs.clusters.iter().map(ToString::to_string).collect();
        (name.to_string(), resource.body.to_bytes().to_vec(), needs)
    };
    mesh.names().iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn edits_one_by_one_are_as_good_as_all_at_once(edits in edits()) {
        let mut mesh = Mesh::new(&[]);
        for (object, present) in &edits {
            mesh.edit(object, *present);
            mesh.memos.sweep();
            let now = told(&mesh);
            prop_assert_eq!(now, told(&mesh.afresh()));
        }
    }

    #[test]
    fn every_domain_is_of_one_virtual_host(edits in edits()) {
        let mut mesh = Mesh::new(&[]);
        edits.iter().for_each(|(object, present)| mesh.edit(object, *present));
        for name in mesh.names() {
            let mut domains = mesh.domains(&name);
            let count = domains.len();
            domains.sort();
            domains.dedup();
            prop_assert_eq!(domains.len(), count, "{}", mesh.hosts(&name));
        }
    }
}
