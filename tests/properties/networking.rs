//! Istio's kinds and the MeshConfig, from the same few names as the rest.

use serde_json::{Value as Json, json};
use testkit::random::Random;

use crate::objects::{HOSTS, NAMES, any, export_to, merge, pick, some_of, workload};

pub(crate) fn service_entry(random: &mut Random) -> Json {
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

pub(crate) fn virtual_service(random: &mut Random) -> Json {
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

pub(crate) fn destination_rule(random: &mut Random) -> Json {
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

pub(crate) fn gateway(random: &mut Random) -> Json {
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

pub(crate) fn sidecar(random: &mut Random) -> Json {
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

pub(crate) fn peer_authentication(random: &mut Random) -> Json {
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
