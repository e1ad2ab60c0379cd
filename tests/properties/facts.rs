//! Facts of a proxy that must tell its sets from those of its neighbour, since something in the mesh asks for them.

use envoy_api::type_url;
use model::settings::Settings;
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::house::{House, Served, served};

/// Two proxies that differ in `app`, in their zone and in their machine, in one process.
fn neighbours() -> [Json; 2] {
    ["one", "two"].map(|name| {
        json!({"id": format!("sidecar~10.0.9.9~{name}.a~a.svc.cluster.local"),
            "locality": {"region": "r", "zone": name},
            "metadata": {"NAMESPACE": "a", "NAME": name, "LABELS": {"app": name}, "CLUSTER_ID": "Kubernetes", "NODE_NAME": name}})
    })
}

/// What both are served of a type, of the resources whose names have this in them.
fn both(objects: &[Json], url: &str, name: &str) -> [Vec<Vec<u8>>; 2] {
    let mut house = House::new(Settings::default());
    let text: Vec<String> = objects.iter().map(Json::to_string).collect();
    let changes = house.text("all.yaml", &text.join("\n---\n"));
    house.engine.change(changes, Instant::now());
    neighbours().map(|node| {
        let at = house.enter(&node);
        let all: Served = served(&house.view(at).1);
        let some = all.into_iter().filter(|((one, known), _)| one == url && known.contains(name));
        some.map(|(_, resource)| resource.body.to_bytes().to_vec()).collect()
    })
}

/// Both are served something, and not the same.
fn differ(objects: &[Json], url: &str, name: &str) {
    let [one, two] = both(objects, url, name);
    assert!(!one.is_empty() && one.len() == two.len(), "{} and {} of {name}", one.len(), two.len());
    assert_ne!(one, two);
}

fn object(kind: &str, name: &str, spec: Json) -> Json {
    let group = if kind == "Service" { "v1" } else { "networking.istio.io/v1" };
    json!({"apiVersion": group, "kind": kind, "metadata": {"namespace": "a", "name": name}, "spec": spec})
}

fn address(name: &str) -> &'static str {
    if name == "one" { "10.4.0.1" } else { "10.4.0.2" }
}

fn service() -> Json {
    object("Service", "s", json!({"clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80}]}))
}

/// Two endpoints with the labels, zones and machines of the two proxies.
fn entry() -> Json {
    let endpoints = ["one", "two"].map(
        |name| json!({"address": address(name), "labels": {"app": name}, "locality": format!("r/{name}")}),
    );
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    object(
        "ServiceEntry",
        "e",
        json!({"hosts": ["e.com"], "resolution": "STATIC", "ports": ports, "endpoints": endpoints}),
    )
}

fn rule(host: &str, more: Json) -> Json {
    let mut spec = json!({"host": host});
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    object("DestinationRule", "r", spec)
}

#[test]
fn labels_that_a_route_asks_for() {
    let to = json!([{"destination": {"host": "s"}}]);
    let http =
        json!([{"match": [{"sourceLabels": {"app": "one"}}], "timeout": "5s", "route": to}, {"route": to}]);
    let route = object("VirtualService", "v", json!({"hosts": ["s"], "http": http}));
    differ(&[service(), route], type_url::ROUTE, "80");
}

#[test]
fn labels_that_a_rule_selects() {
    let policy = json!({"connectionPool": {"tcp": {"maxConnections": 7}}});
    let rule =
        rule("s", json!({"workloadSelector": {"matchLabels": {"app": "one"}}, "trafficPolicy": policy}));
    differ(&[service(), rule], type_url::CLUSTER, "outbound|80||s");
}

#[test]
fn labels_that_failover_goes_by() {
    let setting = json!({"enabled": true, "failoverPriority": ["app"]});
    let policy = json!({"loadBalancer": {"localityLbSetting": setting}, "outlierDetection": {}});
    differ(&[entry(), rule("e.com", json!({"trafficPolicy": policy}))], type_url::ENDPOINT, "e.com");
}

#[test]
fn the_zone_that_locality_goes_by() {
    let setting = json!({"enabled": true});
    let policy = json!({"loadBalancer": {"localityLbSetting": setting}, "outlierDetection": {}});
    differ(&[entry(), rule("e.com", json!({"trafficPolicy": policy}))], type_url::ENDPOINT, "e.com");
}

#[test]
fn the_machine_that_a_service_is_local_to() {
    let mut local = service();
    local["spec"]["internalTrafficPolicy"] = "Local".into();
    let endpoints = ["one", "two"].map(|node| {
        json!({"addresses": [address(node)], "nodeName": node,
            "targetRef": {"kind": "Pod", "name": node}})
    });
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "ports": [{"name": "http", "port": 80}], "endpoints": endpoints});
    let pod = |node: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "a", "name": node},
            "spec": {"nodeName": node, "containers": []}, "status": {"podIP": address(node)}})
    };
    differ(&[local, slice, pod("one"), pod("two")], type_url::ENDPOINT, "outbound|80||s");
}
