//! Listeners and route configurations of gateways: what a user applies, and what a gateway is told.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use memo::Shared;
use mesh::{Config, ListenerProfile, RouteProfile, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::settings::Settings;
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::{gateways, listeners, routes};

/// A mesh with Gateways, and the gateway workload that they are for.
struct Mesh {
    snapshot: Snapshot,
    proxy: Shared<Proxy>,
}

impl Mesh {
    fn new(objects: &[Value]) -> Self {
        Self::with(&Settings::default(), objects)
    }

    fn with(settings: &Settings, objects: &[Value]) -> Self {
        let mut config = Config { settings: Shared::new(settings.clone()), ..Config::default() };
        for object in objects {
            let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
            let parsed = parse_object(object, &context).unwrap();
            assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
            config.apply(Change {
                key: parsed.key,
                value: parsed.value,
                origin: Default::default(),
                problems: Vec::new(),
            });
        }
        let id = "router~10.0.0.1~edge.a~a.svc.cluster.local".into();
        let metadata = json!({"CLUSTER_ID": "Kubernetes"}).as_object().cloned().unwrap();
        let node = Node { id, metadata, ..Node::default() };
        let proxy = Shared::new(parse_node(&node).unwrap());
        Self { snapshot: Snapshot::default().next(config), proxy }
    }

    /// `virtual host [domains] (redirects): routes`, one a line.
    fn hosts(&self, name: &str) -> String {
        list(&self.route(name)["virtualHosts"]).map(virtual_host).collect()
    }

    /// The route configuration of this name in JSON.
    fn route(&self, name: &str) -> Value {
        let member = self.snapshot.member(&self.proxy);
        let inputs = routes::Inputs {
            scope: member.scope.clone(),
            profile: Shared::new(RouteProfile::of(&member)),
            gateway: member.gateway.clone(),
            routes: self.snapshot.routes.clone(),
            mesh: self.snapshot.config.mesh.clone(),
            settings: self.snapshot.config.settings.clone(),
        };
        let resource = gateways::route(&inputs, name, &routes::Memos::default()).unwrap();
        envoy_api::json::resource(envoy_api::type_url::ROUTE, &resource.body.to_bytes())
    }

    /// The listeners, and `[server names] cluster or routes` of each chain, one a line.
    fn chains(&self) -> String {
        let member = self.snapshot.member(&self.proxy);
        let inputs = listeners::Inputs {
            profile: Shared::new(ListenerProfile::of(&member)),
            scope: member.scope.clone(),
            targets: Vec::new(),
            workload_authn: Shared::default(),
            gateway: member.gateway.clone(),
            facts: Shared::default(),
            collectors: Shared::default(),
            routes: self.snapshot.routes.clone(),
            mesh: self.snapshot.config.mesh.clone(),
            settings: self.snapshot.config.settings.clone(),
        };
        let mut told = String::new();
        for listener in gateways::listeners(&inputs, &listeners::Memos::default()) {
            let json = envoy_api::json::resource(envoy_api::type_url::LISTENER, &listener.body.to_bytes());
            told += &format!("{}\n", &*listener.name);
            told.extend(list(&json["filterChains"]).map(chain));
        }
        told
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words(value: &Value) -> String {
    list(value).filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn virtual_host(host: &Value) -> String {
    let redirects = if host["requireTls"] == "ALL" { " redirects" } else { "" };
    let route = |route: &Value| {
        let path = route["match"]["prefix"].as_str().unwrap_or_default();
        format!("{path} -> {}", route["route"]["cluster"].as_str().unwrap_or_default())
    };
    let routes: Vec<String> = list(&host["routes"]).map(route).collect();
    let name = host["name"].as_str().unwrap_or_default();
    let line = format!("{name} [{}]{redirects}: {}", words(&host["domains"]), routes.join(", "));
    format!("{}\n", line.trim_end())
}

fn chain(chain: &Value) -> String {
    let last = list(&chain["filters"]).last().unwrap();
    let config = &last["typedConfig"];
    let to = config["rds"]["routeConfigName"].as_str().or(config["cluster"].as_str());
    format!("  [{}] {}\n", words(&chain["filterChainMatch"]["serverNames"]), to.unwrap_or("several"))
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

fn gateway(name: &str, servers: Value) -> Value {
    object("Gateway", "a", name, &json!({"servers": servers}))
}

fn http(number: u16, hosts: &[&str], redirects: bool) -> Value {
    let port = json!({"number": number, "name": format!("http-{number}"), "protocol": "HTTP"});
    let mut server = json!({"port": port, "hosts": hosts});
    if redirects {
        server["tls"] = json!({"httpsRedirect": true});
    }
    server
}

fn rules(namespace: &str, name: &str, hosts: &[&str], paths: &[&str]) -> Value {
    let rule = |path: &&str| {
        json!({"match": [{"uri": {"prefix": path}}],
            "route": [{"destination": {"host": format!("{name}.com"), "port": {"number": 80}}}]})
    };
    let rules: Vec<Value> = paths.iter().map(rule).collect();
    object("VirtualService", namespace, name, &json!({"hosts": hosts, "gateways": ["a/gw"], "http": rules}))
}

#[test]
fn hosts_with_the_same_routes_share_a_virtual_host_and_everything_comes_last() {
    let mesh = Mesh::new(&[
        gateway("gw", json!([http(80, &["*"], false)])),
        rules("a", "one", &["x.com", "y.com"], &["/one", "/"]),
        rules("b", "two", &["y.com", "*.z.com", "z.com"], &["/two"]),
    ]);
    expect_test::expect![[r#"
        x.com:80 [x.com]: /one -> outbound|80||one.com, / -> outbound|80||one.com
        y.com:80 [y.com]: /one -> outbound|80||one.com, /two -> outbound|80||two.com, / -> outbound|80||one.com
        z.com:80 [z.com *.z.com]: /two -> outbound|80||two.com
    "#]]
    .assert_eq(&mesh.hosts("http.80"));
    assert_eq!(mesh.hosts("http.81"), "");
}

#[test]
fn a_server_takes_the_hosts_of_its_namespaces_and_redirects_all_of_its_own() {
    let mesh = Mesh::new(&[
        gateway("gw", json!([http(80, &["b/*.x.com", "y.com"], true)])),
        rules("a", "one", &["one.x.com"], &["/"]),
        rules("b", "two", &["two.x.com"], &["/"]),
    ]);
    expect_test::expect![[r#"
        b/*.x.com:80 [b/*.x.com y.com] redirects:
        two.x.com:80 [two.x.com] redirects: / -> outbound|80||two.com
    "#]]
    .assert_eq(&mesh.hosts("http.80"));
}

#[test]
fn no_route_for_the_port_is_nothing_for_all_hosts() {
    let elsewhere = json!({"hosts": ["*"], "gateways": ["gw"],
        "http": [{"match": [{"port": 81}], "route": [{"destination": {"host": "one.com"}}]}]});
    let mesh = Mesh::new(&[
        gateway("gw", json!([http(80, &["*"], false)])),
        object("VirtualService", "a", "one", &elsewhere),
    ]);
    assert_eq!(mesh.hosts("http.80"), "blackhole:80 [*]:\n");
}

/// The workload of the gateway, and a service that leads to these ports of it.
fn workload(ports: &Value) -> [Value; 2] {
    let labels = json!({"app": "edge"});
    let meta = json!({"name": "edge", "namespace": "a", "labels": labels});
    [
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"clusterIP": "10.96.0.1", "selector": labels, "ports": ports}}),
    ]
}

#[test]
fn http3_is_served_and_announced_where_a_udp_port_leads_to_the_gateway() {
    let https = |number: u16, host: &str| {
        json!({"port": {"number": number, "name": format!("https-{number}"), "protocol": "HTTPS"},
            "hosts": [host], "tls": {"mode": "SIMPLE", "credentialName": "c"}})
    };
    let tcp =
        |number: u16| json!({"port": number, "targetPort": number + 8000, "name": format!("t{number}")});
    let udp = json!({"port": 443, "targetPort": 8443, "name": "u", "protocol": "UDP"});
    let mut objects = workload(&json!([tcp(443), tcp(444), udp])).to_vec();
    objects.push(gateway("gw", json!([https(443, "x.com"), https(444, "y.com")])));
    objects.push(rules("a", "one", &["*.com"], &["/"]));
    let settings = Settings { quic_listeners: true, ..Settings::default() };
    let mesh = Mesh::with(&settings, &objects);
    expect_test::expect![[r#"
        0.0.0.0_8443
          [x.com] https.443.https-443.gw.a
        0.0.0.0_8444
          [y.com] https.444.https-444.gw.a
        udp_0.0.0.0_8443
          [x.com] https.443.https-443.gw.a
    "#]]
    .assert_eq(&mesh.chains());
    let announces = |name: &str| mesh.route(name).to_string().contains(r#"h3=\":443\"; ma=86400"#);
    assert!(announces("https.443.https-443.gw.a") && !announces("https.444.https-444.gw.a"));
    assert!(!Mesh::new(&objects).chains().contains("udp"));
}

#[test]
fn a_rule_may_ask_for_labels_of_the_gateway() {
    let of = |value: &str| {
        json!({"match": [{"sourceLabels": {"app": value}}],
            "route": [{"destination": {"host": format!("{value}.com"), "port": {"number": 80}}}]})
    };
    let rules = json!({"hosts": ["x.com"], "gateways": ["gw"], "http": [of("other"), of("edge")]});
    let mut objects = workload(&json!([{"port": 80, "name": "http"}])).to_vec();
    objects.push(gateway("gw", json!([http(80, &["*"], false)])));
    objects.push(object("VirtualService", "a", "one", &rules));
    assert_eq!(Mesh::new(&objects).hosts("http.80"), "x.com:80 [x.com]: / -> outbound|80||edge.com\n");
}

#[test]
fn a_server_name_is_handed_on_once_for_a_port() {
    let server = |name: &str, hosts: &[&str]| {
        json!({"port": {"number": 443, "name": name, "protocol": "TLS"}, "hosts": hosts,
            "tls": {"mode": "PASSTHROUGH"}})
    };
    let rule = |names: &[&str], to: &str| {
        json!({"match": [{"sniHosts": names}],
            "route": [{"destination": {"host": to, "port": {"number": 443}}}]})
    };
    let all = json!({"hosts": ["*.x.com"], "gateways": ["gw", "more"], "tls": [
        rule(&["one.x.com"], "one.com"), rule(&["two.x.com", "one.x.com"], "two.com"), rule(&["z.x.com"], "z.com"),
    ]});
    let mesh = Mesh::new(&[
        gateway("gw", json!([server("tls", &["one.x.com"])])),
        gateway("more", json!([server("tls-more", &["two.x.com"])])),
        object("VirtualService", "a", "all", &all),
    ]);
    expect_test::expect![[r#"
        0.0.0.0_443
          [one.x.com] outbound|443||one.com
          [z.x.com] outbound|443||z.com
    "#]]
    .assert_eq(&mesh.chains());
}
