//! Clusters, endpoints and inbound listeners by what users write, at the edges of istiod's rules.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

#[path = "../common/mod.rs"]
mod common;
mod world;

use model::settings::Compliance;
use serde_json::{Value, json};

use common::{World, entry, istio, slice};
use world::{rule, service};

const UPSTREAM: &str =
    "/typedExtensionProtocolOptions/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A host outside the mesh with endpoints in two places, resolved as `resolution` says.
fn two_places(resolution: &str) -> Value {
    let one = json!({"address": "one.com", "locality": "r1/z1", "labels": {"app": "x", "version": "v1"}});
    let two = json!({"address": "two.com", "locality": "r1/z1", "labels": {"app": "y", "version": "v1"}});
    entry("names", &json!({"resolution": resolution, "endpoints": [one, two]}))
}

#[test]
fn failover_by_labels_orders_endpoints_in_default_clusters() {
    let policy =
        json!({"outlierDetection": {}, "loadBalancer": {"localityLbSetting": {"failoverPriority": ["app"]}}});
    let subsets = json!([{"name": "v1", "labels": {"version": "v1"}}]);
    let world = World::new(&[two_places("DNS"), rule("names.com", &policy, &subsets)]);
    let world = world.proxy("sidecar", json!({"LABELS": {"app": "y"}}));
    assert_eq!(world.embedded("outbound|80||names"), ["0 r1/z1 1: two.com", "1 r1/z1 1: one.com"]);
    assert_eq!(world.embedded("outbound|80|v1|names"), ["0 r1/z1 2: one.com two.com"]);
    let world = world.proxy("sidecar", json!({"LABELS": {"app": "x"}}));
    assert_eq!(world.embedded("outbound|80||names"), ["0 r1/z1 1: one.com", "1 r1/z1 1: two.com"]);
}

#[test]
fn outlier_detection_of_the_mesh_does_not_order_endpoint_resources() {
    let static_places = entry(
        "ips",
        &json!({"resolution": "STATIC", "endpoints": [
            {"address": "1.0.0.1", "locality": "r1"}, {"address": "1.0.0.2", "locality": "r2"}]}),
    );
    let world = |policy: Value| World::new(&[static_places.clone(), rule("ips.com", &policy, &json!([]))]);
    let mesh = json!({"defaultTrafficPolicy": {"outlierDetection": {"minHealthPercent": 10}}});
    let by_mesh =
        world(json!({})).mesh(mesh.clone()).proxy("sidecar", json!({"LABELS": {"istio-locality": "r2"}}));
    assert_eq!(by_mesh.localities("outbound|80||ips"), ["0 r1 1: 1.0.0.1", "0 r2 1: 1.0.0.2"]);
    assert_eq!(by_mesh.of("outbound|80||ips", "/outlierDetection/enforcingSuccessRate"), json!(0));
    // Endpoints that are not ready are sent all the same.
    let objects = [service("own", &[("http", 80)]), slice("own", ("http", 8080), &[("10.0.0.5", false)])];
    let own = World::new(&objects).mesh(mesh);
    assert_eq!(own.localities("outbound|80||own"), ["0  1: 10.0.0.5(unhealthy)"]);
}

#[test]
fn the_draining_label_is_a_state() {
    let endpoint = json!({"address": "1.0.0.1", "labels": {"istio.io/draining": "yes"}});
    let mut draining = entry("ips", &json!({"resolution": "STATIC", "endpoints": [endpoint]}));
    assert_eq!(World::new(&[draining.clone()]).localities("outbound|80||ips"), Vec::<String>::new());
    draining["metadata"]["labels"] = json!({"istio.io/persistent-session": "cookie"});
    assert_eq!(World::new(&[draining]).localities("outbound|80||ips"), ["0  1: 1.0.0.1(draining)"]);
}

#[test]
fn endpoints_of_local_hosts_serve_their_own_cluster() {
    let objects = [service("own", &[("http", 80)]), slice("own", ("http", 8080), &[("10.0.0.5", true)])];
    let world = |proxy: &str, local: bool| {
        let settings = json!({"settings": {"clusterLocal": local}, "hosts": ["*.a.svc.cluster.local"]});
        let world = World::new(&objects).mesh(json!({"serviceSettings": [settings]}));
        world.proxy("sidecar", json!({"CLUSTER_ID": proxy})).localities("outbound|80||own")
    };
    assert_eq!(world("Kubernetes", true), ["0  1: 10.0.0.5(healthy)"]);
    assert_eq!(world("other", false), ["0  1: 10.0.0.5(healthy)"]);
    assert_eq!(world("other", true), Vec::<String>::new());
}

#[test]
fn a_regulation_holds_for_every_socket() {
    let world =
        |compliance| World::new(&[service("own", &[("http", 80)])]).settings(|it| it.compliance = compliance);
    let params = "/transportSocketMatches/0/transportSocket/typedConfig/commonTlsContext/tlsParams";
    assert_eq!(
        world(Compliance::Fips1402).of("outbound|80||own", params),
        json!({"tlsMinimumProtocolVersion": "TLSv1_2", "tlsMaximumProtocolVersion": "TLSv1_2"})
    );
    assert_eq!(
        world(Compliance::Fips1403).of("outbound|80||own", params),
        json!({"tlsMinimumProtocolVersion": "TLSv1_2", "tlsMaximumProtocolVersion": "TLSv1_3",
            "compliancePolicies": ["FIPS_202205"]})
    );
    let pqc = world(Compliance::Pqc).of("outbound|80||own", params);
    assert_eq!(
        (&pqc["tlsMinimumProtocolVersion"], &pqc["ecdhCurves"]),
        (&json!("TLSv1_3"), &json!(["X25519MLKEM768"]))
    );
}

#[test]
fn further_labels_are_told_between_peers_over_tcp_too() {
    let labels = vec!["team".into(), "tier".into()];
    let world = World::new(&[service("own", &[("http", 80)])]).settings(|it| it.mx_labels = labels);
    let path = "/filters/0/typedConfig/value/additional_labels";
    for cluster in ["outbound|80||own", "PassthroughCluster"] {
        assert_eq!(world.of(cluster, path), json!(["team", "tier"]));
    }
    assert_eq!(world.of("InboundPassthroughCluster", "/filters"), Value::Null);
}

#[test]
fn names_resolved_as_they_are_called_follow_the_request_under_mutual_tls() {
    let named = json!({"hosts": ["*.wild.com"], "resolution": "DYNAMIC_DNS", "location": "MESH_INTERNAL",
        "subjectAltNames": ["spiffe://x"]});
    let world = World::new(&[entry("wild", &named)]);
    let name = "outbound|80||*.wild.com";
    let upstream = format!("{UPSTREAM}/upstreamHttpProtocolOptions");
    assert_eq!(world.of(name, &upstream), json!({"autoSni": true, "autoSanValidation": true}));
    let tls = world.of(name, "/transportSocketMatches/0/transportSocket/typedConfig");
    assert_eq!(tls["sni"], Value::Null);
    let names = "/commonTlsContext/combinedValidationContext/defaultValidationContext/matchSubjectAltNames";
    assert_eq!(tls.pointer(names), None);
}

#[test]
fn the_mesh_may_secure_names_that_no_service_has() {
    let any = |tls: Value| {
        let policy = json!({"mode": "ALLOW_ANY_DYNAMIC_DNS", "tls": tls});
        World::new(&[]).mesh(json!({"outboundTrafficPolicy": policy})).cluster("AllowAnyDynamicDNSCluster")
    };
    let told = |cluster: Value| {
        let at = |path: &str| cluster.pointer(path).cloned().unwrap_or_default();
        let insecure = at("/clusterType/typedConfig/allowInsecureClusterOptions");
        let options = at(UPSTREAM);
        let idle = options["commonHttpProtocolOptions"]["idleTimeout"].clone();
        (
            at("/transportSocket/typedConfig/sni"),
            insecure,
            options["upstreamHttpProtocolOptions"].clone(),
            idle,
        )
    };
    let follows = json!({"autoSni": true, "autoSanValidation": true});
    let nothing = Value::Null;
    assert_eq!(
        told(any(json!({"mode": "DISABLE"}))),
        (nothing.clone(), json!(true), nothing.clone(), json!("300s"))
    );
    let simple = any(json!({"mode": "SIMPLE"}));
    assert!(simple["transportSocket"].is_object());
    assert_eq!(told(simple), (nothing.clone(), nothing.clone(), follows, nothing.clone()));
    let fixed = any(json!({"mode": "SIMPLE", "sni": "x", "insecureSkipVerify": true}));
    assert_eq!(told(fixed), (json!("x"), json!(true), nothing.clone(), json!("300s")));
    let secret = any(json!({"mode": "SIMPLE", "credentialName": "x"}));
    assert_eq!(told(secret), (nothing.clone(), json!(true), nothing, json!("300s")));
}

#[test]
fn names_of_this_mesh_make_clusters_once() {
    let names = World::new(&[service("own", &[("http", 80)])]).names();
    assert_eq!(
        names,
        [
            "outbound|80||own.a.svc.cluster.local",
            "BlackHoleCluster",
            "PassthroughCluster",
            "InboundPassthroughCluster"
        ]
    );
}

#[test]
fn gateways_may_be_given_only_what_their_routes_lead_to() {
    let server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
    let gateway = istio("Gateway", "gate", json!({"selector": {"istio": "x"}, "servers": [server]}));
    let routes = |host: &str, gateway: &str| {
        let route = json!([{"route": [{"destination": {"host": host}}]}]);
        istio(
            "VirtualService",
            host,
            json!({"hosts": [format!("{host}.com")], "gateways": [gateway], "http": route}),
        )
    };
    let services = ["led", "other", "meshed"].map(|name| service(name, &[("http", 80)]));
    let mut objects =
        vec![gateway, routes("led", "gate"), routes("other", "another"), routes("meshed", "mesh")];
    objects.extend(services);
    let world = |on: bool| {
        let world = World::new(&objects).settings(|it| it.filter_gateway_clusters = on);
        world.proxy("router", json!({"LABELS": {"istio": "x"}})).names()
    };
    assert_eq!(world(true), ["outbound|80||led.a.svc.cluster.local", "BlackHoleCluster"]);
    assert_eq!(world(false).len(), 4);
}

#[test]
fn the_case_of_headers_is_forgotten_where_the_client_decides_twice() {
    let policy = json!({"connectionPool": {"http": {"useClientProtocol": true}}});
    let path = format!("{UPSTREAM}/useDownstreamProtocolConfig/httpProtocolOptions");
    let of = |port: &str, policy: &Value| {
        let mesh = json!({"defaultConfig": {"proxyHeaders": {"preserveHttp1HeaderCase": true}}});
        let objects = [service("own", &[(port, 80)]), rule("own", policy, &json!([]))];
        World::new(&objects).mesh(mesh).of("outbound|80||own", &path)["headerKeyFormat"].is_object()
    };
    assert_eq!([of("http", &policy), of("any", &json!({})), of("any", &policy)], [true, true, false]);
}

#[test]
fn an_ingress_listener_is_bound_as_it_is_written() {
    let listener = |bind: &str| {
        let port = json!({"number": 9080, "name": "http", "protocol": "HTTP"});
        let ingress =
            json!([{"port": port, "bind": bind, "captureMode": "NONE", "defaultEndpoint": "127.0.0.1:80"}]);
        let sidecar = istio("Sidecar", "own", json!({"ingress": ingress}));
        let world = World::new(&[sidecar]).settings(|it| it.dual_stack = true);
        let name = if bind.is_empty() { "10.0.0.1_9080".to_owned() } else { format!("{bind}_9080") };
        let both = world.proxy("sidecar", json!({"INSTANCE_IPS": "10.0.0.1,2001:db8::1"})).listener(&name);
        both["additionalAddresses"].as_array().map_or(0, Vec::len)
    };
    assert_eq!([listener(""), listener("0.0.0.0")], [0, 0]);
}

#[test]
fn connections_by_server_name_never_resolve_the_name_that_was_called() {
    let named = json!({"hosts": ["*.wild.com"], "resolution": "DYNAMIC_DNS", "location": "MESH_INTERNAL"});
    let tls = json!({"mode": "AUTO_PASSTHROUGH"});
    let server = json!({"port": {"number": 443, "name": "tls", "protocol": "TLS"}, "hosts": ["*.wild.com"], "tls": tls});
    let gateway = istio("Gateway", "gate", json!({"selector": {"istio": "x"}, "servers": [server]}));
    let world =
        World::new(&[gateway, entry("wild", &named)]).proxy("router", json!({"LABELS": {"istio": "x"}}));
    assert_eq!(world.of("outbound_.80_._.*.wild.com", "/type"), json!("EDS"));
    assert_eq!(
        world.of("outbound|80||*.wild.com", "/clusterType/name"),
        json!("envoy.clusters.dynamic_forward_proxy")
    );
}
