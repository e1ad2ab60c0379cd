//! What a scope lets a proxy see, rule by rule.

use memo::Shared;
use model::networking::{
    HttpMatch, HttpRoute, OutboundMode, OutboundTrafficPolicy, Sidecar, TcpRoute, VirtualService,
};
use model::{Created, Host, Labels, Proxy, ProxyKind, Resolution};

use super::{Scope, ScopeInputs};
use crate::builders::{With, egress, entry, external_name, only, proxy, service, sidecar, virtual_service};
use crate::{Config, Snapshot};

fn inputs(config: &Config, namespace: &str) -> ScopeInputs {
    inputs_of(&Snapshot::default().next(config.clone()), &proxy(namespace))
}

fn inputs_of(snapshot: &Snapshot, proxy: &Proxy) -> ScopeInputs {
    ScopeInputs::of(snapshot, proxy, &Labels::default())
}

fn scope(config: &Config, namespace: &str) -> Scope {
    Scope::new(&inputs(config, namespace))
}

/// `host namespace ports` of each service; hosts of Services without their suffix.
fn seen(scope: &Scope) -> Vec<String> {
    let line = |one: &super::ScopedService| {
        let ports: Vec<String> = one.ports().map(|port| port.number.to_string()).collect();
        let host = one.service.host.as_str().trim_end_matches(".svc.cluster.local");
        format!("{host} {} {}", one.service.namespace, ports.join(","))
    };
    scope.services.iter().map(line).collect()
}

fn check(config: &Config, namespace: &str, expected: &[&str]) {
    assert_eq!(seen(&scope(config, namespace)), expected);
}

fn two_services() -> Config {
    Config::default().with(service("a/x", &[80, 81])).with(service("b/y", &[80]))
}

#[test]
fn without_a_sidecar_everything_is_visible() {
    check(&two_services(), "c", &["x.a a 80,81", "y.b b 80"]);
    let scope = scope(&two_services(), "c");
    assert_eq!((scope.egress.len(), scope.egress[0].listener.is_none()), (1, true));
    assert_eq!(scope.service(&Host::new("y.b.svc.cluster.local")).unwrap().service.name.to_string(), "y");
}

#[test]
fn hosts_choose_by_namespace_and_name() {
    let cases: [(&[&str], &[&str]); 10] = [
        (&["./*"], &["x.a a 80,81"]),
        (&["b/*"], &["y.b b 80"]),
        (&["*/y.b.svc.cluster.local"], &["y.b b 80"]),
        (&["a/y.b.svc.cluster.local"], &[]),
        (&["a/x.a.svc.cluster.local", "b/y.b.svc.cluster.local"], &["x.a a 80,81", "y.b b 80"]),
        (&["*/*.b.svc.cluster.local"], &["y.b b 80"]),
        (&["*/*", "~/x.a.svc.cluster.local"], &["y.b b 80"]),
        (&["*/*", "~b/*"], &["x.a a 80,81"]),
        (&["*/*", "~a/y.b.svc.cluster.local"], &["x.a a 80,81", "y.b b 80"]),
        (&["~b/*"], &[]),
    ];
    for (hosts, expected) in cases {
        let config = two_services().with(sidecar("a/s", hosts));
        assert_eq!(seen(&scope(&config, "a")), expected, "{hosts:?}");
    }
}

#[test]
fn a_wildcard_host_needs_as_wide_a_wish() {
    let config = Config::default().with(entry("a/e", "*.foo.com", &[80]));
    check(&config.clone().with(sidecar("a/s", &["*/*.foo.com"])), "a", &["*.foo.com a 80"]);
    check(&config.clone().with(sidecar("a/s", &["*/*.com"])), "a", &["*.foo.com a 80"]);
    check(&config.with(sidecar("a/s", &["*/a.foo.com"])), "a", &[]);
}

#[test]
fn a_listener_with_a_port_shows_only_this_port() {
    let with = |listeners: Vec<_>| {
        let sidecar = Sidecar { egress: listeners, ..sidecar("a/s", &[]) };
        two_services().with(sidecar)
    };
    check(&with(vec![egress(81, &["*/*"])]), "a", &["x.a a 81"]);
    check(&with(vec![egress(81, &["*/*"]), egress(80, &["*/*"])]), "a", &["x.a a 81,80", "y.b b 80"]);
    check(&with(vec![egress(81, &["*/*"]), egress(0, &["*/*"])]), "a", &["x.a a 81,80", "y.b b 80"]);
    let mut proxying = egress(81, &["b/*"]);
    proxying.port.as_mut().unwrap().protocol = model::Protocol::HttpProxy;
    check(&with(vec![proxying]), "a", &["y.b b 80"]);
    assert_eq!(scope(&with(Vec::new()), "a").egress.len(), 1);
}

#[test]
fn the_root_sidecar_is_evaluated_where_the_proxy_is() {
    let config = two_services().with(sidecar("istio-system/s", &["./*"]));
    check(&config, "a", &["x.a a 80,81"]);
    check(&config, "b", &["y.b b 80"]);
    let inputs = inputs(&two_services().with(sidecar("istio-system/s", &["b/*"])), "a");
    assert_eq!(&*inputs.namespace, "", "what names no own namespace is shared");
}

fn same_host(id: &str, ports: &[u16]) -> model::networking::ServiceEntry {
    entry(id, "s.com", ports)
}

#[test]
fn one_namespace_has_a_host() {
    let config = Config::default().with(same_host("a/e", &[80])).with(same_host("b/e", &[81]));
    check(&config, "c", &["s.com a 80"]);
    check(&config, "b", &["s.com b 81"]);
    let squatted = entry("a/e", "x.b.svc.cluster.local", &[90]);
    let mut young = service("b/x", &[80]);
    young.meta.created = Created(5);
    let mut config = Config::default().with(squatted).with(young);
    check(&config, "c", &["x.b b 80"]);
    check(&config, "a", &["x.b a 90"]);
    let mut settings = (*config.settings).clone();
    settings.unified_sidecar_scope = false;
    config.settings = Shared::new(settings);
    check(&config, "c", &["x.b a 90"]);
}

#[test]
fn entries_of_one_host_and_namespace_join_their_ports() {
    let config = Config::default().with(same_host("a/e", &[80])).with(same_host("a/f", &[81, 80]));
    check(&config, "c", &["s.com a 80,81"]);
    assert_eq!(scope(&config, "c").egress[0].services.len(), 2);
    let other = model::networking::ServiceEntry { resolution: Resolution::Static, ..same_host("a/f", &[81]) };
    check(&config.with(other), "c", &["s.com a 80"]);
}

#[test]
fn a_gateway_sees_the_first_service_of_a_host() {
    let config = Config::default().with(same_host("a/e", &[80])).with(same_host("b/e", &[81]));
    let config = config.with(sidecar("b/s", &["c/*"]));
    let proxy = Proxy { kind: ProxyKind::Router, ..proxy("b") };
    let scope = Scope::new(&inputs_of(&Snapshot::default().next(config), &proxy));
    assert_eq!(seen(&scope), ["s.com a 80"]);
    assert!(scope.egress[0].services.is_empty());
}

#[test]
fn virtual_services_pull_their_destinations_in() {
    let leading = |destinations: &[&str]| {
        let config = two_services().with(sidecar("c/s", &["d/*"]));
        config.with(virtual_service("d/v", "v.com", destinations))
    };
    check(&leading(&["x.a.svc.cluster.local:81"]), "c", &["x.a a 81"]);
    check(&leading(&["x.a.svc.cluster.local:81", "x.a.svc.cluster.local"]), "c", &["x.a a 80,81"]);
    check(&leading(&["x.a.svc.cluster.local:82"]), "c", &[]);
    check(&leading(&["y.b.svc.cluster.local", "x.a.svc.cluster.local:80"]), "c", &["x.a a 80", "y.b b 80"]);
    check(&leading(&["nowhere.com"]), "c", &[]);
    let tcp = |one: VirtualService| {
        let routes = one.http.iter().flat_map(|route| &route.routes);
        let routes = routes
            .map(|to| model::networking::RouteDestination { destination: to.destination.clone(), weight: 0 })
            .collect();
        VirtualService { http: Vec::new(), tcp: vec![TcpRoute { matches: Vec::new(), routes }], ..one }
    };
    let config = two_services().with(sidecar("c/s", &["d/*"]));
    let config = config.with(tcp(virtual_service("d/v", "v.com", &["y.b.svc.cluster.local"])));
    check(&config, "c", &["y.b b 80"]);
}

#[test]
fn a_destination_is_looked_for_at_home_then_where_it_is_best() {
    let young = |id: &str, port| {
        let mut one = same_host(id, &[port]);
        one.meta.created = Created(9);
        one
    };
    let config = Config::default().with(young("a/e", 80)).with(same_host("b/e", &[81]));
    let hidden = model::networking::ServiceEntry { export_to: only(&["z"]), ..young("c/e", 82) };
    let mut config = config.with(hidden).with(virtual_service("d/v", "v.com", &["s.com"]));
    for namespace in ["c", "e"] {
        config = config.with(sidecar(&format!("{namespace}/s"), &["d/*"]));
    }
    check(&config, "c", &["s.com c 82"]);
    check(&config, "e", &["s.com b 81"]);
    let mut settings = (*config.settings).clone();
    settings.pick_best_service_namespace = false;
    config.settings = Shared::new(settings);
    check(&config, "e", &["s.com a 80"]);
}

#[test]
fn rules_for_clients_of_another_namespace_pull_nothing_in() {
    let rule = |clients: &[&str]| {
        let matches = clients
            .iter()
            .map(|name| HttpMatch { source_namespace: (*name).into(), ..HttpMatch::default() })
            .collect();
        let rule = HttpRoute { matches, ..crate::builders::route("y.b.svc.cluster.local") };
        let one = VirtualService { http: vec![rule.into()], ..virtual_service("d/v", "v.com", &[]) };
        two_services().with(sidecar("c/s", &["d/*"])).with(one)
    };
    check(&rule(&["e"]), "c", &[]);
    check(&rule(&["e", "c"]), "c", &["y.b b 80"]);
    check(&rule(&["", ""]), "c", &["y.b b 80"]);
}

#[test]
fn virtual_services_are_chosen_by_overlap() {
    let names = |hosts: &[&str]| -> Vec<String> {
        let config = Config::default()
            .with(virtual_service("d/exact", "a.com", &[]))
            .with(virtual_service("d/wild", "*.com", &[]))
            .with(virtual_service("e/other", "a.org", &[]))
            .with(sidecar("c/s", hosts));
        let scope = scope(&config, "c");
        scope.egress[0].virtual_services.iter().map(|one| one.meta.key.name.to_string()).collect()
    };
    assert_eq!(names(&["*/*"]), ["exact", "other", "wild"]);
    assert_eq!(names(&["d/a.com"]), ["exact", "wild"]);
    assert_eq!(names(&["d/b.com"]), ["wild"]);
    assert_eq!(names(&["d/*.com"]), ["exact", "wild"]);
    assert_eq!(names(&["*/*", "~/*.com"]), ["other"]);
    assert_eq!(names(&["*/*", "~e/*"]), ["exact", "wild"]);
}

#[test]
fn the_most_specific_host_owns_a_service() {
    let config = two_services()
        .with(virtual_service("a/1", "*", &[]))
        .with(virtual_service("a/2", "*.svc.cluster.local", &[]))
        .with(virtual_service("a/3", "x.a.svc.cluster.local", &[]))
        .with(virtual_service("a/4", "x.a.svc.cluster.local", &[]));
    let scope = scope(&config, "c");
    let owner = |host: &str| scope.egress[0].most_specific[host].meta.key.name.to_string();
    assert_eq!((owner("x.a.svc.cluster.local"), owner("y.b.svc.cluster.local")), ("3".into(), "2".into()));
}

#[test]
fn aliases_are_those_that_are_asked_for() {
    let concrete = "x.a.svc.cluster.local";
    let config = two_services().with(external_name("b/p", concrete)).with(external_name("b/q", concrete));
    let aliases = |config: &Config| scope(config, "c").service(&Host::new(concrete)).unwrap().aliases.len();
    assert_eq!(aliases(&config), 2);
    let wish = ["*/x.a.svc.cluster.local", "*/p.b.svc.cluster.local"];
    assert_eq!(aliases(&config.with(sidecar("c/s", &wish))), 1);
}

#[test]
fn the_sidecars_policy_comes_before_the_mode_of_the_mesh() {
    let policy = OutboundTrafficPolicy { mode: OutboundMode::RegistryOnly, egress_proxy: None };
    let own = Sidecar { outbound_traffic_policy: Some(policy.clone()), ..sidecar("a/s", &["*/*"]) };
    let config = Config::default().with(own);
    assert_eq!(scope(&config, "a").outbound, policy);
    assert_eq!(scope(&config, "b").outbound.mode, OutboundMode::AllowAny);
}

#[test]
fn namespaces_without_a_view_of_their_own_share_one_scope() {
    let private = model::networking::ServiceEntry { export_to: only(&["a"]), ..entry("a/e", "p.com", &[80]) };
    let config = two_services().with(private);
    assert_eq!(inputs(&config, "a").namespace.to_string(), "a");
    let snapshot = Snapshot::default().next(config);
    assert_eq!(inputs_of(&snapshot, &proxy("b")), inputs_of(&snapshot, &proxy("c")));
    let (b, c) = (snapshot.member(&Shared::new(proxy("b"))), snapshot.member(&Shared::new(proxy("c"))));
    assert_eq!(b.scope, c.scope);
}
