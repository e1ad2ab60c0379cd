//! Objects of every kind, made from so few names that they collide and refer to each other.

use serde_json::{Map, Value as Json, json};
use testkit::random::Random;

/// Where objects live; the last one is the mesh's root.
const NAMESPACES: [&str; 3] = ["a", "b", "istio-system"];
const NAMES: [&str; 2] = ["one", "two"];
/// Names of hosts as rules write them.
const HOSTS: [&str; 9] = [
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
        "VirtualService" => json!({"spec": virtual_service(random)}),
        "DestinationRule" => json!({"spec": destination_rule(random)}),
        "Gateway" => json!({"spec": gateway(random)}),
        "ServiceEntry" => json!({"spec": service_entry(random)}),
        "WorkloadEntry" => json!({"spec": workload(random)}),
        "Sidecar" => json!({"spec": sidecar(random)}),
        "PeerAuthentication" => json!({"spec": peer_authentication(random)}),
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

fn merge(into: &mut Json, from: Json) {
    for (key, value) in from.as_object().cloned().unwrap_or_default() {
        into[key] = value;
    }
}

/// Some of these fields.
fn some_of(random: &mut Random, fields: &[Json]) -> Json {
    let mut all = json!({});
    for field in fields {
        if random.one_in(3) {
            merge(&mut all, field.clone());
        }
    }
    all
}

/// One of these.
fn any(random: &mut Random, from: &[Json]) -> Json {
    random.choose(from).clone()
}

fn pick(random: &mut Random, from: &[&str]) -> Json {
    Json::from(*random.choose(from))
}

fn labels(random: &mut Random) -> Json {
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

fn export_to(random: &mut Random) -> Json {
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

fn workload(random: &mut Random) -> Json {
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

fn service_entry(random: &mut Random) -> Json {
    let hosts = any(
        random,
        &[
            json!(["s.com"]),
            json!(["t.com", "s.com"]),
            json!(["*.com"]),
            json!(["one.a.svc.cluster.local"]),
            json!(["two.b"]),
        ],
    );
    let ports = any(
        random,
        &[
            json!([{"number": 80, "name": "http", "protocol": "HTTP"}]),
            json!([{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}, {"number": 90, "name": "tcp", "protocol": "TCP"}]),
            json!([{"number": 443, "name": "tls", "protocol": "TLS"}]),
            json!([{"number": 8080, "name": "http", "protocol": "HTTP2"}]),
        ],
    );
    let mut spec = json!({"hosts": hosts, "ports": ports, "resolution": pick(random, &["STATIC", "STATIC", "DNS", "NONE"])});
    if random.one_in(2) {
        spec["location"] = "MESH_INTERNAL".into();
    }
    if random.one_in(3) {
        spec["addresses"] =
            random.choose(&[json!(["10.2.0.1"]), json!(["10.2.0.0/24"]), json!(["10.1.0.1"])]).clone();
    }
    match spec["resolution"].as_str() {
        Some("NONE") => {}
        Some("STATIC") if random.one_in(2) => {
            spec["workloadSelector"] = json!({"labels": {"app": pick(random, &NAMES)}})
        }
        _ => spec["endpoints"] = (0..random.below(3)).map(|_| workload(random)).collect(),
    }
    merge(&mut spec, export_to(random));
    spec
}

fn hosts(random: &mut Random) -> Json {
    let count = 1 + random.below(2);
    (0..count).map(|_| pick(random, &HOSTS)).collect()
}

fn destination(random: &mut Random) -> Json {
    let mut to = json!({"host": pick(random, &["one", "two", "one.a.svc.cluster.local", "two.b.svc.cluster.local", "s.com", "nobody"])});
    merge(&mut to, some_of(random, &[json!({"subset": "v1"}), json!({"port": {"number": 80}})]));
    to
}

fn http_route(random: &mut Random) -> Json {
    let matches = any(
        random,
        &[
            json!({}),
            json!({}),
            json!({"match": [{"uri": {"prefix": "/x"}}]}),
            json!({"match": [{"headers": {"user": {"exact": "me"}}, "port": 80}]}),
            json!({"match": [{"sourceLabels": {"app": "one"}}, {"sourceLabels": {"version": "v2"}, "uri": {"prefix": "/y"}}]}),
            json!({"match": [{"sourceNamespace": "a", "gateways": ["mesh"]}]}),
            json!({"match": [{"gateways": ["a/one"], "uri": {"exact": "/z"}}]}),
        ],
    );
    let mut route = matches;
    match random.below(8) {
        0 => route["redirect"] = json!({"uri": "/there"}),
        1 => route["directResponse"] = json!({"status": 418}),
        2 | 3 => {
            let delegate = json!({"name": pick(random, &NAMES), "namespace": pick(random, &["a", "b"])});
            return json!({"match": [{"uri": {"prefix": "/d"}}], "delegate": delegate});
        }
        4 => {
            route["route"] = json!([{"destination": destination(random), "weight": 80}, {"destination": destination(random), "weight": 20}])
        }
        _ => route["route"] = json!([{"destination": destination(random)}]),
    }
    let more = [
        json!({"timeout": "5s"}),
        json!({"retries": {"attempts": 3, "retryOn": "5xx"}}),
        json!({"headers": {"request": {"set": {"x": "y"}}}}),
        json!({"mirror": destination(random)}),
        json!({"fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}}}),
    ];
    if random.one_in(2) && route.get("route").is_some() {
        merge(&mut route, some_of(random, &more));
    }
    route
}

fn virtual_service(random: &mut Random) -> Json {
    let mut spec = json!({"http": (0..=random.below(2)).map(|_| http_route(random)).collect::<Vec<_>>()});
    // A third has no hosts and waits for somebody to delegate to it.
    if random.one_in(3) {
        let route = json!([{"match": [{"uri": {"prefix": "/d/e"}}], "route": [{"destination": destination(random)}]}]);
        spec["http"] = route;
        merge(&mut spec, export_to(random));
        return spec;
    }
    spec["hosts"] = hosts(random);
    let gateways = [
        json!({}),
        json!({}),
        json!({"gateways": ["one"]}),
        json!({"gateways": ["a/one", "mesh"]}),
        json!({"gateways": ["b/two", "a/one"]}),
    ];
    merge(&mut spec, random.choose(&gateways).clone());
    match random.below(6) {
        0 => {
            spec["tcp"] = json!([{"match": [{"port": 90}], "route": [{"destination": destination(random)}]}])
        }
        1 => {
            spec["tls"] = json!([{"match": [{"port": 443, "sniHosts": ["s.com"]}], "route": [{"destination": destination(random)}]}])
        }
        _ => {}
    }
    merge(&mut spec, export_to(random));
    spec
}

fn policy(random: &mut Random) -> Json {
    let balancer = any(
        random,
        &[
            json!({"simple": "RANDOM"}),
            json!({"consistentHash": {"httpHeaderName": "x"}}),
            json!({"simple": "ROUND_ROBIN", "localityLbSetting": {"enabled": true, "failover": [{"from": "r", "to": "r2"}]}}),
            json!({"localityLbSetting": {"enabled": true, "failoverPriority": ["version"]}}),
            json!({"localityLbSetting": {"enabled": true, "distribute": [{"from": "r/*", "to": {"r/z1/*": 80, "r2/*": 20}}]}}),
        ],
    );
    let tls = any(
        random,
        &[
            json!({"mode": "ISTIO_MUTUAL"}),
            json!({"mode": "DISABLE"}),
            json!({"mode": "SIMPLE", "sni": "s.com"}),
            json!({"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/r"}),
        ],
    )
    .clone();
    let level = json!({"port": {"number": 80}, "tls": tls, "loadBalancer": {"simple": "LEAST_REQUEST"}});
    some_of(
        random,
        &[
            json!({"loadBalancer": balancer}),
            json!({"tls": tls}),
            json!({"connectionPool": {"tcp": {"maxConnections": 7}, "http": {"maxRequestsPerConnection": 1}}}),
            json!({"outlierDetection": {"consecutive5xxErrors": 3, "minHealthPercent": 20}}),
            json!({"portLevelSettings": [level]}),
        ],
    )
}

fn destination_rule(random: &mut Random) -> Json {
    let mut spec = json!({"host": pick(random, &HOSTS[..8]), "trafficPolicy": policy(random)});
    let mut subsets = Vec::new();
    for version in ["v1", "v2"] {
        if random.one_in(2) {
            subsets.push(
                json!({"name": version, "labels": {"version": version}, "trafficPolicy": policy(random)}),
            );
        }
    }
    spec["subsets"] = subsets.into();
    if random.one_in(6) {
        spec["workloadSelector"] = json!({"matchLabels": {"app": pick(random, &NAMES)}});
    }
    merge(&mut spec, export_to(random));
    spec
}

fn gateway(random: &mut Random) -> Json {
    let hosts =
        |random: &mut Random| pick(random, &["*", "s.com", "a/*", "./one.a.svc.cluster.local", "*.com"]);
    let server = |random: &mut Random| {
        let host = hosts(random);
        match random.below(6) {
            0 | 1 => json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}),
            2 => json!({"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": [host],
                "tls": {"mode": "SIMPLE", "credentialName": random.choose(&["c", "d"])}}),
            3 => {
                json!({"port": {"number": 443, "name": "tls", "protocol": "TLS"}, "hosts": [host], "tls": {"mode": "PASSTHROUGH"}})
            }
            4 => {
                json!({"port": {"number": 15443, "name": "auto", "protocol": "TLS"}, "hosts": [host], "tls": {"mode": "AUTO_PASSTHROUGH"}})
            }
            _ => json!({"port": {"number": 90, "name": "tcp", "protocol": "TCP"}, "hosts": [host]}),
        }
    };
    let servers: Vec<Json> = (0..=random.below(2)).map(|_| server(random)).collect();
    let selectors = [
        json!({"istio": "ingressgateway"}),
        json!({"istio": "ingressgateway"}),
        json!({"app": "one"}),
        json!({}),
    ];
    json!({"selector": random.choose(&selectors), "servers": servers})
}

fn sidecar(random: &mut Random) -> Json {
    let egress = any(
        random,
        &[
            json!([{"hosts": ["./*"]}]),
            json!([{"hosts": ["b/*", "~/two.b.svc.cluster.local"]}]),
            json!([{"hosts": ["*/one.a.svc.cluster.local", "*/s.com"]}]),
            json!([{"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "hosts": ["*/*"]}, {"hosts": ["a/*"]}]),
            json!([{"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, "bind": "127.0.0.1", "captureMode": "NONE", "hosts": ["*/*"]}]),
        ],
    );
    let mut spec = json!({});
    if !random.one_in(5) {
        spec["egress"] = egress;
    }
    if random.one_in(3) {
        spec["workloadSelector"] = json!({"labels": {"app": pick(random, &NAMES)}});
    }
    let ingress = json!([{"port": {"number": 8080, "protocol": "HTTP", "name": "i"}, "defaultEndpoint": "127.0.0.1:9000"}]);
    let mode = json!({"mode": pick(random, &["REGISTRY_ONLY", "ALLOW_ANY"])});
    merge(&mut spec, some_of(random, &[json!({"ingress": ingress}), json!({"outboundTrafficPolicy": mode})]));
    spec
}

fn peer_authentication(random: &mut Random) -> Json {
    let mut spec = json!({"mtls": {"mode": pick(random, &["STRICT", "PERMISSIVE", "DISABLE", "UNSET"])}});
    let has_selector = random.one_in(2);
    if has_selector {
        spec["selector"] = json!({"matchLabels": {"app": pick(random, &NAMES)}});
    }
    if has_selector && random.one_in(2) {
        spec["portLevelMtls"] = json!({"8080": {"mode": pick(random, &["STRICT", "DISABLE"])}});
    }
    spec
}

/// A MeshConfig, as YAML.
pub(crate) fn mesh_config(random: &mut Random) -> String {
    let provider = json!([{"name": "t", "zipkin": {"service": "one.a.svc.cluster.local", "port": 80}}]);
    let defaults = some_of(
        random,
        &[
            json!({"tracing": {"sampling": 50}}),
            json!({"proxyHeaders": {"server": {"disabled": true}, "preserveHttp1HeaderCase": true}}),
            json!({"gatewayTopology": {"numTrustedProxies": 1}}),
            json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}),
        ],
    );
    let locality = json!({"enabled": true, "failoverPriority": [pick(random, &["app", "version"])]});
    let fields = [
        json!({"accessLogFile": "/dev/stdout"}),
        json!({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
        json!({"defaultVirtualServiceExportTo": [pick(random, &[".", "*"])]}),
        json!({"defaultServiceExportTo": [pick(random, &[".", "*"])]}),
        json!({"defaultDestinationRuleExportTo": [pick(random, &[".", "*"])]}),
        json!({"localityLbSetting": locality}),
        json!({"enableAutoMtls": false}),
        json!({"trustDomain": "other"}),
        json!({"trustDomainAliases": ["more"]}),
        json!({"connectTimeout": "3s"}),
        json!({"rootNamespace": "a"}),
        json!({"extensionProviders": provider, "defaultProviders": {"tracing": ["t"]}}),
        json!({"defaultConfig": defaults}),
        json!({"serviceSettings": [{"settings": {"clusterLocal": true}, "hosts": ["*.a.svc.cluster.local"]}]}),
        json!({"protocolDetectionTimeout": "5s"}),
    ];
    some_of(random, &fields).to_string()
}
