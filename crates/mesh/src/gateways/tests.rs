//! What becomes of the servers of several Gateways on one workload.

use model::service::TargetPort;

use super::*;
use crate::builders;

/// A server in one line: `<protocol> <port> <host>,… [bind=<address>] [tls=<mode>] [name=<port name>]`.
fn server(text: &str) -> Server {
    let mut words = text.split(' ');
    let word = words.next().unwrap();
    let number: u16 = words.next().unwrap().parse().unwrap();
    let hosts = words.next().unwrap().split(',').map(Text::from).collect();
    let (mut bind, mut tls, mut port_name) = ("", None, word.to_ascii_lowercase());
    for option in words {
        match option.split_once('=').unwrap() {
            ("bind", address) => bind = address,
            ("tls", mode) => tls = Some(server_tls(mode)),
            (_, name) => port_name = name.to_owned(),
        }
    }
    Server {
        name: "".into(),
        number,
        protocol: Protocol::of_istio_port(word, number),
        protocol_word: word.into(),
        port_name: port_name.into(),
        bind: bind.into(),
        hosts,
        tls,
    }
}

fn server_tls(mode: &str) -> ServerTls {
    let mode = match mode {
        "simple" => ServerTlsMode::Simple,
        "auto" => ServerTlsMode::AutoPassthrough,
        _ => ServerTlsMode::Passthrough,
    };
    ServerTls { mode, ..ServerTls::default() }
}

fn gateway(id: &str, age: i64, servers: &[&str]) -> Gateway {
    let servers = servers.iter().map(|text| server(text)).collect();
    Gateway { meta: builders::meta(model::Kind::Gateway, id, age), selector: Labels::default(), servers }
}

fn index(gateways: Vec<Gateway>) -> GatewayIndex {
    let mut index = GatewayIndex::default();
    for gateway in gateways {
        index.ordered.share(order(&gateway), Shared::new(gateway));
    }
    index
}

fn merged(gateways: Vec<Gateway>, targets: &[ServiceTarget]) -> Option<MergedGateway> {
    let proxy = builders::proxy("ns");
    index(gateways).merged(&proxy, &proxy.labels, targets, &Config::default())
}

/// Entries as `<port> <protocol> [<bind>]: <hosts of a server> | …`.
fn entries(merged: &MergedGateway) -> Vec<String> {
    let hosts = |server: &GatewayServer| server.server.hosts.join(",");
    let line = |entry: &MergedServer| {
        let bind = if entry.bind.is_empty() { String::new() } else { format!(" {}", entry.bind) };
        let servers: Vec<String> = entry.servers.iter().map(hosts).collect();
        format!("{} {}{bind}: {}", entry.listener_port, entry.protocol, servers.join(" | "))
    };
    merged.servers.iter().map(line).collect()
}

/// What servers of one Gateway `ns/gw` come to: entries and route names.
#[track_caller]
fn check(servers: &[&str], expected: &[&str], routes: &[&str]) {
    let merged = merged(vec![gateway("ns/gw", 0, servers)], &[]).unwrap();
    assert_eq!(entries(&merged), expected);
    let names: Vec<&str> = merged.routes.keys().map(|name| &**name).collect();
    assert_eq!(names, routes);
    for (name, places) in &merged.routes {
        for (entry, at) in places {
            assert_eq!(merged.servers[*entry].servers[*at].route, *name);
        }
    }
}

#[test]
fn plaintext_joins_the_first_plaintext_server_of_a_port_or_is_left_out() {
    check(&["HTTP 80 a", "GRPC 80 b"], &["80 HTTP: a | b"], &["http.80"]);
    check(&["HTTP 80 a", "TCP 80 b"], &["80 HTTP: a"], &["http.80"]);
    check(&["TCP 80 a", "HTTP 80 b"], &["80 TCP: a"], &[]);
    check(&["TCP 80 a", "TCP 80 b"], &["80 TCP: a"], &[]);
    check(&["HTTP 80 a", "HTTPS 80 b tls=simple"], &["80 HTTP: a"], &["http.80"]);
    check(&["HTTP 80 a", "HTTP 81 a"], &["80 HTTP: a", "81 HTTP: a"], &["http.80", "http.81"]);
}

#[test]
fn addresses_stand_for_themselves() {
    check(
        &["HTTP 80 a", "HTTP 80 b bind=10.0.0.1", "HTTP 80 c bind=10.0.0.1", "HTTP 80 d"],
        &["80 HTTP: a | d", "80 HTTP 10.0.0.1: b | c"],
        &["http.80", "http.80.10.0.0.1"],
    );
    check(
        &["HTTP 80 a bind=10.0.0.1", "HTTP 80 b", "GRPC 80 c", "TCP 80 d"],
        &["80 HTTP 10.0.0.1: a", "80 HTTP: b | c"],
        &["http.80", "http.80.10.0.0.1"],
    );
    check(
        &["TCP 80 a", "TCP 80 b bind=10.0.0.1", "HTTPS 80 c bind=10.0.0.2 tls=simple"],
        &["80 TCP: a", "80 TCP 10.0.0.1: b", "80 HTTPS 10.0.0.2: c"],
        &["https.80.https.gw.ns.10.0.0.2"],
    );
}

#[test]
fn hosts_with_tls_are_had_once_for_each_port_and_address() {
    check(
        &[
            "HTTPS 443 a tls=simple name=a",
            "HTTPS 443 b,a tls=simple name=b",
            "HTTPS 443 b tls=simple name=c",
        ],
        &["443 HTTPS: a | b"],
        &["https.443.a.gw.ns", "https.443.c.gw.ns"],
    );
    check(
        &["HTTPS 443 a tls=simple", "HTTPS 443 a tls=simple bind=10.0.0.1"],
        &["443 HTTPS: a", "443 HTTPS 10.0.0.1: a"],
        &["https.443.https.gw.ns", "https.443.https.gw.ns.10.0.0.1"],
    );
    check(
        &["HTTP 80 a tls=redirect", "HTTP 80 a tls=redirect", "HTTP 80 a"],
        &["80 HTTP: a | a"],
        &["http.80"],
    );
}

#[test]
fn servers_with_tls_are_told_by_protocol_and_name_of_the_port() {
    check(
        &["HTTPS 443 a tls=simple", "HTTPS 443 b tls=simple", "TLS 443 c tls=passthrough"],
        &["443 HTTPS: a", "443 TLS: c"],
        &["https.443.https.gw.ns"],
    );
}

#[test]
fn one_server_without_tls_may_come_after_one_with_it() {
    check(
        &["HTTPS 443 a tls=simple name=a", "HTTP 443 b", "HTTP 443 c", "HTTPS 443 d tls=simple name=d"],
        &["443 HTTPS: a | d", "443 HTTP: b"],
        &["http.443", "https.443.a.gw.ns", "https.443.d.gw.ns"],
    );
    check(
        &["TLS 443 a tls=simple", "TCP 443 b", "HTTP 443 c", "TCP 443 d bind=10.0.0.1"],
        &["443 TLS: a", "443 TCP: b", "443 TCP 10.0.0.1: d"],
        &[],
    );
}

#[test]
fn names_are_forwarded_only_by_servers_that_are_open() {
    let servers = ["TLS 443 *.b,./a tls=auto", "TLS 80 c tls=auto", "HTTP 90 d", "TLS 90 e tls=auto"];
    let merged = merged(vec![gateway("ns/gw", 0, &servers)], &[]).unwrap();
    assert_eq!(merged.auto_passthrough, ["*.b".into(), "a".into(), Text::from("c")]);
}

#[test]
fn older_gateways_come_first() {
    let gateways = vec![
        gateway("ns/new", 2, &["HTTPS 443 a,b tls=simple"]),
        gateway("other/old", 1, &["HTTPS 443 ./x,a tls=simple"]),
    ];
    let merged = merged(gateways, &[]).unwrap();
    assert_eq!(entries(&merged), ["443 HTTPS: other/x,a"]);
    assert_eq!(&*merged.servers[0].servers[0].gateway, "other/old");
}

fn target(labels: &[(&str, &str)], number: u16, target_port: u16) -> ServiceTarget {
    let mut object = builders::service("ns/ingress", &[number]);
    object.meta.labels = labels.iter().map(|(key, value)| (Text::from(*key), Text::from(*value))).collect();
    object.ports[0].target = TargetPort::Number(target_port);
    let config = {
        use crate::builders::With;
        Config::default().with(object)
    };
    let services = crate::ServiceIndex::default().next(&Config::default(), &config);
    let service = services.all().next().unwrap().clone();
    ServiceTarget { port: service.ports[0].clone(), service, target_port }
}

#[test]
fn ports_are_those_that_the_services_of_the_workload_lead_to() {
    let ports = |targets: &[ServiceTarget], servers: &[&str]| {
        let merged = merged(vec![gateway("ns/gw", 0, servers)], targets).unwrap();
        merged.routes.keys().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let to_8080 = target(&[], 80, 8080);
    assert_eq!(ports(&[to_8080.clone(), target(&[], 80, 9090)], &["HTTP 80 a"]), ["http.8080"]);
    assert_eq!(ports(std::slice::from_ref(&to_8080), &["HTTP 80 a", "HTTP 8080 b"]), ["http.8080"]);
    assert_eq!(ports(&[to_8080], &["HTTP 81 a"]), ["http.81"]);
    assert_eq!(ports(&[target(&[], 443, 8443)], &["HTTPS 443 a tls=simple"]), ["https.443.https.gw.ns"]);
    let opted_out = target(&[("experimental.istio.io/disable-gateway-port-translation", "true")], 80, 8080);
    assert_eq!(ports(&[opted_out], &["HTTP 80 a"]), ["http.80"]);
}

#[test]
fn gateways_apply_by_selector_and_by_namespace_where_that_is_set() {
    let mut selecting = gateway("other/gw", 0, &["HTTP 80 a"]);
    selecting.selector = [(Text::from("istio"), Text::from("ingress"))].into_iter().collect();
    assert_eq!(merged(vec![selecting.clone()], &[]), None);
    let proxy = builders::proxy("ns");
    let labels = selecting.selector.clone();
    let applies = |own_only: bool| {
        let mut config = Config::default();
        let mut settings = (*config.settings).clone();
        settings.scope_gateway_to_namespace = own_only;
        config.settings = Shared::new(settings);
        index(vec![selecting.clone()]).merged(&proxy, &labels, &[], &config).is_some()
    };
    assert!(applies(false));
    assert!(!applies(true));
}

#[test]
fn hosts_are_told_by_namespace_and_everything_swallows_the_rest() {
    let check = |hosts: &[&str], expected: &[&str]| {
        let hosts: Vec<Text> = hosts.iter().map(|host| Text::from(*host)).collect();
        let expected: Vec<Text> = expected.iter().map(|host| Text::from(*host)).collect();
        assert_eq!(normalised(&hosts, "ns"), expected);
    };
    check(&["./a", "*/b", "c", "other/d"], &["ns/a", "b", "c", "other/d"]);
    check(&["*/*", "*/x", "./y"], &["*"]);
    check(&["a", "*/*"], &["*"]);
    check(&["A.com", "a.com", "Ns/B.com", "./C", "*/*.A.com"], &["a.com", "Ns/b.com", "ns/c", "*.a.com"]);
    check(&[], &[]);
}
