//! Objects of every kind, made from so few names that they collide and refer to each other.

use serde_json::{Map, Value as Json, json};
use testkit::random::Random;

use crate::networking;

/// Where objects live; the last one is the mesh's root.
const NAMESPACES: [&str; 3] = ["a", "b", "istio-system"];
pub(crate) const NAMES: [&str; 2] = ["one", "two"];
/// Names of hosts as rules write them.
pub(crate) const HOSTS: [&str; 9] = [
    "one",
    "two",
    "one.a.svc.cluster.local",
    "two.b.svc.cluster.local",
    "*.b.svc.cluster.local",
    "s.com",
    "t.com",
    "*.com",
    "*",
];
/// Addresses of workloads; the first four are those of the proxies.
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];

/// Kinds, each as often as it is to be drawn.
const KINDS: [(&str, usize); 13] = [
    ("Namespace", 1),
    ("Node", 2),
    ("Service", 7),
    ("EndpointSlice", 5),
    ("Pod", 5),
    ("VirtualService", 8),
    ("DestinationRule", 7),
    ("Gateway", 4),
    ("ServiceEntry", 6),
    ("WorkloadEntry", 3),
    ("Sidecar", 4),
    ("PeerAuthentication", 3),
    ("ProxyConfig", 1),
];

/// What an object is called: kind, namespace, name.
pub(crate) type Id = (&'static str, &'static str, &'static str);

/// The name of some object.
pub(crate) fn id(random: &mut Random) -> Id {
    let mut at = random.below(KINDS.iter().map(|(_, often)| often).sum());
    let mut kinds = KINDS.iter();
    let kind = loop {
        let Some((kind, often)) = kinds.next() else { break "Service" };
        match at.checked_sub(*often) {
            None => break *kind,
            Some(rest) => at = rest,
        }
    };
    let namespaces = match kind {
        "Sidecar" | "PeerAuthentication" | "DestinationRule" | "ProxyConfig" => &NAMESPACES[..],
        _ => &NAMESPACES[..2],
    };
    match kind {
        "Namespace" => (kind, "", *random.choose(namespaces)),
        "Node" => (kind, "", *random.choose(&NAMES)),
        _ => (kind, *random.choose(namespaces), *random.choose(&NAMES)),
    }
}

/// An object of this name, and otherwise as chance has it.
pub(crate) fn object(random: &mut Random, (kind, namespace, name): Id) -> Json {
    let mut meta = json!({"name": name});
    if !namespace.is_empty() {
        meta["namespace"] = namespace.into();
    }
    if random.one_in(6) {
        meta["creationTimestamp"] =
            random.choose(&["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]).to_string().into();
    }
    meta["labels"] = labels_of(random, kind);
    let annotations = annotations(random, kind);
    if !annotations.is_empty() {
        meta["annotations"] = annotations.into();
    }
    let mut object = json!({"apiVersion": version(kind), "kind": kind, "metadata": meta});
    let fields = match kind {
        "Service" => json!({"spec": service(random)}),
        "EndpointSlice" => slice(random),
        "Pod" => pod(random),
        "VirtualService" => json!({"spec": networking::virtual_service(random)}),
        "DestinationRule" => json!({"spec": networking::destination_rule(random)}),
        "Gateway" => json!({"spec": networking::gateway(random)}),
        "ServiceEntry" => json!({"spec": networking::service_entry(random)}),
        "WorkloadEntry" => json!({"spec": workload(random)}),
        "Sidecar" => json!({"spec": networking::sidecar(random)}),
        "PeerAuthentication" => json!({"spec": networking::peer_authentication(random)}),
        "ProxyConfig" => json!({"spec": proxy_config(random)}),
        _ => json!({}),
    };
    merge(&mut object, fields);
    object
}

/// The same object under other labels, which also says whose an EndpointSlice is.
pub(crate) fn relabel(random: &mut Random, object: &mut Json) {
    let kind = object["kind"].as_str().unwrap().to_owned();
    object["metadata"]["labels"] = labels_of(random, &kind);
    if kind == "WorkloadEntry" {
        object["spec"]["labels"] = labels(random);
    }
}

fn version(kind: &str) -> &'static str {
    match kind {
        "Namespace" | "Node" | "Service" | "Pod" => "v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "PeerAuthentication" => "security.istio.io/v1",
        "ProxyConfig" => "networking.istio.io/v1beta1",
        _ => "networking.istio.io/v1",
    }
}

pub(crate) fn merge(into: &mut Json, from: Json) {
    for (key, value) in from.as_object().cloned().unwrap_or_default() {
        into[key] = value;
    }
}

/// Some of these fields.
pub(crate) fn some_of(random: &mut Random, fields: &[Json]) -> Json {
    let mut all = json!({});
    for field in fields {
        if random.one_in(3) {
            merge(&mut all, field.clone());
        }
    }
    all
}

/// One of these.
pub(crate) fn any(random: &mut Random, from: &[Json]) -> Json {
    random.choose(from).clone()
}

pub(crate) fn pick(random: &mut Random, from: &[&str]) -> Json {
    Json::from(*random.choose(from))
}

pub(crate) fn labels(random: &mut Random) -> Json {
    let mut labels = json!({"app": pick(random, &NAMES), "version": pick(random, &["v1", "v2"])});
    let more = [
        json!({"security.istio.io/tlsMode": "istio"}),
        json!({"istio-locality": pick(random, &["r.z1", "r.z2"])}),
        json!({"topology.istio.io/network": "n"}),
        json!({"istio": "ingressgateway"}),
    ];
    if random.one_in(2) {
        merge(&mut labels, some_of(random, &more));
    }
    labels
}

fn labels_of(random: &mut Random, kind: &str) -> Json {
    match kind {
        "EndpointSlice" => json!({"kubernetes.io/service-name": pick(random, &NAMES)}),
        "Node" => json!({"topology.kubernetes.io/region": pick(random, &["r", "r2"]),
            "topology.kubernetes.io/zone": pick(random, &["z1", "z2"])}),
        "Service" if random.one_in(8) => json!({"istio.io/persistent-session": "c:/"}),
        _ => labels(random),
    }
}

fn annotations(random: &mut Random, kind: &str) -> Map<String, Json> {
    let mut some = Map::new();
    if matches!(kind, "Service" | "Namespace") && random.one_in(5) {
        let how = pick(random, &["PreferClose", "PreferSameNode"]);
        some.insert("networking.istio.io/traffic-distribution".into(), how);
    }
    if kind == "Service" && random.one_in(4) {
        some.insert("networking.istio.io/exportTo".into(), pick(random, &["*", ".", "a", "b", "~"]));
    }
    some
}

pub(crate) fn export_to(random: &mut Random) -> Json {
    random
        .choose(&[
            json!({}),
            json!({}),
            json!({"exportTo": ["."]}),
            json!({"exportTo": ["a"]}),
            json!({"exportTo": ["*"]}),
        ])
        .clone()
}

fn proxy_config(random: &mut Random) -> Json {
    let mut spec = json!({"concurrency": random.below(3)});
    if random.one_in(2) {
        spec["selector"] = json!({"matchLabels": {"app": pick(random, &NAMES)}});
    }
    spec
}

fn service(random: &mut Random) -> Json {
    let ports = any(
        random,
        &[
            json!([{"name": "http", "port": 80, "targetPort": 8080}]),
            json!([{"name": "http", "port": 80}, {"name": "tcp", "port": 90}]),
            json!([{"name": "web", "port": 80, "targetPort": "web"}, {"name": "grpc", "port": 8080}]),
            json!([{"name": "https", "port": 443}, {"name": "http-two", "port": 8080, "targetPort": 8080}]),
            json!([{"name": "tcp", "port": 80}, {"name": "mongo", "port": 90}]),
        ],
    );
    let ip = *random.choose(&["10.1.0.1", "10.1.0.2", "10.1.0.3", "None"]);
    let mut spec = json!({"clusterIP": ip, "clusterIPs": [ip], "ports": ports});
    match random.below(8) {
        0 => {
            spec = json!({"type": "ExternalName", "externalName": pick(random, &["one.a.svc.cluster.local", "s.com"]), "ports": ports})
        }
        1 => {}
        2 => spec["selector"] = json!({"istio": "ingressgateway"}),
        3 => spec["selector"] = labels(random),
        _ => spec["selector"] = json!({"app": pick(random, &NAMES)}),
    }
    let more = [json!({"internalTrafficPolicy": "Local"}), json!({"publishNotReadyAddresses": true})];
    if random.one_in(4) {
        merge(&mut spec, some_of(random, &more));
    }
    spec
}

fn slice(random: &mut Random) -> Json {
    let endpoint = |random: &mut Random| {
        let mut endpoint = json!({"addresses": [pick(random, &ADDRESSES)],
            "conditions": {"ready": !random.one_in(4), "serving": true}});
        if random.one_in(2) {
            endpoint["targetRef"] = json!({"kind": "Pod", "name": pick(random, &NAMES)});
        }
        if random.one_in(3) {
            endpoint["nodeName"] = pick(random, &NAMES);
        }
        endpoint
    };
    let endpoints: Vec<Json> = (0..random.below(4)).map(|_| endpoint(random)).collect();
    let ports = [
        json!({"name": "http", "port": 8080}),
        json!({"name": "tcp", "port": 90}),
        json!({"name": "web", "port": 8080}),
    ];
    let ports = &ports[..=random.below(3)];
    json!({"addressType": "IPv4", "endpoints": endpoints, "ports": ports})
}

fn pod(random: &mut Random) -> Json {
    let ip = *random.choose(&ADDRESSES);
    let ready = *random.choose(&["True", "True", "False"]);
    let ports =
        json!([{"name": random.choose(&["web", "http"]), "containerPort": random.choose(&[80, 8080])}]);
    json!({
        "spec": {"nodeName": random.choose(&NAMES), "serviceAccountName": random.choose(&["s", "t"]),
            "hostNetwork": random.one_in(12), "containers": [{"name": "c", "ports": ports}]},
        "status": {"podIP": ip, "podIPs": [{"ip": ip}], "phase": random.choose(&["Running", "Running", "Failed"]),
            "conditions": [{"type": "Ready", "status": ready}]},
    })
}

pub(crate) fn workload(random: &mut Random) -> Json {
    let mut spec = json!({"address": pick(random, &ADDRESSES), "labels": labels(random)});
    let locality = json!({"locality": pick(random, &["r/z1", "r2/z"])});
    merge(
        &mut spec,
        some_of(
            random,
            &[
                json!({"weight": 2}),
                locality,
                json!({"ports": {"http": 8080}}),
                json!({"serviceAccount": "s"}),
                json!({"network": "n"}),
            ],
        ),
    );
    spec
}
