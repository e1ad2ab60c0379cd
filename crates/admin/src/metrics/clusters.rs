//! Metrics of clusters that are not made, or not as somebody wants them.

use std::collections::{BTreeMap, BTreeSet};

use mesh::Snapshot;
use model::networking::Subset;
use model::{Key, Kind, Protocol, Resolution, Service};

use super::families::Families;
use super::names;

pub(super) fn collect(snapshot: &Snapshot, families: &mut Families) {
    families.put(names::DUPLICATE_CLUSTERS, &[], duplicates(snapshot) as f64);
    families.put(names::DNS_WITHOUT_ENDPOINTS, &[], unresolved(snapshot) as f64);
    families.put(names::NO_POD, &[], without_pod(snapshot) as f64);
}

/// Ports of hosts that several objects define for the same clients: each is one cluster, of the first.
fn duplicates(snapshot: &Snapshot) -> usize {
    let mut wanted: BTreeMap<_, Vec<&Service>> = BTreeMap::new();
    for service in snapshot.services.all() {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            wanted.entry((&service.host, port.number)).or_default().push(service);
        }
    }
    let doubled = |services: &&Vec<&Service>| {
        let mut later = services.iter().enumerate();
        later.any(|(at, two)| {
            let mut before = services.iter().take(at);
            before.any(|one| one.object != two.object && one.export_to.meets(&two.export_to))
        })
    };
    wanted.values().filter(doubled).count()
}

/// Clusters of names to resolve that have none: of ports, and of subsets that select no endpoint.
fn unresolved(snapshot: &Snapshot) -> usize {
    let mut names = BTreeSet::new();
    let mut by_host: BTreeMap<_, Vec<&Subset>> = BTreeMap::new();
    for rule in snapshot.config.destination_rules.values() {
        by_host.entry(&rule.host).or_default().extend(&rule.subsets);
    }
    let resolved = [Resolution::Dns, Resolution::DnsRoundRobin];
    for service in snapshot.services.all().filter(|service| resolved.contains(&service.resolution)) {
        let found = snapshot.endpoints.of(&service.host, &service.namespace);
        let endpoints = found.map_or(&[][..], |found| &found.endpoints);
        let subsets = by_host.get(&service.host).map_or(&[][..], Vec::as_slice);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let own = || endpoints.iter().filter(|one| one.service_port == port.number);
            if own().next().is_none() {
                names.insert((port.number, "", &service.host));
            }
            let empty = subsets.iter().filter(|one| !own().any(|it| one.labels.selects(&it.workload.labels)));
            names.extend(empty.map(|subset| (port.number, &*subset.name, &service.host)));
        }
    }
    names.len()
}

/// Endpoints that stand for Pods which are not known.
fn without_pod(snapshot: &Snapshot) -> usize {
    let slices = snapshot.config.slices.values();
    let pods = slices.flat_map(|slice| {
        let pods = slice.endpoints.iter().filter_map(|endpoint| endpoint.pod.clone());
        pods.map(|(namespace, name)| Key { kind: Kind::Pod, namespace, name, ..slice.meta.key.clone() })
    });
    pods.filter(|key| snapshot.config.pods.get(key).is_none()).count()
}
