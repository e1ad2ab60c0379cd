//! Workloads that share an address, and endpoints that depend on more than their own object.

use model::networking::WorkloadSpec;
use model::{Created, Host, Labels, Resolution};

use super::*;
use crate::Snapshot;
use crate::builders::{IntoValue, With, entry, external_name, pod, proxy, service, workload_entry};

/// What is derived from these objects read at once.
fn fresh(config: Config) -> Snapshot {
    Snapshot::default().next(config)
}

fn told(snapshot: &Snapshot) -> String {
    format!("{:#?}", (&snapshot.workloads, &snapshot.endpoints))
}

fn names(list: &[Shared<Workload>]) -> Vec<&str> {
    list.iter().map(|one| &*one.key.name).collect()
}

/// Every order of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

fn check_orders<T: IntoValue + Clone>(objects: &[T; 3], at: impl Fn(&WorkloadIndex) -> Vec<&str>) {
    for puts in ORDERS {
        let mut snapshot = Snapshot::default();
        for place in puts {
            snapshot = snapshot.next(snapshot.config.clone().with(objects[place].clone()));
        }
        assert_eq!(at(&snapshot.workloads), ["old", "p", "q"]);
        assert_eq!(told(&snapshot), told(&fresh(snapshot.config.clone())));
        for gone in ORDERS {
            let mut left = snapshot.clone();
            for place in gone {
                left = left.next(left.config.clone().without(&objects[place].key()));
                assert_eq!(told(&left), told(&fresh(left.config.clone())));
            }
        }
    }
}

#[test]
fn of_workloads_with_one_address_the_oldest_answers_however_they_came_and_went() {
    let ip: IpAddr = "10.0.0.9".parse().unwrap();
    let pods = [("a/q", 2), ("a/old", 1), ("a/p", 2)].map(|(id, age)| pod(id, age, "10.0.0.9"));
    check_orders(&pods, |index| names(index.pods_at(&"Kubernetes".into(), ip)));
    let entries = [("a/q", 2), ("a/old", 1), ("a/p", 2)].map(|(id, age)| workload_entry(id, age, "10.0.0.9"));
    check_orders(&entries, |index| names(index.entries_at(&"Kubernetes".into(), ip)));
}

#[test]
fn a_proxy_is_the_pod_that_it_says_it_is_else_one_of_its_namespace() {
    let check = |config: Config, expected: &str| {
        let proxy = model::Proxy { cluster: "Kubernetes".into(), ..proxy("b") };
        let snapshot = fresh(config);
        let found = crate::targets::workload_of(&snapshot, &proxy);
        assert_eq!(found.map_or("", |workload| &*workload.key.name), expected);
    };
    let elsewhere = Config::default().with(pod("a/other", 0, "10.0.0.9"));
    check(elsewhere.clone(), "other");
    let same = elsewhere.with(pod("b/young", 7, "10.0.0.9")).with(pod("b/old", 6, "10.0.0.9"));
    check(same.clone(), "old");
    check(same.clone().with(pod("b/p", 9, "10.0.0.9")), "p");
    check(same.with(pod("b/p", 9, "10.0.0.9")).with(workload_entry("b/vm", 9, "10.0.0.9")), "vm");
}

#[test]
fn a_namespace_of_one_cluster_holds_nothing_of_the_next_one() {
    let mut away = pod("a/away", 0, "10.0.0.1");
    away.meta.key.cluster = "Remote".into();
    let snapshot = fresh(Config::default().with(pod("a/here", 0, "10.0.0.1")).with(away));
    let (cluster, namespace) = ("Kubernetes".into(), "a".into());
    let here = snapshot.workloads.in_namespace(&cluster, Kind::Pod, &namespace);
    assert_eq!(here.map(|one| &*one.key.name).collect::<Vec<_>>(), ["here"]);
}

#[test]
fn endpoints_follow_the_resolution_of_another_object() {
    let mut round_robin = entry("a/e", "x.a.svc.cluster.local", &[80]);
    round_robin.resolution = Resolution::DnsRoundRobin;
    round_robin.meta.created = Created(5);
    round_robin.endpoints = ["one.com", "two.com"]
        .map(|address| WorkloadSpec { address: address.into(), ..WorkloadSpec::default() })
        .to_vec();
    let alone = fresh(Config::default().with(round_robin));
    let both = alone.next(alone.config.clone().with(external_name("a/x", "y.com")));
    let host = Host::new("x.a.svc.cluster.local");
    let count = |snapshot: &Snapshot| snapshot.endpoints.of(&host, &"a".into()).unwrap().endpoints.len();
    assert_eq!((count(&alone), count(&both)), (1, 2));
    assert_eq!(told(&both), told(&fresh(both.config.clone())));
}

#[test]
fn one_service_of_several_clusters_has_the_endpoints_of_all() {
    let app: Labels = [("app", "x")].into_iter().collect();
    let mut config = Config::default();
    for (cluster, address) in [("Kubernetes", "10.0.0.1"), ("Remote", "10.0.0.2")] {
        let mut service = service("a/x", &[80]);
        service.selector = Some(app.clone());
        service.meta.key.cluster = cluster.into();
        let mut workload = workload_entry("a/w", 0, address);
        workload.spec.labels = app.clone();
        workload.meta.key.cluster = cluster.into();
        config = config.with(service).with(workload);
    }
    let snapshot = fresh(config);
    let found = snapshot.endpoints.of(&Host::new("x.a.svc.cluster.local"), &"a".into()).unwrap();
    let addresses: Vec<&str> = found.endpoints.iter().map(|endpoint| endpoint.address()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
}
