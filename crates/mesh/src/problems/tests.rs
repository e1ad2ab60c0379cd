//! What is told of objects that lose to others or refer to nothing, and what is not.

use model::kube::{EndpointSlice, SliceEndpoint};
use model::networking::{
    Destination, DestinationRule, Gateway, HttpMatch, Mirror, MutualTlsMode, PeerAuthentication, Server,
    ServerTls, ServerTlsMode, Share, Sidecar, Subset, WorkloadSpec,
};
use model::service::TargetPort;
use model::{Created, Host, Kind, Protocol, Resolution, Text};

use crate::builders::{With, entry, meta, pod, service, sidecar, virtual_service, workload_entry};
use crate::{Config, Snapshot};

fn found(config: Config) -> Vec<String> {
    let snapshot = Snapshot::default().next(config);
    let told = |problem: &model::Problem| format!("{} {} {}", problem.key, problem.field, problem.code);
    snapshot.problems().iter().map(told).collect()
}

fn rule(id: &str, host: &str, subsets: &[&str]) -> DestinationRule {
    let subset = |name: &&str| Subset { name: (*name).into(), labels: Default::default(), policy: None };
    DestinationRule {
        meta: meta(Kind::DestinationRule, id, 0),
        host: Host::new(host),
        policy: None,
        subsets: subsets.iter().map(subset).collect(),
        export_to: model::networking::ExportTo::Unset,
        selector: None,
    }
}

const HOST: &str = "a.ns.svc.cluster.local";

#[test]
fn what_fits_together_is_no_problem() {
    let config = Config::default()
        .with(service("ns/a", &[80]))
        .with(rule("ns/a", HOST, &["v1"]))
        .with(entry("ns/wide", "*.example.com", &[443]))
        .with(virtual_service("ns/a", HOST, &[HOST]))
        .with(virtual_service("ns/b", "b.com", &["api.example.com"]));
    assert_eq!(found(config), [""; 0]);
}

#[test]
fn references_to_nothing_are_told_with_their_fields() {
    let mut routes = virtual_service("ns/r", HOST, &["none.ns.svc.cluster.local", HOST]);
    routes.gateways = vec!["ns/none".into(), "mesh".into()];
    let config = Config::default()
        .with(service("ns/a", &[80]))
        .with(rule("ns/d", "none.ns.svc.cluster.local", &[]))
        .with(routes);
    let found = found(config);
    assert!(found.contains(&"DestinationRule ns/d spec.host unknown-host".to_owned()), "{found:?}");
    assert!(found.contains(&"VirtualService ns/r spec.gateways unknown-gateway".to_owned()), "{found:?}");
    let host = "spec.http[0].route[0].destination.host unknown-host";
    assert!(found.contains(&format!("VirtualService ns/r {host}")), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn of_two_that_want_the_same_the_younger_one_is_told() {
    let aged = |mut sidecar: Sidecar, age: i64| {
        sidecar.meta.created = Created(age);
        sidecar
    };
    let mut younger = virtual_service("ns/younger", HOST, &[HOST]);
    younger.meta.created = Created(5);
    let config = Config::default()
        .with(service("ns/a", &[80]))
        .with(aged(sidecar("ns/one", &["*/*"]), 2))
        .with(aged(sidecar("ns/two", &["*/*"]), 1))
        .with(virtual_service("ns/older", HOST, &[HOST]))
        .with(younger);
    assert_eq!(
        found(config),
        [
            "Sidecar ns/one spec.workloadSelector sidecar-conflict",
            "VirtualService ns/younger spec.hosts duplicate-host",
        ]
    );
}

#[test]
fn only_who_differs_from_the_winner_has_the_wrong_protocol() {
    let speaks = |id: &str, protocol| {
        let mut entry = entry(id, "a.com", &[443]);
        entry.ports[0].protocol = protocol;
        entry
    };
    let config = Config::default()
        .with(speaks("ns/1", Protocol::Https))
        .with(speaks("ns/2", Protocol::Tcp))
        .with(speaks("ns/3", Protocol::Https));
    assert_eq!(found(config), ["ServiceEntry ns/2 spec.ports[0].protocol port-protocol-conflict"]);
}

fn gateway(id: &str, servers: &[(u16, Protocol, &str)]) -> Gateway {
    let server = |(number, protocol, host): &(u16, Protocol, &str)| Server {
        name: "".into(),
        number: *number,
        protocol: *protocol,
        protocol_word: format!("{protocol:?}").to_uppercase().into(),
        port_name: "port".into(),
        bind: "".into(),
        hosts: vec![(*host).into()],
        tls: None,
    };
    let servers = servers.iter().map(server).collect();
    Gateway { meta: meta(Kind::Gateway, id, 0), selector: Default::default(), servers }
}

#[test]
fn servers_that_are_left_out_are_told_and_hosts_that_nobody_serves() {
    let mut routes = virtual_service("ns/r", "other.com", &[HOST]);
    routes.gateways = vec!["ns/a".into()];
    let config = Config::default()
        .with(service("ns/a", &[80]))
        .with(gateway("ns/a", &[(80, Protocol::Http, "a.com"), (81, Protocol::Tcp, "t.com")]))
        .with(gateway("ns/b", &[(80, Protocol::Http, "b.com"), (81, Protocol::Http, "b.com")]))
        .with(routes);
    assert_eq!(
        found(config),
        [
            "Gateway ns/b spec.servers[1] gateway-conflict",
            "VirtualService ns/r spec.hosts[0] host-not-in-gateway",
        ]
    );
}

#[test]
fn conditions_and_mirrors_that_lead_nowhere_are_told() {
    let mut routes = virtual_service("ns/r", HOST, &[HOST]);
    let mut http = (*routes.http[0]).clone();
    let to =
        |host: &str, subset: &str| Destination { host: Host::new(host), subset: subset.into(), port: None };
    http.mirror = Some(to("none.com", ""));
    http.mirrors = vec![Mirror { destination: to(HOST, "v9"), share: Share::Unset }];
    let matching = |gateways: &[&str]| HttpMatch {
        gateways: gateways.iter().map(|name| Text::from(*name)).collect(),
        ..HttpMatch::default()
    };
    http.matches = vec![matching(&["mesh"]), matching(&["mesh", "ns/none"])];
    routes.http = vec![http.into()];
    assert_eq!(
        found(Config::default().with(service("ns/a", &[80])).with(routes)),
        [
            "VirtualService ns/r spec.http[0].match[1].gateways unknown-gateway",
            "VirtualService ns/r spec.http[0].mirror.host unknown-host",
            "VirtualService ns/r spec.http[0].mirrors[0].destination.subset unknown-subset",
        ]
    );
}

#[test]
fn a_selector_of_no_workload_is_told_where_workloads_are_known() {
    let selecting = |labels: &[(&str, &str)]| {
        let mut gateway = gateway("ns/g", &[(80, Protocol::Http, "a.com")]);
        gateway.selector = labels.iter().copied().collect();
        Config::default().with(gateway)
    };
    let mut pod = pod("other/p", 0, "1.1.1.1");
    pod.meta.labels = [("istio", "gate")].into_iter().collect();
    assert_eq!(found(selecting(&[("istio", "none")])), [""; 0]);
    assert_eq!(found(selecting(&[("istio", "gate")]).with(pod.clone())), [""; 0]);
    assert_eq!(found(selecting(&[]).with(pod.clone())), [""; 0]);
    let told = ["Gateway ns/g spec.selector selector-without-workload"];
    assert_eq!(found(selecting(&[("istio", "none")]).with(pod)), told);
}

#[test]
fn endpoints_that_are_none_are_told() {
    let mut known = entry("ns/e", "a.com", &[80]);
    known.resolution = Resolution::Static;
    let endpoint = |version: &str| WorkloadSpec {
        address: "1.1.1.1".into(),
        labels: [("version", version)].into_iter().collect(),
        ..WorkloadSpec::default()
    };
    known.endpoints = vec![endpoint("v1")];
    let mut rule = rule("ns/d", "a.com", &["all", "v1", "v2", "unused"]);
    for (subset, version) in rule.subsets.iter_mut().skip(1).zip(["v1", "v2", "v3"]) {
        subset.labels = [("version", version)].into_iter().collect();
    }
    let mut selecting = entry("ns/s", "b.com", &[80]);
    selecting.selector = Some([("app", "b")].into_iter().collect());
    selecting.resolution = Resolution::Static;
    let mut named = workload_entry("ns/w", 0, "b.example.com");
    named.spec.labels = [("app", "b")].into_iter().collect();
    let slice = |id: &str, service: &str| EndpointSlice {
        meta: meta(Kind::EndpointSlice, id, 0),
        service: service.into(),
        fqdn: false,
        ports: Vec::new(),
        endpoints: vec![SliceEndpoint {
            addresses: vec!["1.1.1.1".into()],
            ready: None,
            serving: None,
            terminating: None,
            pod: None,
            node: "".into(),
        }],
    };
    let mut routes = virtual_service("ns/r", "a.com", &["a.com", "a.com", "a.com"]);
    for (route, subset) in routes.http.iter_mut().zip(["all", "v1", "v2"]) {
        let mut http = (**route).clone();
        http.routes[0].destination.subset = subset.into();
        *route = http.into();
    }
    let config = Config::default()
        .with(service("ns/a", &[80]))
        .with(routes)
        .with(known)
        .with(rule)
        .with(selecting)
        .with(named)
        .with(slice("ns/x", "a"))
        .with(slice("ns/y", "none"))
        .with(slice("ns/z", ""));
    assert_eq!(
        found(config),
        [
            "EndpointSlice ns/y metadata.labels.kubernetes.io/service-name unknown-service",
            "EndpointSlice ns/z metadata.labels.kubernetes.io/service-name unknown-service",
            "WorkloadEntry ns/w spec.address address-invalid",
            "DestinationRule ns/d spec.subsets[2].labels empty-subset",
        ]
    );
}

#[test]
fn of_policies_for_the_same_workloads_the_older_wins() {
    let policy = |id: &str, age: i64, app: Option<&str>| PeerAuthentication {
        meta: meta(Kind::PeerAuthentication, id, age),
        selector: app.map(|app| [("app", app)].into_iter().collect()),
        mode: MutualTlsMode::Strict,
        port_modes: Vec::new(),
    };
    let config = Config::default()
        .with(policy("ns/a", 2, None))
        .with(policy("ns/b", 1, None))
        .with(policy("ns/c", 0, Some("x")))
        .with(policy("ns/d", 3, Some("x")))
        .with(policy("ns/e", 3, Some("y")))
        .with(policy("other/a", 0, None));
    assert_eq!(
        found(config),
        [
            "PeerAuthentication ns/a spec.selector peer-authentication-conflict",
            "PeerAuthentication ns/d spec.selector peer-authentication-conflict",
        ]
    );
}

#[test]
fn an_http_service_at_the_address_of_a_tcp_service_is_told() {
    let at = |address: &str, protocol| {
        let mut entry = entry("ns/e", "t.com", &[80]);
        entry.addresses = vec![address.into()];
        entry.ports[0].protocol = protocol;
        Config::default().with(service("ns/a", &[80])).with(entry)
    };
    assert_eq!(found(at("10.0.0.1", Protocol::Tcp)), ["Service ns/a spec.ports listener-conflict"]);
    assert_eq!(found(at("10.0.0.2", Protocol::Tcp)), [""; 0]);
    assert_eq!(found(at("10.0.0.1", Protocol::Http)), [""; 0]);
}

#[test]
fn a_server_that_waits_for_a_secret_is_told() {
    let with = |mode, credential: &str| {
        let mut gateway = gateway("ns/g", &[(443, Protocol::Https, "a.com")]);
        let tls = ServerTls { mode, credential_name: credential.into(), ..ServerTls::default() };
        gateway.servers[0].tls = Some(tls);
        found(Config::default().with(gateway))
    };
    let told = ["Gateway ns/g spec.servers[0].tls.credentialName secret-not-served"];
    assert_eq!(with(ServerTlsMode::Simple, "cert"), told);
    assert_eq!(with(ServerTlsMode::Simple, ""), [""; 0]);
    assert_eq!(with(ServerTlsMode::Simple, "sds://cert"), [""; 0]);
    assert_eq!(with(ServerTlsMode::IstioMutual, "cert"), [""; 0]);
}

#[test]
fn a_target_port_that_no_pod_has_is_told() {
    let with = |name: &str, labels: &[(&str, &str)]| {
        let mut service = service("ns/a", &[80]);
        service.selector = Some([("app", "a")].into_iter().collect());
        service.ports[0].target = TargetPort::Name("web".into());
        let mut pod = pod("ns/p", 0, "1.1.1.1");
        pod.meta.labels = labels.iter().copied().collect();
        pod.ports = vec![(name.into(), 8080, "TCP".into())];
        found(Config::default().with(service).with(pod))
    };
    assert_eq!(with("web", &[("app", "a")]), [""; 0]);
    assert_eq!(with("other", &[("app", "b")]), [""; 0]);
    assert_eq!(with("other", &[("app", "a")]), ["Service ns/a spec.ports[0].targetPort unknown-target-port"]);
}
