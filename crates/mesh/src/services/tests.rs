//! What becomes of Services and ServiceEntries, and what a change touches.

use std::collections::BTreeMap;

use model::networking::ExportTo;
use model::service::TrafficDistribution;
use model::{Created, Host, Key, Labels, Resolution, kube};

use super::ServiceIndex;
use crate::Config;
use crate::builders::{With, entry, external_name, meta, only, service};

fn index(config: &Config) -> ServiceIndex {
    ServiceIndex::default().next(&Config::default(), config)
}

fn visible(index: &ServiceIndex, namespace: &str) -> Vec<String> {
    index.visible(namespace).map(|service| service.host.to_string()).collect()
}

fn annotated(key: &str, value: &str) -> Labels {
    [(key, value)].into_iter().collect()
}

#[test]
fn a_service_has_a_host_by_name_namespace_and_domain() {
    let index = index(&Config::default().with(service("default/reviews", &[80])));
    let all: Vec<_> = index.all().collect();
    assert_eq!(all[0].host.as_str(), "reviews.default.svc.cluster.local");
    assert_eq!((all[0].resolution, &*all[0].address), (Resolution::Static, "10.0.0.1"));
    assert_eq!(index.of_host(&Host::new("reviews.default.svc.cluster.local")).len(), 1);
}

#[test]
fn cluster_ip_and_type_decide_how_endpoints_are_found() {
    let check = |service: kube::Service, resolution, address: &str, external| {
        let index = index(&Config::default().with(service));
        let made = index.all().next().cloned().unwrap();
        assert_eq!((made.resolution, &*made.address, made.external), (resolution, address, external));
    };
    let headless = |service| kube::Service { cluster_ips: vec!["None".into()], ..service };
    check(headless(service("a/b", &[80])), Resolution::Passthrough, "0.0.0.0", false);
    check(external_name("a/b", "x.com"), Resolution::Alias, "0.0.0.0", true);
    check(headless(external_name("a/b", "x.com")), Resolution::Passthrough, "0.0.0.0", true);
    check(
        kube::Service { cluster_ips: Vec::new(), ..service("a/b", &[80]) },
        Resolution::Static,
        "0.0.0.0",
        false,
    );
}

#[test]
fn an_entry_makes_a_service_for_each_host_and_address() {
    let mut entry = entry("a/e", "one.com", &[80]);
    entry.hosts.push(Host::new("two.com"));
    entry.addresses = vec!["10.1.0.0/16".into(), "10.2.0.1".into(), "10.2.0.1".into()];
    let index = index(&Config::default().with(entry));
    let made: Vec<_> = index.all().map(|one| format!("{} {}", one.name, one.address)).collect();
    assert_eq!(made, ["one.com 10.1.0.0/16", "one.com 10.2.0.1", "two.com 10.1.0.0/16", "two.com 10.2.0.1"]);
}

#[test]
fn allocated_addresses_count_only_where_none_are_written() {
    let given = |name: &str, address: &str| (name.into(), address.into());
    let mut entry = entry("a/e", "one.com", &[80]);
    entry.status_addresses = vec![
        given("one.com", "2001:2::1"),
        given("one.com", "240.240.0.1"),
        given("two.com", "240.240.0.2"),
        given("one.com", "rubbish"),
    ];
    let check = |entry, expected: &[&str]| {
        let index = index(&Config::default().with(entry));
        let made = index.all().next().cloned().unwrap();
        assert_eq!(made.auto_addresses.iter().map(|one| &**one).collect::<Vec<_>>(), expected);
    };
    check(entry.clone(), &["240.240.0.1", "2001:2::1"]);
    entry.meta.labels = annotated("networking.istio.io/enable-autoallocate-ip", "False");
    check(entry, &[]);
}

#[test]
fn older_services_come_first_and_exported_ones_before_public_ones() {
    let aged = |id, age| kube::Service { meta: meta(model::Kind::Service, id, age), ..service(id, &[80]) };
    let mut private = entry("other/e", "private.com", &[80]);
    private.meta.created = Created(9);
    private.export_to = only(&["default"]);
    let mut hidden = entry("other/h", "hidden.com", &[80]);
    hidden.export_to = only(&[]);
    let config = Config::default().with(aged("a/young", 5)).with(aged("b/old", 1)).with(private).with(hidden);
    let index = index(&config);
    let public = ["old.b.svc.cluster.local", "young.a.svc.cluster.local"];
    assert_eq!(visible(&index, "other"), public);
    assert_eq!(visible(&index, "default"), ["private.com", public[0], public[1]]);
    assert!(index.is_public_to("third") && !index.is_public_to("default") && !index.is_public_to("other"));
    assert_eq!(index.all().count(), 4);
}

#[test]
fn the_mesh_decides_who_may_see_what_says_nothing() {
    let mut config = Config::default().with(service("a/s", &[80])).with(entry("b/e", "e.com", &[80]));
    let mut mesh = (*config.mesh).clone();
    mesh.service_entry_private = true;
    let before = config.clone();
    config.mesh = memo::Shared::new(mesh.clone());
    let capped = index(&before).next(&before, &config);
    assert_eq!(visible(&capped, "a"), ["s.a.svc.cluster.local"]);
    assert_eq!(visible(&capped, "b"), ["e.com", "s.a.svc.cluster.local"]);
    mesh.default_service_export_to = only(&["."]);
    let private = config.clone();
    config.mesh = memo::Shared::new(mesh);
    let own = capped.next(&private, &config);
    assert_eq!(visible(&own, "a"), ["s.a.svc.cluster.local"]);
    assert_eq!(visible(&own, "b"), ["e.com"]);
}

#[test]
fn annotations_of_a_service_are_heard() {
    let mut one = service("a/s", &[80]);
    one.meta.annotations = [
        ("networking.istio.io/exportTo", ". , b"),
        ("alpha.istio.io/canonical-serviceaccounts", "x,y"),
        ("alpha.istio.io/kubernetes-serviceaccounts", "z"),
        ("networking.istio.io/traffic-distribution", "preferclose"),
    ]
    .into_iter()
    .collect();
    let index = index(&Config::default().with(one));
    let made = index.all().next().cloned().unwrap();
    assert_eq!(made.export_to, only(&["a", "b"]));
    assert_eq!(&*made.accounts.join(","), "x,y,spiffe://cluster.local/ns/a/sa/z");
    assert_eq!(made.traffic_distribution, TrafficDistribution::PreferSameZone);
}

#[test]
fn a_namespace_annotation_is_heard_when_it_changes() {
    let before = Config::default().with(service("a/s", &[80])).with(service("b/s", &[80]));
    let old = index(&before);
    let mut namespace = kube::Namespace { meta: meta(model::Kind::Namespace, "/a", 0) };
    namespace.meta.annotations = annotated("networking.istio.io/traffic-distribution", "PreferSameNode");
    let after = before.clone().with(namespace);
    let new = old.next(&before, &after);
    let at = |index: &ServiceIndex, host: &str| index.of_host(&Host::new(host))[0].clone();
    assert_eq!(at(&new, "s.a.svc.cluster.local").traffic_distribution, TrafficDistribution::PreferSameNode);
    assert_eq!(at(&new, "s.b.svc.cluster.local"), at(&old, "s.b.svc.cluster.local"));
}

#[test]
fn services_of_several_clusters_are_one() {
    let mut remote = service("a/s", &[81]);
    remote.meta.key = Key { cluster: "A-remote".into(), ..remote.meta.key };
    remote.cluster_ips = vec!["10.9.9.9".into()];
    let config = Config::default().with(remote).with(service("a/s", &[80]));
    let index = index(&config);
    let all: Vec<_> = index.all().collect();
    assert_eq!((all.len(), all[0].ports[0].number, &*all[0].address), (1, 80, "10.0.0.1"));
    let vips: BTreeMap<_, _> = all[0].cluster_vips.iter().map(|(name, ips)| (&**name, &*ips[0])).collect();
    assert_eq!(vips, BTreeMap::from([("A-remote", "10.9.9.9"), ("Kubernetes", "10.0.0.1")]));
}

#[test]
fn a_host_within_a_namespace_is_kubernetes_before_the_oldest_entry() {
    let host = "s.a.svc.cluster.local";
    let squatter = entry("a/early", host, &[90]);
    let mut late = service("a/s", &[80]);
    late.meta.created = Created(7);
    let index = index(&Config::default().with(squatter).with(late).with(entry("b/e", host, &[91])));
    let port = |namespace| index.of_namespace(&Host::new(host), namespace).map(|one| one.ports[0].number);
    assert_eq!((port("a"), port("b"), port("c")), (Some(80), Some(91), None));
    assert!(!index.is_public_to("a") && index.is_public_to("c"));
}

#[test]
fn aliases_follow_their_services() {
    let concrete = "s.a.svc.cluster.local";
    let before = Config::default().with(service("a/s", &[80])).with(external_name("b/x", concrete));
    let old = index(&before);
    assert_eq!(old.aliases(&Host::new(concrete)), [Host::new("x.b.svc.cluster.local")]);
    let after = before.clone().without(&external_name("b/x", concrete).meta.key);
    assert!(old.next(&before, &after).aliases(&Host::new(concrete)).is_empty());
}

#[test]
fn what_has_not_changed_keeps_its_handle() {
    let before = Config::default().with(service("a/s", &[80])).with(service("a/t", &[80]));
    let old = index(&before);
    let after = before.clone().with(service("a/t", &[81]));
    let new = old.next(&before, &after);
    let at = |index: &ServiceIndex, place| index.all().nth(place).cloned();
    assert_eq!(at(&new, 0), at(&old, 0));
    assert_ne!(at(&new, 1), at(&old, 1));
    assert_eq!(new.next(&after, &before.clone().with(service("a/t", &[81]))), new);
    assert_eq!(ExportTo::Public, new.all().next().unwrap().export_to);
}

#[test]
fn addresses_are_made_up_where_nobody_writes_them() {
    let mut config =
        Config::default().with(entry("a/e", "one.com", &[80])).with(entry("a/w", "*.com", &[80]));
    let mut settings = (*config.settings).clone();
    settings.ip_autoallocate = false;
    config.settings = memo::Shared::new(settings);
    let told = |index: &ServiceIndex| -> Vec<String> {
        index.all().map(|one| format!("{} {}", one.name, one.auto_addresses.join(" "))).collect()
    };
    let first = index(&config);
    let one = told(&first).into_iter().find(|one| one.starts_with("one.com")).unwrap();
    assert!(one.starts_with("one.com 240.240."), "{one}");
    assert!(told(&first).contains(&"*.com ".to_owned()));
    // What is patched is what is made from nothing, for as many as it takes to shift others.
    let mut patched = first;
    for number in 0..300 {
        let next = config.clone().with(entry(&format!("a/e{number}"), &format!("h{number}.com"), &[80]));
        patched = patched.next(&config, &next);
        config = next;
    }
    assert_eq!(told(&patched), told(&index(&config)));
}
