//! All services of a scope: those that its listeners see, then those that their VirtualServices lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memo::Shared;
use model::networking::{HttpRoute, VirtualService};
use model::{Host, Registry, Service, ServicePort, Text};

use super::listener::only_port;
use super::{EgressScope, ScopeInputs, ScopedService};

/// Services by host, one each, in the order in which they came.
#[derive(Default)]
pub(super) struct Union {
    pub(super) services: Vec<ScopedService>,
    pub(super) by_host: BTreeMap<Host, usize>,
}

impl Union {
    /// Every service that a gateway's namespace may see.
    pub(super) fn of_gateway(inputs: &ScopeInputs) -> Self {
        let mut union = Self::default();
        for service in inputs.services.visible(&inputs.namespace) {
            union.add(ScopedService::whole(service, inputs.services.aliases(&service.host)));
        }
        union
    }

    /// What each listener sees, then what its VirtualServices lead to.
    pub(super) fn of_listeners(inputs: &ScopeInputs, egress: &[EgressScope]) -> Self {
        let mut union = Self::default();
        for listener in egress {
            for scoped in &listener.services {
                union.add(scoped.clone());
            }
            for one in &listener.virtual_services {
                union.add_destinations(inputs, listener, one);
            }
        }
        union
    }

    fn add_destinations(&mut self, inputs: &ScopeInputs, listener: &EgressScope, one: &VirtualService) {
        for (host, ports) in destinations(one, Some(&inputs.namespace)) {
            let Some(service) = destination(inputs, host) else { continue };
            let scoped = match only_port(listener.listener.as_ref()) {
                Some(_) => ScopedService::on_listener(service, listener.listener.as_ref()),
                None => with_ports(service, &ports),
            };
            let Some(scoped) = scoped else { continue };
            let aliases = inputs.services.aliases(host);
            self.add(ScopedService { aliases: ScopedService::whole(service, aliases).aliases, ..scoped });
        }
    }

    /// Adds a service, or joins it with the one of the same host: a Kubernetes Service takes the place of
    /// a ServiceEntry; else the first stays, with the ports of the other where both say the same.
    fn add(&mut self, new: ScopedService) {
        let next = self.services.len();
        let place = *self.by_host.entry(new.service.host.clone()).or_insert(next);
        let Some(held) = self.services.get_mut(place) else {
            self.services.push(new);
            return;
        };
        if held.service == new.service && held.ports == new.ports {
            return;
        }
        let kube = |one: &ScopedService| one.service.registry == Registry::Kubernetes;
        match (kube(held), kube(&new)) {
            (true, false) => {}
            (false, true) => *held = new,
            _ => held.join(&new),
        }
    }
}

impl ScopedService {
    fn join(&mut self, other: &Self) {
        if !can_join(&self.service, &other.service) {
            return;
        }
        let held = self.port_list();
        let more = other.ports().filter(|port| held.iter().all(|one| one.number != port.number));
        let joined: Vec<ServicePort> = held.iter().chain(more).cloned().collect();
        if joined.len() > held.len() {
            self.ports = (joined != self.service.ports).then(|| joined.into());
        }
    }
}

/// Whether two services of one host differ in nothing but ports and addresses.
fn can_join(one: &Service, other: &Service) -> bool {
    one.namespace == other.namespace
        && one.resolution == other.resolution
        && one.registry == other.registry
        && one.labels == other.labels
        && one.selector.as_ref().filter(|it| !it.is_empty())
            == other.selector.as_ref().filter(|it| !it.is_empty())
        && one.export_to == other.export_to
}

/// The service that a destination's host means: that of the proxy's own namespace, visible or not, else
/// the best visible one.
fn destination<'a>(inputs: &'a ScopeInputs, host: &Host) -> Option<&'a Shared<Service>> {
    let (index, own) = (&inputs.services, &inputs.namespace);
    if let Some(service) = index.of_namespace(host, own) {
        return Some(service);
    }
    let namespaces: BTreeSet<&Text> = index.of_host(host).iter().map(|service| &service.namespace).collect();
    let each = namespaces.into_iter().filter_map(|namespace| index.of_namespace(host, namespace));
    let mut visible = each.filter(|service| service.export_to.contains(own));
    if !inputs.settings.pick_best_service_namespace {
        return visible.next();
    }
    visible.min_by_key(|service| (service.registry != Registry::Kubernetes, service.created))
}

/// The service with only those of its ports that are led to; all of them if a destination names no port
/// (0), none of it if it has none of the ports.
fn with_ports(service: &Shared<Service>, ports: &BTreeSet<u16>) -> Option<ScopedService> {
    let whole = ScopedService::whole(service, &[]);
    if ports.contains(&0) {
        return Some(whole);
    }
    let found: Vec<_> = service.ports.iter().filter(|port| ports.contains(&port.number)).cloned().collect();
    match found.len() {
        all if all == service.ports.len() => Some(whole),
        0 => None,
        _ => Some(ScopedService { ports: Some(found.into()), ..whole }),
    }
}

/// Hosts that a VirtualService leads to, by name, each with the ports that are named; 0 stands for a
/// destination without a port. Rules that are not for clients of the namespace do not count.
pub(crate) fn destinations<'a>(
    one: &'a VirtualService,
    namespace: Option<&str>,
) -> BTreeMap<&'a Host, BTreeSet<u16>> {
    let counts = |route: &&Arc<HttpRoute>| namespace.is_none_or(|namespace| is_for(route, namespace));
    let http = one.http.iter().filter(counts).flat_map(|route| {
        let routes = route.routes.iter().map(|one| &one.destination);
        routes.chain(route.all_mirrors().map(|(destination, _)| destination))
    });
    let tcp = one.tcp.iter().flat_map(|route| &route.routes).map(|one| &one.destination);
    let tls = one.tls.iter().flat_map(|route| &route.routes).map(|one| &one.destination);
    let mut found = BTreeMap::<&Host, BTreeSet<u16>>::new();
    for destination in http.chain(tcp).chain(tls) {
        found.entry(&destination.host).or_default().insert(destination.port.unwrap_or_default());
    }
    found
}

/// Whether a rule may apply to clients of a namespace: the last condition that names a namespace names
/// another one, unless some condition names this one.
fn is_for(route: &HttpRoute, namespace: &str) -> bool {
    let mut named = route.matches.iter().map(|one| &*one.source_namespace).filter(|name| !name.is_empty());
    let first = named.next();
    first.is_none_or(|first| first == namespace || named.any(|name| name == namespace))
}
