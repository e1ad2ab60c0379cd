//! Endpoints by service, from EndpointSlices, Pods, WorkloadEntries and ServiceEntries.

mod entries;
mod slices;

use std::collections::{BTreeMap, BTreeSet};

use memo::{Shared, Table};
use model::settings::Settings;
use model::{Endpoint, Host, Key, Kind, Resolution, Service, Text, TlsMode};

use crate::{Config, ServiceIndex, WorkloadIndex};

pub(crate) use slices::service_of;

/// The endpoints of all services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointIndex {
    /// By host and namespace of the service.
    by_service: Table<(Host, Text), ServiceEndpoints>,
    /// What each Service or ServiceEntry contributes to the services of its hosts.
    by_object: Table<Key, Contribution>,
    /// The EndpointSlices of each Service.
    slices: Table<Key, BTreeSet<Key>>,
    /// Services with a slice that refers to this Pod, by name, or by address as its name.
    users: Table<Key, BTreeSet<Key>>,
    /// What clusters and listeners may know of endpoints.
    pub facts: Shared<EndpointFacts>,
}

/// What one object contributes, by host, with the Pods that this depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contribution {
    hosts: BTreeMap<Host, Vec<Shared<Endpoint>>>,
    pods: BTreeSet<Key>,
}

/// What clusters and listeners may know of endpoints; changes far less often than endpoints do, so
/// that a plain endpoint change plans no cluster and no listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFacts {
    accounts: Table<(Host, Text), Vec<Text>>,
    embedded: Table<(Host, Text), ServiceEndpoints>,
    mutual: Table<(Host, Text), Vec<u16>>,
}

/// The endpoints of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// All endpoints of all ports, sorted so that the order of input does not matter. A handle stays
    /// the same while its endpoint is equal.
    pub endpoints: Vec<Shared<Endpoint>>,
    /// Whether some that may take mutual TLS are workloads of other namespaces than the service's.
    pub foreign: bool,
}

impl EndpointFacts {
    /// The identities of a service's endpoints, sorted.
    pub fn accounts(&self, host: &Host, namespace: &Text) -> Option<&Shared<Vec<Text>>> {
        find(&self.accounts, host, namespace)
    }

    /// The endpoints of a service resolved by name or not at all, whose endpoints are part of a cluster or
    /// listener; `None` for all others.
    pub fn embedded(&self, host: &Host, namespace: &Text) -> Option<&Shared<ServiceEndpoints>> {
        find(&self.embedded, host, namespace)
    }

    /// Whether a port of a service (by its number) has endpoints and all of them take mutual TLS.
    pub fn takes_mutual_tls(&self, host: &Host, namespace: &Text, port: u16) -> bool {
        let ports = find(&self.mutual, host, namespace);
        ports.is_some_and(|ports| ports.contains(&port))
    }
}

/// The facts of a service; most meshes have none of a kind, and they are asked for with every cluster.
fn find<'a, T>(table: &'a Table<(Host, Text), T>, host: &Host, namespace: &Text) -> Option<&'a Shared<T>> {
    if table.is_empty() { None } else { table.get(&(host.clone(), namespace.clone())) }
}

/// What the index is made from, in one state.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) config: &'a Config,
    pub(crate) services: &'a ServiceIndex,
    pub(crate) workloads: &'a WorkloadIndex,
}

impl EndpointIndex {
    /// The index of `now`, patched from that of `was`.
    #[must_use]
    pub(crate) fn next(&self, was: Inputs<'_>, now: Inputs<'_>) -> Self {
        let mut next = self.clone();
        next.note_slices(was.config, now.config);
        let mut touched = joined_otherwise(was.services, now.services);
        for key in next.touched(was, now) {
            next.contribute(&key, now, &mut touched);
        }
        let mut facts = (*next.facts).clone();
        for service in touched {
            next.join(&service, now, &mut facts);
        }
        next.facts = next.facts.or_same(facts);
        next
    }

    /// The endpoints of a service.
    pub fn of(&self, host: &Host, namespace: &Text) -> Option<&Shared<ServiceEndpoints>> {
        self.by_service.get(&(host.clone(), namespace.clone()))
    }

    /// Services whose endpoints differ from those in `before`.
    pub fn changed(&self, before: &Self) -> Vec<(Host, Text)> {
        self.by_service.changed(&before.by_service)
    }

    /// Moves slices that came, went or changed their Service.
    fn note_slices(&mut self, was: &Config, now: &Config) {
        for key in now.slices.changed(&was.slices) {
            let of = |config: &Config| config.slices.get(&key).map(|slice| slices::service_of(slice));
            for (service, there) in [(of(was), false), (of(now), true)] {
                let Some(service) = service else { continue };
                self.slices
                    .edit(&service, |keys| if there { keys.insert(key.clone()) } else { keys.remove(&key) });
            }
        }
    }

    /// Services and ServiceEntries whose contribution may be another one.
    fn touched(&self, was: Inputs<'_>, now: Inputs<'_>) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> =
            now.config.kube_services.changed(&was.config.kube_services).into_iter().collect();
        keys.extend(now.config.service_entries.changed(&was.config.service_entries));
        for key in now.config.slices.changed(&was.config.slices) {
            let both = [was.config, now.config].map(|config| config.slices.get(&key));
            keys.extend(both.into_iter().flatten().map(|slice| slices::service_of(slice)));
        }
        for key in now.workloads.changed(was.workloads) {
            let both = [was.workloads, now.workloads].map(|index| index.by_key(&key));
            let ips = both.into_iter().flatten().flat_map(|workload| &workload.ips);
            let by_address = ips.map(|ip| slices::address_key(&key, &ip.to_string()));
            for user in std::iter::once(key.clone()).chain(by_address).filter_map(|at| self.users.get(&at)) {
                keys.extend(user.iter().cloned());
            }
            entries::selecting(&key, now.config, &mut keys);
        }
        if common(was.config) != common(now.config) {
            keys.extend(now.config.kube_services.iter().map(|(key, _)| key.clone()));
            keys.extend(now.config.service_entries.iter().map(|(key, _)| key.clone()));
        }
        keys
    }

    /// Makes the contribution of one object anew and notes the services that it is part of.
    fn contribute(&mut self, key: &Key, now: Inputs<'_>, touched: &mut BTreeSet<(Host, Text)>) {
        let before = self.by_object.get(key).cloned();
        let mut after = match key.kind {
            Kind::Service => slices::contribution(key, self.slices.get(key).map(|keys| &**keys), now),
            _ => entries::contribution(key, now),
        };
        if let (Some(before), Some(after)) = (&before, &mut after) {
            keep_handles(before, after);
        }
        self.note_pods(key, before.as_deref(), after.as_ref());
        let hosts = before
            .iter()
            .flat_map(|one| one.hosts.keys())
            .chain(after.iter().flat_map(|one| one.hosts.keys()));
        touched.extend(hosts.map(|host| (host.clone(), key.namespace.clone())));
        self.by_object.set(key.clone(), after);
    }

    fn note_pods(&mut self, service: &Key, before: Option<&Contribution>, after: Option<&Contribution>) {
        let none = BTreeSet::new();
        let (old, new) = (before.map_or(&none, |one| &one.pods), after.map_or(&none, |one| &one.pods));
        let gone = old.difference(new).map(|pod| (pod, false));
        for (pod, there) in gone.chain(new.difference(old).map(|pod| (pod, true))) {
            self.users
                .edit(pod, |users| if there { users.insert(service.clone()) } else { users.remove(service) });
        }
    }

    /// Joins the contributions to one service: ServiceEntries oldest first, then the Kubernetes Service.
    fn join(&mut self, at: &(Host, Text), now: Inputs<'_>, facts: &mut EndpointFacts) {
        let (host, namespace) = at;
        let here = |service: &&Shared<Service>| service.namespace == *namespace;
        let parts = || now.services.parts_of(host).iter().filter(here);
        let mut objects: Vec<&Key> = Vec::new();
        for kind in [Kind::ServiceEntry, Kind::Service] {
            for service in parts().filter(|service| service.object.kind == kind) {
                if !objects.contains(&&service.object) {
                    objects.push(&service.object);
                }
            }
        }
        let of_objects = objects.iter().filter_map(|key| self.by_object.get(*key)?.hosts.get(host));
        let mut endpoints: Vec<Shared<Endpoint>> = of_objects.flatten().cloned().collect();
        let resolution = now.services.of_host(host).iter().find(here).map(|service| service.resolution);
        if resolution == Some(Resolution::DnsRoundRobin) {
            let mut seen = BTreeSet::new();
            endpoints.retain(|endpoint| seen.insert(endpoint.port_name.clone()));
        }
        let mut accounts: Vec<Text> =
            endpoints.iter().map(|endpoint| endpoint.workload.identity.clone()).collect();
        accounts.retain(|identity| !identity.is_empty());
        accounts.sort();
        accounts.dedup();
        facts.accounts.set(at.clone(), (!accounts.is_empty()).then_some(accounts));
        let mutual = all_mutual(&endpoints);
        facts.mutual.set(at.clone(), (!mutual.is_empty()).then_some(mutual));
        let elsewhere = |endpoint: &Shared<Endpoint>| {
            endpoint.workload.tls_mode == TlsMode::Istio && endpoint.workload.namespace != *namespace
        };
        let foreign = endpoints.iter().any(elsewhere);
        let value = (!endpoints.is_empty()).then_some(ServiceEndpoints { endpoints, foreign });
        self.by_service.set(at.clone(), value);
        let embeds =
            matches!(resolution, Some(Resolution::Dns | Resolution::DnsRoundRobin | Resolution::Passthrough));
        match self.by_service.get(at).filter(|_| embeds) {
            Some(endpoints) => drop(facts.embedded.share(at.clone(), endpoints.clone())),
            None => drop(facts.embedded.remove(at)),
        }
    }
}

/// The services of hosts whose objects or resolution may be others.
fn joined_otherwise(was: &ServiceIndex, now: &ServiceIndex) -> BTreeSet<(Host, Text)> {
    let mut joined = BTreeSet::new();
    for host in now.changed_hosts(was) {
        let both = was.parts_of(&host).iter().chain(now.parts_of(&host));
        joined.extend(both.map(|service| (host.clone(), service.namespace.clone())));
    }
    joined
}

/// The service ports all of whose endpoints take mutual TLS, sorted.
fn all_mutual(endpoints: &[Shared<Endpoint>]) -> Vec<u16> {
    let mut ports: BTreeMap<u16, bool> = BTreeMap::new();
    for endpoint in endpoints {
        let takes = endpoint.workload.tls_mode != TlsMode::Disabled;
        ports.entry(endpoint.service_port).and_modify(|all| *all &= takes).or_insert(takes);
    }
    ports.into_iter().filter(|(_, all)| *all).map(|(port, _)| port).collect()
}

/// What every contribution depends on.
fn common(config: &Config) -> (&Shared<Settings>, &Text) {
    (&config.settings, &config.mesh.trust_domain)
}

/// Endpoints that are equal to a former one keep its handle, so that what was built from it is found again.
fn keep_handles(before: &Contribution, after: &mut Contribution) {
    for (host, endpoints) in &mut after.hosts {
        let Some(old) = before.hosts.get(host) else { continue };
        let mut known: BTreeMap<(&str, &str), &Shared<Endpoint>> = BTreeMap::new();
        for endpoint in old {
            known.insert((endpoint.address(), &endpoint.port_name), endpoint);
        }
        for endpoint in endpoints {
            let same = known.get(&(endpoint.address(), &*endpoint.port_name));
            let same = same.filter(|old| ****old == **endpoint);
            if let Some(same) = same {
                *endpoint = (*same).clone();
            }
        }
    }
}
