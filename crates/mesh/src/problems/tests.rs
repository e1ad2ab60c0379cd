//! What is told of objects that lose to others or refer to nothing, and what is not.

use model::networking::{DestinationRule, Gateway, Server, Sidecar, Subset};
use model::{Created, Host, Kind, Protocol};

use crate::builders::{With, entry, meta, service, sidecar, virtual_service};
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
