//! What one egress listener lets a proxy see: services, VirtualServices, and which of those own which host.

use std::collections::{BTreeMap, BTreeSet};

use memo::Shared;
use model::networking::{EgressHost, EgressListener, VirtualService};
use model::{Host, Protocol, Registry, Service, Text};

use super::{EgressScope, ScopeInputs, ScopedService};
use crate::MESH;

/// An egress listener as it is applied in a namespace.
pub(super) struct Listener<'a> {
    inputs: &'a ScopeInputs,
    written: Option<&'a EgressListener>,
    /// The hosts asked for and excluded, by namespace or `*`.
    hosts: BTreeMap<Text, Hosts>,
}

/// The hosts of a listener for one namespace, or for `*`.
#[derive(Default)]
struct Hosts {
    exact: BTreeSet<Host>,
    wildcards: Vec<Host>,
    excluded: Vec<Host>,
}

const ANY: &str = "*";

impl<'a> Listener<'a> {
    /// The listener of a scope without a Sidecar, or with one that has no egress: `*/*`.
    pub(super) fn default(inputs: &'a ScopeInputs) -> Self {
        let all = Hosts { wildcards: vec![Host::new(ANY)], ..Hosts::default() };
        Self { inputs, written: None, hosts: BTreeMap::from([(ANY.into(), all)]) }
    }

    /// A listener of a Sidecar.
    pub(super) fn written(inputs: &'a ScopeInputs, listener: &'a EgressListener) -> Self {
        let mut hosts = BTreeMap::<Text, Hosts>::new();
        for one in &listener.hosts {
            let own = &*one.namespace == ".";
            let namespace = if own { inputs.namespace.clone() } else { one.namespace.clone() };
            hosts.entry(namespace).or_default().add(one);
        }
        Self { inputs, written: Some(listener), hosts }
    }

    /// What it lets a proxy see.
    pub(super) fn scope(&self) -> EgressScope {
        let virtual_services = self.virtual_services();
        let services = self.services();
        EgressScope {
            listener: self.written.cloned(),
            most_specific: most_specific(&virtual_services, &services),
            services,
            virtual_services,
        }
    }

    fn services(&self) -> Vec<ScopedService> {
        let index = &self.inputs.services;
        let namespace = &*self.inputs.namespace;
        let mut services: Vec<ScopedService> = if self.is_all_exact() {
            self.exact_services().iter().filter_map(|service| self.see(service)).collect()
        } else if self.hosts.get(ANY).is_some_and(Hosts::asks) {
            index.visible(namespace).filter_map(|service| self.see(service)).collect()
        } else {
            let asked = self.hosts.iter().filter(|(_, hosts)| hosts.asks()).map(|(name, _)| name);
            index.visible_of(namespace, asked).iter().filter_map(|service| self.see(service)).collect()
        };
        self.keep_one_namespace_per_host(&mut services);
        services
    }

    /// Whether all that is asked for is a plain host in a named namespace. Then each host and namespace
    /// gives one service; otherwise all that are visible.
    fn is_all_exact(&self) -> bool {
        let exact = |(namespace, hosts): (&Text, &Hosts)| {
            hosts.wildcards.is_empty() && (&**namespace != ANY || hosts.exact.is_empty())
        };
        self.hosts.iter().all(exact)
    }

    fn exact_services(&self) -> Vec<Shared<Service>> {
        let index = &self.inputs.services;
        let asked =
            self.hosts.iter().flat_map(|(name, hosts)| hosts.exact.iter().map(move |host| (name, host)));
        let found = asked.filter_map(|(namespace, host)| index.of_namespace(host, namespace));
        let visible = found.filter(|service| service.export_to.contains(&self.inputs.namespace));
        crate::ServiceIndex::in_order(visible.cloned().collect())
    }

    /// The service as far as the listener lets it be seen; none if it does not.
    fn see(&self, service: &Shared<Service>) -> Option<ScopedService> {
        if self.is_excluded(&service.namespace, &service.host) {
            return None;
        }
        self.levels(&service.namespace).filter(|hosts| hosts.cover(&service.host)).find_map(|hosts| {
            let trimmed = ScopedService::on_listener(service, self.written)?;
            let aliases = self.inputs.services.aliases(&service.host);
            if aliases.is_empty() {
                return Some(trimmed);
            }
            let aliases = aliases.iter().filter(|alias| hosts.cover(alias)).cloned().collect();
            Some(ScopedService { aliases, ..trimmed })
        })
    }

    /// Of the services of a host in several namespaces those of one stay: the proxy's own namespace,
    /// else that of a Kubernetes Service, else the first.
    fn keep_one_namespace_per_host(&self, services: &mut Vec<ScopedService>) {
        let own = &self.inputs.namespace;
        let prefer_kube = self.inputs.settings.unified_sidecar_scope;
        let mut winners = BTreeMap::<Host, (Text, bool)>::new();
        for ScopedService { service, .. } in services.iter() {
            if !self.inputs.services.is_contested(service) {
                continue;
            }
            let kube = service.registry == Registry::Kubernetes;
            let wins = winners.get(&service.host).is_none_or(|(held, held_kube)| {
                service.namespace == *own || (prefer_kube && kube && !held_kube && held != own)
            });
            if wins {
                winners.insert(service.host.clone(), (service.namespace.clone(), kube));
            }
        }
        if !winners.is_empty() {
            let wins = |one: &Service| winners.get(&one.host).is_none_or(|(name, _)| *name == one.namespace);
            services.retain(|one| wins(&one.service));
        }
    }

    fn virtual_services(&self) -> Vec<Shared<VirtualService>> {
        let visible = self.inputs.routes.bound_to(MESH, &self.inputs.namespace);
        visible.filter(|one| self.takes(one)).cloned().collect()
    }

    /// Whether one of the hosts of a VirtualService overlaps with what is asked for.
    fn takes(&self, one: &VirtualService) -> bool {
        let namespace = &one.meta.key.namespace;
        let taken = |hosts: &Hosts, host: &Host| hosts.overlap(host) && !self.is_excluded(namespace, host);
        self.levels(namespace).any(|hosts| one.hosts.iter().any(|host| taken(hosts, host)))
    }

    /// What is asked for of a namespace by its name, then of any namespace.
    fn levels(&self, namespace: &Text) -> impl Iterator<Item = &Hosts> {
        self.hosts.get(namespace).into_iter().chain(self.hosts.get(ANY))
    }

    fn is_excluded(&self, namespace: &Text, host: &Host) -> bool {
        self.levels(namespace).any(|hosts| hosts.excluded.iter().any(|one| host.is_subset_of(one)))
    }
}

impl Hosts {
    fn add(&mut self, one: &EgressHost) {
        let host = one.host.clone();
        if one.exclude {
            self.excluded.push(host);
        } else if host.is_wildcard() {
            self.wildcards.push(host);
        } else {
            self.exact.insert(host);
        }
    }

    fn asks(&self) -> bool {
        !self.exact.is_empty() || !self.wildcards.is_empty()
    }

    /// Whether the host of a service is asked for, whole.
    fn cover(&self, host: &Host) -> bool {
        self.wildcards.iter().any(|one| host.is_subset_of(one)) || self.exact.contains(host)
    }

    /// Whether the host of a VirtualService has something to do with what is asked for.
    fn overlap(&self, host: &Host) -> bool {
        self.wildcards.iter().any(|one| host.overlaps(one))
            || self.exact.contains(host)
            || (host.is_wildcard() && self.exact.iter().any(|one| host.overlaps(one)))
    }
}

impl ScopedService {
    /// The service with all its ports, under all its names.
    pub(super) fn whole(service: &Shared<Service>, aliases: &[Host]) -> Self {
        let aliases = if aliases.is_empty() { std::sync::Arc::default() } else { aliases.into() };
        Self { service: service.clone(), ports: None, aliases }
    }

    /// The service with only the port of a listener that has one; none if it has no such port.
    pub(super) fn on_listener(service: &Shared<Service>, listener: Option<&EgressListener>) -> Option<Self> {
        let whole = Self::whole(service, &[]);
        let Some(number) = only_port(listener) else { return Some(whole) };
        let found = service.ports.iter().find(|one| one.number == number)?;
        let ports = (service.ports.len() > 1).then(|| [found.clone()].into());
        Some(Self { ports, ..whole })
    }
}

/// The only port that a listener lets a proxy see; that of an HTTP proxy stands for all ports.
pub(super) fn only_port(listener: Option<&EgressListener>) -> Option<u16> {
    let port = listener?.port.as_ref()?;
    (port.number != 0 && port.protocol != Protocol::HttpProxy).then_some(port.number)
}

/// For each host of a service the VirtualService with the most specific host that covers it; of equal
/// hosts the first counts.
fn most_specific(
    virtual_services: &[Shared<VirtualService>],
    services: &[ScopedService],
) -> BTreeMap<Host, Shared<VirtualService>> {
    let mut exact = BTreeMap::<&Host, &Shared<VirtualService>>::new();
    let mut wildcards = BTreeMap::<&Host, &Shared<VirtualService>>::new();
    for one in virtual_services {
        for host in &one.hosts {
            let hosts = if host.is_wildcard() { &mut wildcards } else { &mut exact };
            hosts.entry(host).or_insert(one);
        }
    }
    if exact.is_empty() && wildcards.is_empty() {
        return BTreeMap::new();
    }
    let owner = |host: &Host| {
        exact.get(host).or_else(|| {
            let covering = wildcards.iter().filter(|(wildcard, _)| host.is_subset_of(wildcard));
            covering.max_by_key(|(wildcard, _)| wildcard.as_str().len()).map(|(_, one)| one)
        })
    };
    let owned = services.iter().map(|one| &one.service.host);
    owned.filter_map(|host| Some((host.clone(), (*owner(host)?).clone()))).collect()
}
