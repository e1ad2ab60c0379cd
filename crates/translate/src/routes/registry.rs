//! The services that one egress listener lets a proxy reach, by port and by host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_api::Name;
use foldhash::fast::FixedState;
use memo::Shared;
use mesh::{EgressScope, Scope, ScopedService};
use model::networking::VirtualService;
use model::service::{Resolution, UNSPECIFIED};
use model::{Host, Protocol, ServicePort};

use super::name::{self, HTTP_PROXY};

/// Services of an egress listener by port, indexes into its list, in order.
pub(super) struct PortIndex {
    by_port: BTreeMap<u16, Vec<u32>>,
}

impl PortIndex {
    /// The index of an egress listener of a scope.
    pub(super) fn new((scope, egress): &(Shared<Scope>, usize)) -> Self {
        let mut by_port = BTreeMap::<u16, Vec<u32>>::new();
        let services = scope.egress.get(*egress).map_or(&[][..], |egress| &egress.services);
        for (at, service) in (0_u32..).zip(services) {
            let numbers = service.ports().filter(|port| port.protocol != Protocol::Udp);
            for port in numbers.map(|port| port.number).collect::<BTreeSet<_>>() {
                by_port.entry(port).or_default().push(at);
            }
        }
        Self { by_port }
    }
}

/// The services that routes of one table may lead to, each host once.
pub(super) struct Registry<'a> {
    /// In order.
    pub(super) services: Vec<&'a ScopedService>,
    by_host: HashMap<&'a Host, usize, FixedState>,
    wildcards: Vec<&'a Host>,
    /// The port that the table is for, 0 for all.
    port: u16,
}

impl<'a> Registry<'a> {
    /// The services with this port (0: all of them); of several services of one host the last one counts.
    pub(super) fn new(egress: &'a EgressScope, index: &PortIndex, port: u16) -> Self {
        let mut registry =
            Self { services: Vec::new(), by_host: HashMap::default(), wildcards: Vec::new(), port };
        if port == 0 {
            egress.services.iter().for_each(|service| registry.add(service));
            return registry;
        }
        for at in index.by_port.get(&port).into_iter().flatten() {
            if let Some(service) = usize::try_from(*at).ok().and_then(|at| egress.services.get(at)) {
                registry.add(service);
            }
        }
        registry
    }

    fn add(&mut self, service: &'a ScopedService) {
        let next = self.services.len();
        let at = *self.by_host.entry(&service.service.host).or_insert(next);
        match self.services.get_mut(at) {
            Some(known) => *known = service,
            None => {
                let host = &service.service.host;
                self.services.push(service);
                self.wildcards.extend(Some(host).filter(|host| host.is_wildcard()));
            }
        }
    }

    /// The place of a host's service in `services`.
    pub(super) fn find(&self, host: &Host) -> Option<usize> {
        self.by_host.get(host).copied()
    }

    /// The ports of a service that are HTTP or might be, as far as the table is for them.
    pub(super) fn http_ports(&self, service: &'a ScopedService) -> impl Iterator<Item = &'a ServicePort> {
        let port = self.port;
        let of_table = service.port_list().iter().filter(move |one| port == 0 || one.number == port);
        let first = if port == 0 { usize::MAX } else { 1 };
        let usable = of_table.filter(|one| one.protocol != Protocol::Udp).take(first);
        usable.filter(|one| one.protocol.is_http() || one.protocol.is_auto())
    }

    /// The only port of a service, as far as the table is for it.
    pub(super) fn only_port(&self, service: &ScopedService) -> Option<u16> {
        if self.port != 0 { Some(self.port) } else { service.only_port() }
    }

    /// Whether some service has a host that the VirtualService is for.
    pub(super) fn is_mentioned_by(&self, rules: &VirtualService) -> bool {
        let overlaps = |host: &Host| match host.is_wildcard() {
            true => self.services.iter().any(|one| one.service.host.overlaps(host)),
            false => self.wildcards.iter().any(|one| one.overlaps(host)),
        };
        rules.hosts.iter().any(|host| self.by_host.contains_key(host) || overlaps(host))
    }
}

/// Every route configuration that the outbound listeners of a scope may refer to, sorted: so that they
/// are ready before they are asked for. `http_proxy` says whether the proxy opens one.
pub fn names(scope: &Scope, http_proxy: bool) -> Vec<Name> {
    let mut found = BTreeSet::new();
    if http_proxy {
        found.insert(Name::from(HTTP_PROXY));
    }
    for egress in &scope.egress {
        let listener = egress.listener.as_ref();
        match listener.and_then(|listener| Some((listener, listener.port.as_ref()?))) {
            Some(_) if egress.services.is_empty() => {}
            Some((listener, _)) if listener.bind.starts_with("unix://") => {
                found.insert(listener.bind.clone());
            }
            Some((_, port)) if port.protocol.is_http() => {
                found.insert(name::of_port(None, port.number));
            }
            Some((_, port)) if !port.protocol.is_auto() => {}
            _ => egress.services.iter().for_each(|service| add_names(service, &mut found)),
        }
    }
    found.into_iter().collect()
}

fn add_names(service: &ScopedService, found: &mut BTreeSet<Name>) {
    if service.service.resolution == Resolution::Alias {
        return;
    }
    // A port whose protocol is told from first bytes is listened on at an address, if there is one: the
    // service's, or (headless) those of its endpoints.
    let addressed = &*service.service.address != UNSPECIFIED || service.service.is_headless();
    for port in service.ports() {
        if port.protocol.is_http() || (port.protocol.is_auto() && !addressed) {
            found.insert(name::of_port(None, port.number));
        } else if port.protocol.is_auto() {
            found.insert(name::of_port(Some(service.service.host.as_str()), port.number));
        }
    }
}
