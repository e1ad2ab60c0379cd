//! Outbound listeners of sidecars: what a user applies, and what a proxy is told.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

#[path = "../common/mod.rs"]
mod common;
mod rules;
mod world;

use expect_test::{Expect, expect};
use memo::Shared;
use model::networking::OutboundMode;
use serde_json::{Value, json};

use common::{World, istio, list, service, slice};
use world::{client, describe, entry};

fn check(objects: &[Value], expected: Expect) {
    expected.assert_eq(&World::new(objects).told());
}

#[test]
fn where_services_are_listened_for_by_protocol() {
    check(
        &[
            service("all", "10.1.0.1", &[("http", 80), ("tcp", 90), ("web", 8080), ("udp", 53)]),
            service("more", "10.1.0.2", &[("http", 80), ("grpc", 90)]),
            service("unaddressed", "", &[("http-a", 81), ("tcp", 91)]),
            entry("range", &["10.2.0.0/16"], (92, "TCP")),
        ],
        expect![[r#"
            0.0.0.0_80 (http_inspector)
              [http/1.1 h2c] http 80
              else [] tcp PassthroughCluster
            0.0.0.0_81 (http_inspector)
              [http/1.1 h2c] http 81
              else [] tcp PassthroughCluster
            0.0.0.0_90 (http_inspector)
              [http/1.1 h2c] http 90
              else [] tcp PassthroughCluster
            0.0.0.0_91
              [] tcp outbound|91||unaddressed.a.svc.cluster.local
            0.0.0.0_92
              [10.2.0.0/16] tcp outbound|92||range.com
              else [] tcp PassthroughCluster
            10.1.0.1_8080 (http_inspector)
              [http/1.1 h2c] http all.a.svc.cluster.local:8080
              else [] tcp outbound|8080||all.a.svc.cluster.local
            10.1.0.1_90
              [] tcp outbound|90||all.a.svc.cluster.local
        "#]],
    );
}

#[test]
fn one_place_claimed_twice() {
    let protocols = ["HTTP", "TCP", "", "MONGO"];
    let pairs = protocols.iter().flat_map(|one| protocols.map(|two| (*one, two)));
    let mut told = String::new();
    for (first, second) in pairs {
        for addresses in [&[][..], &["10.2.0.1"]] {
            let (one, two) = (entry("one", addresses, (80, first)), entry("two", addresses, (80, second)));
            let found = World::new(&[one, two]).told();
            let chains: Vec<_> = found.lines().skip(1).map(str::trim).collect();
            let place = if addresses.is_empty() { "anywhere" } else { "at an address" };
            told += &format!("{first}, {second} {place}: {}\n", chains.join("; "));
        }
    }
    expect![[r#"
        HTTP, HTTP anywhere: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster
        HTTP, HTTP at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster
        HTTP, TCP anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||two.com
        HTTP, TCP at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80; [] tcp outbound|80||two.com
        HTTP,  anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||two.com
        HTTP,  at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80 (http_inspector); [http/1.1 h2c] http two.com:80; else [] tcp outbound|80||two.com
        HTTP, MONGO anywhere: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster
        HTTP, MONGO at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80; [] mongo_proxy tcp outbound|80||two.com
        TCP, HTTP anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        TCP, HTTP at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80; [] tcp outbound|80||one.com
        TCP, TCP anywhere: [] tcp outbound|80||one.com
        TCP, TCP at an address: [] tcp outbound|80||one.com
        TCP,  anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        TCP,  at an address: [http/1.1 h2c] http two.com:80; else [] tcp outbound|80||one.com
        TCP, MONGO anywhere: [] tcp outbound|80||one.com
        TCP, MONGO at an address: [] tcp outbound|80||one.com
        , HTTP anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        , HTTP at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80 (http_inspector); [http/1.1 h2c] http one.com:80; else [] tcp outbound|80||one.com
        , TCP anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        , TCP at an address: [http/1.1 h2c] http one.com:80; else [] tcp outbound|80||one.com
        ,  anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        ,  at an address: [http/1.1 h2c] http one.com:80; else [] tcp outbound|80||one.com
        , MONGO anywhere: [http/1.1 h2c] http 80; else [] tcp outbound|80||one.com
        , MONGO at an address: [http/1.1 h2c] http one.com:80; else [] tcp outbound|80||one.com
        MONGO, HTTP anywhere: [] mongo_proxy tcp outbound|80||one.com
        MONGO, HTTP at an address: [http/1.1 h2c] http 80; else [] tcp PassthroughCluster; 10.2.0.1_80; [] mongo_proxy tcp outbound|80||one.com
        MONGO, TCP anywhere: [] mongo_proxy tcp outbound|80||one.com
        MONGO, TCP at an address: [] mongo_proxy tcp outbound|80||one.com
        MONGO,  anywhere: [] mongo_proxy tcp outbound|80||one.com
        MONGO,  at an address: [] mongo_proxy tcp outbound|80||one.com
        MONGO, MONGO anywhere: [] mongo_proxy tcp outbound|80||one.com
        MONGO, MONGO at an address: [] mongo_proxy tcp outbound|80||one.com
    "#]].assert_eq(&told);
}

#[test]
fn headless_services_are_listened_for_at_each_endpoint_but_the_own() {
    let headless = [
        service("db", "None", &[("tcp", 90)]),
        slice("db", ("tcp", 90), &[("10.0.0.1", true), ("10.0.0.2", true), ("10.0.0.3", true)]),
        service("none-yet", "None", &[("tcp", 91)]),
        entry("anywhere", &[], (92, "TCP")),
    ];
    check(
        &headless,
        expect![[r#"
        0.0.0.0_92
          [] tcp outbound|92||anywhere.com
        10.0.0.2_90
          [] tcp outbound|90||db.a.svc.cluster.local
        10.0.0.3_90
          [] tcp outbound|90||db.a.svc.cluster.local
    "#]],
    );
    let mut world = World::new(&headless);
    let mut settings = (*world.config.settings).clone();
    settings.headless_filter_chain_listener = true;
    world.config.settings = Shared::new(settings);
    expect![[r#"
        0.0.0.0_90
          [10.0.0.2/32] tcp outbound|90||db.a.svc.cluster.local
          [10.0.0.3/32] tcp outbound|90||db.a.svc.cluster.local
          else [] tcp PassthroughCluster
    "#]]
    .assert_eq(&describe(&world.listener("0.0.0.0_90")));
}

#[test]
fn a_client_without_the_family_of_a_service_listens_at_its_address_all_the_same() {
    let world = World::new(&[service("db", "10.96.0.1", &[("tcp", 90)])]);
    let client = client("a", &json!({"INSTANCE_IPS": "2001:db8::1"}));
    expect![[r#"
        10.96.0.1_90
          [] tcp outbound|90||db.a.svc.cluster.local
    "#]]
    .assert_eq(&world.told_to(&client));
}

#[test]
fn listeners_that_a_sidecar_asks_for() {
    let sidecar = json!({"egress": [
        {"port": {"number": 9000, "protocol": "TCP", "name": "t"}, "bind": "127.0.0.5", "hosts": ["a/one.a.svc.cluster.local"]},
        {"port": {"number": 0, "protocol": "HTTP", "name": "u"}, "bind": "unix:///tmp/s", "hosts": ["a/*"]},
        {"port": {"number": 3128, "protocol": "HTTP_PROXY", "name": "p"}, "hosts": ["a/*"]},
        {"port": {"number": 80, "protocol": "HTTP", "name": "h"}, "captureMode": "NONE", "hosts": ["a/*"]},
        {"port": {"number": 15021, "protocol": "HTTP", "name": "own"}, "hosts": ["a/*"]},
        {"hosts": ["a/*"]},
    ]});
    let objects = [
        istio("Sidecar", "default", sidecar),
        service("one", "10.1.0.1", &[("http", 80), ("tcp", 9000), ("http-proxy", 3128)]),
        service("status", "10.1.0.2", &[("http", 15021), ("http-p", 3128)]),
    ];
    check(
        &objects,
        expect![[r#"
        0.0.0.0_15021 (http_inspector)
          [http/1.1 h2c] http 15021
          else [] tcp PassthroughCluster
        0.0.0.0_3128
          [] http 3128
        0.0.0.0_80 (http_inspector)
          [http/1.1 h2c] http 80
          else [] tcp PassthroughCluster
        10.1.0.1_9000
          [] tcp outbound|9000||one.a.svc.cluster.local
        127.0.0.1_80 bound
          [] http 80
        127.0.0.5_9000
          [] tcp outbound|9000||one.a.svc.cluster.local
        unix:///tmp/s_0 at /tmp/s bound
          [] http unix:///tmp/s
    "#]],
    );
}

#[test]
fn without_interception_ports_are_bound() {
    let world = World::new(&[service("one", "10.1.0.1", &[("http", 80), ("tcp", 9000)])]);
    let metadata =
        json!({"INTERCEPTION_MODE": "NONE", "UNPRIVILEGED_POD": "true", "HTTP_PROXY_PORT": "3129"});
    expect![[r#"
        127.0.0.1_3129 bound
          [] http http_proxy
        127.0.0.1_9000 bound
          [] tcp outbound|9000||one.a.svc.cluster.local
    "#]]
    .assert_eq(&world.told_to(&client("a", &metadata)));
}

#[test]
fn names_that_no_service_has_are_resolved_where_that_is_asked_for() {
    let mut world = World::new(&[service("one", "10.1.0.1", &[("http", 80)])]);
    let mut mesh = (*world.config.mesh).clone();
    mesh.outbound_traffic_policy.mode = OutboundMode::AllowAnyDynamicDns;
    world.config.mesh = Shared::new(mesh);
    world.apply(&[]);
    expect![[r#"
        virtualOutbound bound (http_inspector)
          [] tcp BlackHoleCluster
          [http/1.1 h2c] http inline allow_any_dynamic_dns
          [] tcp PassthroughCluster
    "#]]
    .assert_eq(&describe(&world.listener("virtualOutbound")));
    let caches = |listener: &Value| {
        let filters = list(&listener["filterChains"]).flat_map(|chain| list(&chain["filters"]));
        let filters = filters.flat_map(|filter| list(&filter["typedConfig"]["httpFilters"]));
        filters.filter(|filter| filter["name"] == "envoy.filters.http.dynamic_forward_proxy").count()
    };
    assert_eq!(["0.0.0.0_80", "virtualOutbound"].map(|name| caches(&world.listener(name))), [1, 1]);
}

#[test]
fn one_more_service_makes_one_more_listener() {
    let of =
        |at: usize| service(&format!("s{at}"), &format!("10.1.{}.{}", at / 250, at % 250), &[("tcp", 90)]);
    let services: Vec<_> = (0..200).map(of).collect();
    let mut world = World::new(&services);
    let proxy = client("a", &json!({}));
    let outbound = |world: &World| {
        let mut all = world.listeners(&proxy);
        all.retain(|one| &*one.name != "virtualInbound");
        all
    };
    let before = outbound(&world);
    world.apply(&[of(200)]);
    let after = outbound(&world);
    let known = after.iter().filter(|one| before.contains(one)).count();
    assert_eq!((after.len() - before.len(), known), (1, before.len()));
}

#[test]
fn namespaces_that_see_the_same_share_what_is_decided() {
    let world = World::new(&[service("one", "10.1.0.1", &[("tcp", 90)])]);
    let find = |namespace| {
        let all = world.listeners(&client(namespace, &json!({})));
        all.iter().find(|one| &*one.name == "10.1.0.1_90").unwrap().clone()
    };
    assert!(find("a") == find("b"));
}

#[test]
fn a_port_of_many_hosts_costs_what_its_hosts_cost() {
    let time = |count: usize| {
        let entries = (0..count).map(|at| entry(&format!("e{at}"), &[], (443, "TLS")));
        let world = World::new(&entries.collect::<Vec<_>>());
        let begin = worked();
        let found = world.listeners(&client("a", &json!({})));
        let took = worked() - begin;
        let listener = found.iter().find(|one| &*one.name == "0.0.0.0_443").unwrap();
        assert_eq!(listener.needs.clusters.len(), count);
        took
    };
    let few = time(250).min(time(250));
    let many = time(8_000);
    // 32 times as many; each compared with each would be a thousand times as much.
    assert!(many < few * 200, "250 hosts take {few} ns, 8,000 hosts {many} ns");
}

/// How long this thread has been on a processor, in nanoseconds: what others do does not count.
fn worked() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse().unwrap()
}
