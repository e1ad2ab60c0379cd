//! Services by host, and which of them a namespace may see.

use std::collections::{BTreeMap, BTreeSet};

use memo::{Shared, Table};
use model::networking::ExportTo;
use model::{Created, Host, Key, Registry, Resolution, Service, Text};

use crate::services::aliases::{Aliases, Link};
use crate::{Config, keys};

mod aliases;
mod allocate;
mod convert;
#[cfg(test)]
mod tests;

/// All services, made from Services and ServiceEntries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceIndex {
    /// Services of one object.
    by_object: Table<Key, Vec<Shared<Service>>>,
    /// Services of all objects by host, in order; those of several clusters apart.
    parts: Table<Host, Vec<Shared<Service>>>,
    /// Services of one host, in order.
    by_host: Table<Host, Vec<Shared<Service>>>,
    /// All services in order.
    ordered: Ordered,
    /// Those visible in every namespace, in order.
    public: Ordered,
    /// Those visible in this namespace by name, in order.
    private: Table<Text, Ordered>,
    /// All services of this namespace, in order.
    by_namespace: Table<Text, Ordered>,
    /// Those of them that ServiceEntries made.
    entries: Table<Text, Ordered>,
    /// Hosts of this namespace's services that it may see otherwise than others do: other namespaces
    /// have services for them too, or not everybody may see them.
    contested: Table<Text, BTreeSet<Host>>,
    aliases: Aliases,
}

type Ordered = Table<Order, Service>;

/// The place of a service in every list: age, name, namespace; object and address make it total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    created: Created,
    name: Text,
    namespace: Text,
    object: Key,
    address: Text,
}

impl Order {
    fn of(service: &Service) -> Self {
        Self {
            created: service.created,
            name: service.name.clone(),
            namespace: service.namespace.clone(),
            object: service.object.clone(),
            address: service.address.clone(),
        }
    }
}

impl ServiceIndex {
    /// The index of `now`, patched from that of `was` by what differs in Services, ServiceEntries,
    /// Namespaces (annotations), mesh config and settings.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        let mut hosts = BTreeSet::new();
        let keys = self.to_convert(was, now).into_iter();
        let mut converted: BTreeMap<Key, Vec<Service>> =
            keys.map(|key| (key.clone(), convert::services(now, &key))).collect();
        if !now.settings.ip_autoallocate && !converted.is_empty() {
            self.allocate(&mut converted);
        }
        for (key, services) in converted {
            next.take(key, services, &mut hosts);
        }
        if was.settings.cluster != now.settings.cluster {
            hosts.extend(next.parts.iter().map(|(host, _)| host.clone()));
        }
        for host in &hosts {
            next.regroup(host, &now.settings.cluster);
        }
        next
    }

    /// The services of this host, oldest first, whatever their namespace.
    pub fn of_host(&self, host: &Host) -> &[Shared<Service>] {
        self.by_host.get(host).map_or(&[], |list| list.as_slice())
    }

    /// The service that stands for a host within a namespace: the oldest one, a Kubernetes Service
    /// before any ServiceEntry, whoever may see it.
    pub fn of_namespace(&self, host: &Host, namespace: &str) -> Option<&Shared<Service>> {
        let mut own = self.of_host(host).iter().filter(|service| &*service.namespace == namespace);
        let first = own.next()?;
        if first.registry == Registry::Kubernetes {
            return Some(first);
        }
        Some(own.find(|service| service.registry == Registry::Kubernetes).unwrap_or(first))
    }

    /// All services, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Shared<Service>> {
        self.ordered.values()
    }

    /// The services of a namespace, oldest first.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &Shared<Service>> {
        self.by_namespace.get(namespace).into_iter().flat_map(|list| list.values())
    }

    /// The services of a namespace that ServiceEntries made, oldest first.
    pub fn entries_in(&self, namespace: &str) -> impl Iterator<Item = &Shared<Service>> {
        self.entries.get(namespace).into_iter().flat_map(|list| list.values())
    }

    /// The services of this host before those of several clusters were made one, oldest first.
    pub(crate) fn parts_of(&self, host: &Host) -> &[Shared<Service>] {
        self.parts.get(host).map_or(&[], |list| list.as_slice())
    }

    /// The hosts whose services are not the same as in `before`.
    pub(crate) fn changed_hosts(&self, before: &Self) -> Vec<Host> {
        let mut hosts = self.by_host.changed(&before.by_host);
        hosts.extend(self.parts.changed(&before.parts));
        hosts
    }

    /// What a namespace may see: first what is exported to it by name, then what is public; each oldest first.
    pub fn visible(&self, namespace: &str) -> impl Iterator<Item = &Shared<Service>> {
        self.private.get(namespace).into_iter().flat_map(|list| list.values()).chain(self.public.values())
    }

    /// What a namespace may see of the services of some namespaces, in the order of [`Self::visible`].
    pub(crate) fn visible_of<'a>(
        &self,
        namespace: &str,
        of: impl IntoIterator<Item = &'a Text>,
    ) -> Vec<Shared<Service>> {
        let lists = of.into_iter().filter_map(|of| self.by_namespace.get(of));
        let visible = lists.flat_map(|list| list.iter()).filter(|(_, one)| one.export_to.contains(namespace));
        let mut found: Vec<_> = visible.collect();
        found.sort_by_key(|(order, one)| (one.export_to == ExportTo::Public, *order));
        found.into_iter().map(|(_, one)| one.clone()).collect()
    }

    /// Services in the order of all lists.
    pub(crate) fn in_order(mut services: Vec<Shared<Service>>) -> Vec<Shared<Service>> {
        services.sort_by_cached_key(|service| Order::of(service));
        services
    }

    /// Whether other namespaces may have services of the same host.
    pub(crate) fn is_contested(&self, service: &Service) -> bool {
        self.contested.get(&service.namespace).is_some_and(|hosts| hosts.contains(&service.host))
    }

    /// Other names (ExternalName services) of this host, by namespace, then host.
    pub fn aliases(&self, host: &Host) -> &[Host] {
        self.aliases.of(host)
    }

    /// Whether a namespace sees what every namespace sees: nothing is exported to it by name, everybody
    /// may see its own services, and none of them competes with one of another namespace.
    pub fn is_public_to(&self, namespace: &str) -> bool {
        self.private.get(namespace).is_none() && self.contested.get(namespace).is_none()
    }

    /// The objects to convert again.
    fn to_convert(&self, was: &Config, now: &Config) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> = now.kube_services.changed(&was.kube_services).into_iter().collect();
        keys.extend(now.service_entries.changed(&was.service_entries));
        if facts(was) != facts(now) {
            keys.extend(self.by_object.iter().map(|(key, _)| key.clone()));
            return keys;
        }
        for namespace in now.namespaces.changed(&was.namespaces) {
            if distribution(was, &namespace) != distribution(now, &namespace) {
                keys.extend(self.objects_in(&namespace));
            }
        }
        keys
    }

    /// Makes up addresses for these services, and adds objects whose services' addresses change by that.
    fn allocate(&self, converted: &mut BTreeMap<Key, Vec<Service>>) {
        let stay = || self.by_object.iter().filter(|(key, _)| !converted.contains_key(key));
        let known = stay().flat_map(|(_, list)| list.iter().filter_map(|service| allocate::name(service)));
        let new = converted.values().flatten().filter_map(allocate::name);
        let given = allocate::allocate(known.chain(new));
        let addressed = |service: &Service| {
            let found = allocate::name(service).and_then(|name| given.get(&name).cloned());
            Service { auto_addresses: found.unwrap_or_default(), ..service.clone() }
        };
        let other = stay().map(|(key, list)| (key.clone(), list.iter().map(|one| addressed(one)).collect()));
        let other: Vec<(Key, Vec<Service>)> = other.collect();
        for service in converted.values_mut().flatten() {
            *service = addressed(service);
        }
        converted.extend(other);
    }

    fn objects_in<'a>(&'a self, namespace: &'a Key) -> impl Iterator<Item = Key> + 'a {
        let own = |kind| {
            let first = Key::first_of(&namespace.cluster, kind, &namespace.name);
            keys::beside(&self.by_object, first).map(|(key, _)| key.clone())
        };
        [model::Kind::Service, model::Kind::ServiceEntry].into_iter().flat_map(own)
    }

    /// Takes in the newest services of one object and names the hosts whose services are not the same.
    fn take(&mut self, key: Key, services: Vec<Service>, hosts: &mut BTreeSet<Host>) {
        let old = self.by_object.get(&key).map(|list| (**list).clone()).unwrap_or_default();
        let new: Vec<_> = services.into_iter().map(|service| kept(service, &old)).collect();
        let gone = old.iter().filter(|service| !new.contains(service));
        let come = new.iter().filter(|service| !old.contains(service));
        let touched: BTreeSet<Host> = gone.chain(come).map(|service| service.host.clone()).collect();
        for host in touched {
            let mut parts: Vec<_> = self.parts.get(&host).map(|list| (**list).clone()).unwrap_or_default();
            parts.retain(|service| service.object != key);
            parts.extend(new.iter().filter(|service| service.host == host).cloned());
            parts.sort_by_cached_key(|service| Order::of(service));
            self.parts.set(host.clone(), some(parts));
            hosts.insert(host);
        }
        self.by_object.set(key, some(new));
    }

    /// Puts the services of a host in their places.
    fn regroup(&mut self, host: &Host, local: &Text) {
        let old = self.by_host.get(host).map(|list| (**list).clone()).unwrap_or_default();
        let parts = self.parts.get(host).map_or(&[][..], |list| list.as_slice());
        let new = joined(parts, &old, local);
        for service in old.iter().filter(|service| !new.contains(service)) {
            self.ordered.remove(&Order::of(service));
            self.by_namespace.edit(&service.namespace, |list| list.remove(&Order::of(service)));
            if service.registry == Registry::External {
                self.entries.edit(&service.namespace, |list| list.remove(&Order::of(service)));
            }
            self.hide(service);
        }
        for service in new.iter().filter(|service| !old.contains(service)) {
            let own = |list: &mut Ordered| list.share(Order::of(service), service.clone());
            own(&mut self.ordered);
            self.by_namespace.edit(&service.namespace, own);
            if service.registry == Registry::External {
                self.entries.edit(&service.namespace, own);
            }
            self.show(service);
        }
        self.contest(host, &rivals(&old), &rivals(&new));
        let alias = new.iter().find(|service| service.resolution == Resolution::Alias);
        self.aliases.set(host, alias.and_then(link));
        self.by_host.set(host.clone(), some(new));
    }

    fn show(&mut self, service: &Shared<Service>) {
        let show = |list: &mut Ordered| list.share(Order::of(service), service.clone());
        match &service.export_to {
            ExportTo::Unset | ExportTo::Public => {
                show(&mut self.public);
            }
            ExportTo::Namespaces(namespaces) => {
                for namespace in namespaces {
                    self.private.edit(namespace, show);
                }
            }
        }
    }

    fn hide(&mut self, service: &Service) {
        let hide = |list: &mut Ordered| list.remove(&Order::of(service));
        match &service.export_to {
            ExportTo::Unset | ExportTo::Public => {
                hide(&mut self.public);
            }
            ExportTo::Namespaces(namespaces) => {
                for namespace in namespaces {
                    self.private.edit(namespace, hide);
                }
            }
        }
    }

    fn contest(&mut self, host: &Host, before: &BTreeSet<Text>, after: &BTreeSet<Text>) {
        for namespace in before.symmetric_difference(after) {
            self.contested.edit(namespace, |hosts| hosts.remove(host) || hosts.insert(host.clone()));
        }
    }
}

impl FromIterator<Service> for ServiceIndex {
    /// An index of services that were made elsewhere.
    fn from_iter<I: IntoIterator<Item = Service>>(services: I) -> Self {
        let mut objects = BTreeMap::<Key, Vec<Service>>::new();
        for service in services {
            objects.entry(service.object.clone()).or_default().push(service);
        }
        let (mut index, mut hosts) = (Self::default(), BTreeSet::new());
        for (key, services) in objects {
            index.take(key, services, &mut hosts);
        }
        hosts.iter().for_each(|host| index.regroup(host, &"".into()));
        index
    }
}

/// The facts of mesh and settings that all services depend on.
fn facts(config: &Config) -> impl PartialEq + '_ {
    let (mesh, settings) = (&config.mesh, &config.settings);
    let exports = (&mesh.default_service_export_to, mesh.service_entry_private);
    (exports, &mesh.trust_domain, &settings.domain, settings.ip_autoallocate)
}

fn distribution<'a>(config: &'a Config, namespace: &Key) -> Option<&'a str> {
    config.namespaces.get(namespace)?.meta.annotations.get(convert::DISTRIBUTION)
}

/// The old handle of an equal service, else a new one.
fn kept(service: Service, old: &[Shared<Service>]) -> Shared<Service> {
    let same = old.iter().find(|old| ***old == service).cloned();
    same.unwrap_or_else(|| Shared::new(service))
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn link(service: &Shared<Service>) -> Option<Link> {
    let target = service.external_name.clone()?;
    Some(Link { target, namespace: service.namespace.clone() })
}

/// The namespaces of a host's services, if there are several; else that one whose services not
/// everybody may see.
fn rivals(services: &[Shared<Service>]) -> BTreeSet<Text> {
    let own = |service: &Shared<Service>| service.namespace.clone();
    let namespaces: BTreeSet<Text> = services.iter().map(own).collect();
    if namespaces.len() > 1 {
        return namespaces;
    }
    services.iter().filter(|service| service.export_to != ExportTo::Public).map(own).collect()
}

/// The services of a host with the Kubernetes ones of several clusters made one.
///
/// The local cluster's supplies everything (else that of the first cluster by name); the others add
/// their addresses and identities. Services of one cluster are left apart.
fn joined(parts: &[Shared<Service>], old: &[Shared<Service>], local: &Text) -> Vec<Shared<Service>> {
    let is_kube = |service: &&Shared<Service>| service.registry == Registry::Kubernetes;
    let mut kube: Vec<_> = parts.iter().filter(is_kube).collect();
    let clusters: BTreeSet<&Text> = kube.iter().map(|service| &service.object.cluster).collect();
    if kube.len() < 2 || clusters.len() < kube.len() {
        return parts.to_vec();
    }
    kube.sort_by_key(|service| (service.object.cluster != *local, &service.object.cluster));
    let mut all = kube.into_iter();
    let Some(first) = all.next() else { return parts.to_vec() };
    let one = all.fold((**first).clone(), |one, other| join(one, other));
    let mut services: Vec<_> = parts.iter().filter(|service| !is_kube(service)).cloned().collect();
    services.push(kept(one, old));
    services.sort_by_cached_key(|service| Order::of(service));
    services
}

fn join(mut one: Service, other: &Service) -> Service {
    for (cluster, addresses) in &other.cluster_vips {
        one.cluster_vips.entry(cluster.clone()).or_insert_with(|| addresses.clone());
    }
    for account in &other.accounts {
        if !one.accounts.contains(account) {
            one.accounts.push(account.clone());
        }
    }
    one
}
