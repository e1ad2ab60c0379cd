//! Route configurations of sidecars: what a user applies, and what a proxy is told.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod features;
mod mesh_under_edit;
mod properties;

use mesh_under_edit::{Mesh, entry, rules, service, to};
use serde_json::json;

#[test]
fn services_are_known_by_every_form_of_their_name() {
    let mesh = Mesh::new(&[
        service("a", "own", "10.1.0.1", &[("http", 80)]),
        service("b", "other", "10.1.0.2", &[("http", 80), ("tcp", 90)]),
        service("b", "headless", "None", &[("http", 80)]),
        entry("b", "example.com"),
    ]);
    expect_test::expect![[r#"
        example.com:80 [example.com example.com.]: / -> outbound|80||example.com
        headless.b.svc.cluster.local:80 [headless.b.svc.cluster.local headless.b.svc.cluster.local. headless.b headless.b.svc *.headless.b.svc.cluster.local *.headless.b.svc.cluster.local. *.headless.b *.headless.b.svc]: / -> outbound|80||headless.b.svc.cluster.local
        other.b.svc.cluster.local:80 [other.b.svc.cluster.local other.b.svc.cluster.local. other.b other.b.svc 10.1.0.2]: / -> outbound|80||other.b.svc.cluster.local
        own.a.svc.cluster.local:80 [own.a.svc.cluster.local own.a.svc.cluster.local. own own.a.svc own.a 10.1.0.1]: / -> outbound|80||own.a.svc.cluster.local
        allow_any [*]: / -> PassthroughCluster
    "#]]
    .assert_eq(&mesh.hosts("80"));
    expect_test::expect![[r#"
        allow_any [*]: / -> PassthroughCluster
    "#]]
    .assert_eq(&mesh.hosts("90"));
}

#[test]
fn a_made_up_name_gives_way_to_a_real_one() {
    let mesh = Mesh::new(&[service("b", "own", "10.1.0.1", &[("http", 80)]), entry("a", "own.b")]);
    expect_test::expect![[r#"
        own.b.svc.cluster.local:80 [own.b.svc.cluster.local own.b.svc.cluster.local. own.b.svc 10.1.0.1]: / -> outbound|80||own.b.svc.cluster.local
        own.b:80 [own.b own.b.]: / -> outbound|80||own.b
        allow_any [*]: / -> PassthroughCluster
    "#]]
    .assert_eq(&mesh.hosts("80"));
}

#[test]
fn a_rule_for_all_hosts_takes_the_place_of_what_is_unknown() {
    let everything = rules("a", "all", &["*"], json!([{"route": to("own")}]));
    let mesh = Mesh::new(&[everything]);
    expect_test::expect![[r#"
        *:80 [*]: / -> outbound|80||own.a.svc.cluster.local
    "#]]
    .assert_eq(&mesh.hosts("80"));
}

#[test]
fn a_sniffed_port_has_its_service_and_nothing_else() {
    let mesh = Mesh::new(&[
        service("a", "own", "10.1.0.1", &[("web", 80)]),
        service("a", "more", "10.1.0.2", &[("http", 80)]),
    ]);
    expect_test::expect![[r#"
        own.a.svc.cluster.local:80 [*]: / -> outbound|80||own.a.svc.cluster.local
    "#]]
    .assert_eq(&mesh.hosts("own.a.svc.cluster.local:80"));
    assert_eq!(mesh.hosts("nobody.a.svc.cluster.local:80"), "");
}

#[test]
fn unknown_names_get_an_empty_table() {
    let mesh = Mesh::new(&[]);
    for name in ["http.80", "", "a:b", "70000", "a.b:"] {
        let resource = mesh.resource(name);
        assert_eq!((&*resource.name, mesh.hosts(name).as_str()), (name, ""));
    }
}

#[test]
fn one_more_service_plans_and_encodes_one_virtual_host() {
    let of = |at: usize| {
        service("a", &format!("s{at}"), &format!("10.1.{}.{}", at / 256, at % 256), &[("http", 80)])
    };
    let services: Vec<_> = (0..1000).map(of).collect();
    let mut mesh = Mesh::new(&services);
    let first = mesh.resource("80");
    let made = |mesh: &Mesh| {
        let (plans, parts) = mesh.memos.counts();
        (plans.made, parts.made)
    };
    assert_eq!(made(&mesh), (1001, 1001));
    for _ in 0..20 {
        mesh.memos.sweep();
    }
    mesh.apply(&[of(1000)]);
    let second = mesh.resource("80");
    assert_eq!(made(&mesh), (1002, 1002));
    assert_ne!(first, second);
    assert_eq!(second.needs.clusters.len(), 1002);
}
