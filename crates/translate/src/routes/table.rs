//! Which virtual hosts a route table has, and which of them has won which domain.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;
use memo::Shared;
use mesh::{EgressScope, MESH, ScopedService};
use model::networking::{Destination, VirtualService};
use model::service::Resolution;
use model::{Host, Protocol, Service, Text};

use super::claims::Claims;
use super::domains::{DomainInputs, bracketed};
use super::host::{Domains, HostInputs, Label};
use super::http::{Client, DefaultPlan, RoutePlan, RouteSettings, RuleInputs, Target, destinations, hash};
use super::registry::{PortIndex, Registry};
use super::session::Session;
use super::{Inputs, Memos};

/// The one port at which hosts count that no service has.
const PLAIN: u16 = 80;

/// Everything that a table may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TableInputs {
    inputs: Inputs,
    /// The egress listener, an index into the scope's; `None` if none is for the port.
    egress: Option<usize>,
    /// The port, 0 for all.
    port: u16,
}

/// The virtual hosts of a route table.
pub(super) struct Table {
    /// All of them, without the one for unknown hosts.
    pub(super) hosts: Vec<HostInputs>,
    /// Service → the virtual host that has won its host.
    by_host: HashMap<Text, usize, FixedState>,
    /// Whether a rule is for all hosts, so that nothing is left for a virtual host of unknown ones.
    pub(super) has_any: bool,
}

impl Table {
    /// The table for a port and, where the port is 0, a route name.
    pub(super) fn of(inputs: &Inputs, name: &str, port: u16, memos: &Memos) -> Shared<Self> {
        let egress = egress_of(&inputs.scope.egress, name, port);
        let listener = egress.and_then(|at| inputs.scope.egress.get(at)?.listener.as_ref());
        let proxy = listener.and_then(|listener| listener.port.as_ref());
        let proxy = proxy.is_some_and(|port| port.protocol == Protocol::HttpProxy);
        let port = if proxy { 0 } else { port };
        let key = TableInputs { inputs: inputs.clone(), egress, port };
        memos.tables.get(&key, |key| Self::new(key, memos))
    }

    fn new(key: &TableInputs, memos: &Memos) -> Self {
        let scope = &key.inputs.scope;
        let Some((at, egress)) = key.egress.and_then(|at| Some((at, scope.egress.get(at)?))) else {
            return Self { hosts: Vec::new(), by_host: HashMap::default(), has_any: false };
        };
        let index = memos.ports.get(&(scope.clone(), at), PortIndex::new);
        let settings =
            RouteSettings::new(&key.inputs.mesh, &key.inputs.profile.headers, &key.inputs.settings);
        let builder = Builder {
            inputs: &key.inputs,
            port: key.port,
            registry: Registry::new(egress, &index, key.port),
            settings: memos.settings(&settings),
            memos,
        };
        builder.claim(builder.groups(egress))
    }

    /// The virtual host that has won the host of a service.
    pub(super) fn of_service(&self, host: &str) -> Option<&HostInputs> {
        self.hosts.get(*self.by_host.get(host)?)
    }
}

/// The egress listener of a route name: the first with the port (on a Unix socket: bound to the name), or
/// that for all ports.
fn egress_of(listeners: &[EgressScope], name: &str, port: u16) -> Option<usize> {
    listeners.iter().position(|egress| {
        let Some(listener) = &egress.listener else { return true };
        match &listener.port {
            None => true,
            Some(own) if port == 0 => own.number == 0 && &*listener.bind == name,
            Some(own) => own.number == port,
        }
    })
}

/// Virtual hosts that share their routes, before domains are claimed.
struct Group<'a> {
    port: u16,
    /// Hosts of a VirtualService that no service has.
    plain: Vec<&'a Host>,
    services: Vec<&'a ScopedService>,
    routes: Shared<Vec<RoutePlan>>,
}

impl<'a> Group<'a> {
    /// The services' hosts, each with the port.
    fn hosts(&self) -> impl Iterator<Item = (&'a str, u16)> {
        self.services.iter().map(|scoped| (scoped.service.host.as_str(), self.port))
    }
}

struct Builder<'a> {
    inputs: &'a Inputs,
    port: u16,
    registry: Registry<'a>,
    settings: Shared<RouteSettings>,
    memos: &'a Memos,
}

impl<'a> Builder<'a> {
    /// What the VirtualServices are for, in their order, then the services that none of them is for.
    fn groups(&self, egress: &'a EgressScope) -> Vec<Group<'a>> {
        let rules = egress.virtual_services.iter();
        let rules = rules.filter(|rules| self.port == PLAIN || self.registry.is_mentioned_by(rules));
        let mut groups: Vec<Group<'a>> =
            rules.flat_map(|rules| self.of_virtual_service(egress, rules)).collect();
        let mut claimed = HashSet::<&Host, FixedState>::default();
        claimed.extend(groups.iter().flat_map(|group| &group.services).map(|one| &one.service.host));
        for scoped in &self.registry.services {
            let service = &scoped.service;
            // Another name of a service appears among that service's domains.
            if claimed.contains(&service.host) || service.resolution == Resolution::Alias {
                continue;
            }
            groups.extend(self.registry.http_ports(scoped).map(|port| Group {
                port: port.number,
                plain: Vec::new(),
                services: vec![*scoped],
                routes: self.default_routes(service, port.number),
            }));
        }
        groups
    }

    fn default_routes(&self, service: &Service, port: u16) -> Shared<Vec<RoutePlan>> {
        let rule = self.inputs.scope.rule(&service.host);
        let hash = rule.and_then(|rule| hash::of_service(&rule.rule, port));
        let plan = DefaultPlan { host: service.host.clone(), port, hash, settings: self.settings.clone() };
        self.memos.single(RoutePlan::Default(plan))
    }

    /// One group for each port; none if no route is for this client.
    fn of_virtual_service(
        &self,
        egress: &'a EgressScope,
        rules: &'a Shared<VirtualService>,
    ) -> Vec<Group<'a>> {
        let routes = self.routes(rules);
        if routes.is_empty() {
            return Vec::new();
        }
        let (plain, services) = self.split_hosts(egress, rules);
        let mut ports: Vec<u16> = services
            .iter()
            .flat_map(|service| self.registry.http_ports(service))
            .map(|port| port.number)
            .collect();
        // Where the hosts of several ports are put together, port 80 has the names without a port.
        ports.sort_unstable_by_key(|port| (*port != PLAIN, *port));
        ports.dedup();
        if ports.is_empty() && self.port == PLAIN {
            ports.push(PLAIN);
        }
        let has = |service: &'a ScopedService, number| {
            self.registry.http_ports(service).any(|port| port.number == number)
        };
        let group = |port| Group {
            port,
            plain: plain.clone(),
            services: services.iter().copied().filter(|service| has(service, port)).collect(),
            routes: routes.clone(),
        };
        ports.into_iter().map(group).collect()
    }

    fn routes(&self, rules: &Shared<VirtualService>) -> Shared<Vec<RoutePlan>> {
        let profile = &self.inputs.profile;
        let client = Client {
            gateways: vec![MESH.into()],
            namespace: profile.namespace.clone(),
            labels: profile.source_labels.clone(),
        };
        self.memos.translate(&RuleInputs {
            service: rules.clone(),
            port: self.port,
            tls: false,
            client: client.narrowed(rules),
            targets: destinations(rules).map(|destination| self.target(destination)).collect(),
            settings: self.settings.clone(),
        })
    }

    fn target(&self, destination: &Destination) -> Target {
        let rule = self.inputs.scope.rule(&destination.host);
        let found = self.registry.find(&destination.host).and_then(|at| self.registry.services.get(at));
        let found = found.map(|scoped| (&*scoped.service, self.registry.only_port(scoped)));
        Target::new(destination, found, rule.map(|rule| &**rule), &self.inputs.settings)
    }

    /// The hosts of a VirtualService: those that no service has, and the services of the others.
    ///
    /// A wildcard is for the services of which no VirtualService has a more specific host; it is a host of
    /// its own only if there are no services that it could be for.
    fn split_hosts(
        &self,
        egress: &EgressScope,
        rules: &'a Shared<VirtualService>,
    ) -> (Vec<&'a Host>, Vec<&'a ScopedService>) {
        let (mut plain, mut services) = (Vec::new(), Vec::new());
        let (wildcards, exact): (Vec<_>, Vec<_>) = rules.hosts.iter().partition(|host| host.is_wildcard());
        for host in exact {
            match self.registry.find(host).and_then(|at| self.registry.services.get(at)) {
                Some(service) => services.push(*service),
                None => plain.push(host),
            }
        }
        for host in wildcards {
            let mut covered = self.registry.services.iter().filter(|one| one.service.host.overlaps(host));
            let own =
                |service: &&ScopedService| egress.most_specific.get(&service.service.host) == Some(rules);
            match covered.next() {
                None => plain.push(host),
                Some(first) => {
                    services.extend(std::iter::once(first).chain(covered).copied().filter(own));
                }
            }
        }
        (plain, services)
    }

    /// Decides who gets which name and domain: the first that asks.
    fn claim(&self, groups: Vec<Group<'a>>) -> Table {
        let hosts = groups.iter().flat_map(Group::hosts);
        let mut claims = Claims::new(hosts);
        let mut hosts = Vec::new();
        for group in &groups {
            let inputs = |host: &Text, domains, session| HostInputs {
                label: Label::Port(host.clone(), group.port),
                domains,
                routes: group.routes.clone(),
                tls_only: false,
                attempts: self.inputs.attempts(),
                session,
            };
            for host in group.plain.iter().map(|host| host.text()) {
                if let Some(domains) = self.plain_domains(host, group.port, hosts.len(), &mut claims) {
                    hosts.push(inputs(host, domains, None));
                }
            }
            for scoped in &group.services {
                if let Some(domains) = self.service_domains(scoped, group.port, hosts.len(), &mut claims) {
                    let session = Session::of(&scoped.service.labels, &self.inputs.settings);
                    hosts.push(inputs(scoped.service.host.text(), domains, session));
                }
            }
        }
        let services = self.registry.services.iter().map(|scoped| scoped.service.host.text());
        let won = services.filter_map(|host| Some((host.clone(), *claims.winners.get(host)?)));
        Table { hosts, by_host: won.collect(), has_any: claims.winners.contains_key("*") }
    }

    /// The domain of a host without a service, if it is still free.
    fn plain_domains(&self, host: &Text, port: u16, at: usize, claims: &mut Claims<'a>) -> Option<Domains> {
        if !claims.name(host, port) {
            return None;
        }
        let domain = Text::from(bracketed(host));
        let domains = claims.domain(&domain, at).then_some(Domains::Listed(vec![domain]))?;
        (!self.with_port_only(port) || host.contains(':')).then_some(domains)
    }

    /// The domains of a service that are still free, if there are any.
    fn service_domains(
        &self,
        scoped: &ScopedService,
        port: u16,
        at: usize,
        claims: &mut Claims<'a>,
    ) -> Option<Domains> {
        let service = &scoped.service;
        if !claims.name(service.host.text(), port) {
            return None;
        }
        let suffix = if self.port == 0 { port } else { 0 };
        let proxy = (&*self.inputs.profile, &*self.inputs.settings);
        let inputs = DomainInputs::new(service, &scoped.aliases, suffix, proxy);
        let all = self.memos.domains.get(&inputs, DomainInputs::plan);
        let lost = (0_u16..).zip(all.iter()).filter(|(_, domain)| !claims.service_domain(domain, port, at));
        let lost = lost.map(|(index, _)| index).collect();
        let domains = Domains::Service { all, lost, with_port_only: self.with_port_only(port) };
        (!domains.are_lost()).then_some(domains)
    }

    /// Whether names without a port are left out: where all ports are put together, they are port 80's.
    fn with_port_only(&self, port: u16) -> bool {
        self.port == 0 && port != PLAIN
    }
}
