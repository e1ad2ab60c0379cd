//! TCP chains of a service's port: by VirtualServices, or straight to the service's cluster.

use std::collections::BTreeSet;

use mesh::{EgressScope, MESH, Scope, ScopedService};
use model::networking::{
    DestinationRule, HashKey, L4Match, RouteDestination, TcpRoute, TlsMatch, TrafficPolicy, VirtualService,
};
use model::{Labels, Resolution, ServicePort, Text};

use super::super::TcpTarget;
use super::super::network_filters::TcpOptions;
use super::chain::{Chain, Terminal};
use super::claims::ClaimInputs;
use crate::clusters::{dynamic_cache, stat_name};
use crate::names;
use crate::routes::alternates;

/// What a scope asks of the proxies that see it, so that proxies which differ in nothing else share its
/// claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whether a condition of a TLS or TCP route names the client's namespace.
    pub(super) namespace: bool,
    /// Whether some service has other names, which are shortened by the client's DNS domain.
    pub(super) domain: bool,
}

impl Asked {
    pub(super) fn new(scope: &Scope) -> Self {
        let named = |service: &VirtualService| {
            let tls = service.tls.iter().flat_map(|route| &route.matches).map(|one| &one.source_namespace);
            let tcp = service.tcp.iter().flat_map(|route| &route.matches).map(|one| &one.source_namespace);
            tls.chain(tcp).any(|namespace| !namespace.is_empty())
        };
        Self {
            namespace: scope.egress.iter().flat_map(|egress| &egress.virtual_services).any(|one| named(one)),
            domain: scope
                .egress
                .iter()
                .flat_map(|egress| &egress.services)
                .any(|scoped| !scoped.aliases.is_empty()),
        }
    }
}

/// One port of a service and where it is listened for.
pub(super) struct Context<'a> {
    pub(super) inputs: &'a ClaimInputs,
    pub(super) egress: &'a EgressScope,
    pub(super) scoped: &'a ScopedService,
    pub(super) port: &'a ServicePort,
    /// Destination addresses that tell services of one place apart.
    pub(super) cidrs: &'a [Text],
    pub(super) on_wildcard: bool,
    /// Whether it is for one endpoint of a headless service, which its address tells apart.
    pub(super) of_endpoint: bool,
}

impl Context<'_> {
    /// The chains in order.
    pub(super) fn chains(&self) -> Vec<Chain> {
        let host = &self.scoped.service.host;
        let services = self.egress.virtual_services.iter();
        let services: Vec<&VirtualService> = services
            .filter(|service| !(service.tls.is_empty() && service.tcp.is_empty()))
            .filter(|service| service.hosts.iter().any(|one| one.overlaps(host)))
            .map(|service| &**service)
            .collect();
        if self.port.protocol.is_tls() { self.tls_chains(&services) } else { self.tcp_chains(&services) }
    }

    fn tls_chains(&self, services: &[&VirtualService]) -> Vec<Chain> {
        let routes =
            services.iter().flat_map(|service| service.tls.iter().map(move |route| (service, route)));
        let conditions = routes
            .filter(|(_, route)| leads_somewhere(&route.routes))
            .flat_map(|(service, route)| route.matches.iter().map(move |one| (service, route, one)))
            .filter(|(.., one)| self.is_for_us(&Condition::of_tls(one)));
        let mut chains = Vec::new();
        let mut seen = BTreeSet::new();
        let mut cidrs = self.cidrs;
        for (service, route, one) in conditions {
            if !one.destination_subnets.is_empty() && !self.is_socket() {
                // What a condition says of addresses holds for those after it too, as istiod has it.
                cidrs = &one.destination_subnets;
            }
            if seen.insert((&one.sni_hosts, &one.destination_subnets)) {
                let chain =
                    Chain { rule: Some(object(service)), ..Chain::of(self.to(&route.routes, service)) };
                chains.push(chain.matching(&one.sni_hosts, cidrs));
            }
        }
        if chains.is_empty() {
            chains.push(self.default_chain(&self.default_names()));
        }
        chains
    }

    /// Without a rule the server name tells services apart only where the address does not.
    fn default_names(&self) -> Vec<Text> {
        let service = &self.scoped.service;
        let address = self.inputs.address(service);
        let by_name = service.resolution == Resolution::DynamicDns && service.host.is_wildcard();
        let no_address = address.is_empty() || address.contains('/');
        let anywhere = self.on_wildcard && address == self.inputs.wildcard();
        if self.of_endpoint || !(by_name || no_address || anywhere || !self.cidrs.is_empty()) {
            return Vec::new();
        }
        let mut names = vec![service.host.text().clone()];
        for alias in self.scoped.aliases.iter() {
            names.push(alias.text().clone());
            names.extend(alternates(
                alias,
                &self.inputs.client.dns_domain,
                self.inputs.settings.absolute_fqdn_domain,
            ));
        }
        names
    }

    /// Rules by address come first; the first one for all addresses ends the list.
    fn tcp_chains(&self, services: &[&VirtualService]) -> Vec<Chain> {
        let routes =
            services.iter().flat_map(|service| service.tcp.iter().map(move |route| (service, route)));
        let mut chains = Vec::new();
        for (service, route) in routes.filter(|(_, route)| leads_somewhere(&route.routes)) {
            match self.reach(route) {
                Reach::Nothing => {}
                Reach::Everything => {
                    let chain =
                        Chain { rule: Some(object(service)), ..Chain::of(self.to(&route.routes, service)) };
                    chains.push(chain.matching(&[], self.cidrs));
                    return chains;
                }
                // These do not say what they are of, as in istiod.
                Reach::Subnets(subnets) => {
                    chains.push(Chain::of(self.to(&route.routes, service)).matching(&[], &subnets));
                }
            }
        }
        let default = self.default_chain(&[]);
        if !chains.iter().any(|chain| chain.cidrs == default.cidrs) {
            chains.push(default);
        }
        chains
    }

    /// What a rule is for here.
    fn reach(&self, route: &TcpRoute) -> Reach {
        let matched = || route.matches.iter().filter(|one| self.is_for_us(&Condition::of_tcp(one)));
        let everything = |one: &L4Match| one.destination_subnets.is_empty() || self.is_socket();
        if route.matches.is_empty() || matched().any(everything) {
            return Reach::Everything;
        }
        let subnets: Vec<Text> = matched().flat_map(|one| one.destination_subnets.iter().cloned()).collect();
        if subnets.is_empty() { Reach::Nothing } else { Reach::Subnets(subnets) }
    }

    /// Whether it is listened for at a Unix socket, where no address was called.
    fn is_socket(&self) -> bool {
        self.port.number == 0
    }

    fn is_for_us(&self, condition: &Condition<'_>) -> bool {
        let mesh = condition.gateways.is_empty() || condition.gateways.iter().any(|one| &**one == MESH);
        mesh && condition.source_labels.selects(&self.inputs.client.labels)
            && (condition.port == 0 || condition.port == self.port.number)
            && (condition.source_namespace.is_empty()
                || *condition.source_namespace == self.inputs.client.namespace)
    }

    /// To the service's own cluster: at its only port, whatever port is listened on.
    fn default_chain(&self, snis: &[Text]) -> Chain {
        let service = &self.scoped.service;
        let number = self.scoped.only_port().unwrap_or(self.port.number);
        let cluster: Text = names::outbound(number, "", &service.host).into();
        let rule = self.inputs.scope.rule(&service.host).map(|rule| &rule.rule);
        let (mode, settings) = (self.inputs.client.ip_mode, &self.inputs.settings);
        let cache = dynamic_cache(service, self.port.protocol, mode, settings);
        let options = TcpOptions {
            sni_forward_proxy: cache.map(|cache| (cache, self.port.number)),
            ..options(rule, "")
        };
        let pattern = &self.inputs.mesh.outbound_cluster_stat_name;
        // The port's name is not part of the statistics' names here, as in istiod.
        let unnamed = || ServicePort { name: Text::default(), number, ..self.port.clone() };
        let named = if pattern.is_empty() { None } else { stat_name(pattern, service, &unnamed(), "") };
        let stat_prefix = named.unwrap_or_else(|| cluster.clone());
        Chain::of(self.proxy(stat_prefix, TcpTarget::Cluster(cluster), options)).matching(snis, self.cidrs)
    }

    /// To the destinations of a rule. The first one's DestinationRule counts for all; its subset only where
    /// it is the only one.
    fn to(&self, routes: &[RouteDestination], service: &VirtualService) -> Terminal {
        let rule = routes.first().and_then(|first| self.inputs.scope.rule(&first.destination.host));
        let rule = rule.map(|rule| &rule.rule);
        if let [only] = routes {
            let cluster = self.cluster(only);
            let options = options(rule, &only.destination.subset);
            return self.proxy(self.stat_prefix(only, &cluster), TcpTarget::Cluster(cluster), options);
        }
        let weighted = routes.iter().filter(|route| route.weight > 0);
        let clusters = weighted.map(|route| (self.cluster(route), route.weight)).collect();
        let key = &service.meta.key;
        let stat_prefix = format!("{}.{}", key.name, key.namespace).into();
        self.proxy(stat_prefix, TcpTarget::Weighted(clusters), options(rule, ""))
    }

    fn proxy(&self, stat_prefix: Text, target: TcpTarget, options: TcpOptions) -> Terminal {
        Terminal::Tcp { stat_prefix, target, protocol: self.port.protocol, options: Box::new(options) }
    }

    fn stat_prefix(&self, route: &RouteDestination, cluster: &Text) -> Text {
        let destination = &route.destination;
        let pattern = &self.inputs.mesh.outbound_cluster_stat_name;
        let scoped = self.inputs.scope.service(&destination.host);
        let named =
            scoped.and_then(|scoped| stat_name(pattern, &scoped.service, self.port, &destination.subset));
        named.unwrap_or_else(|| cluster.clone())
    }

    fn cluster(&self, route: &RouteDestination) -> Text {
        let destination = &route.destination;
        let scoped = self.inputs.scope.service(&destination.host);
        let only = scoped.and_then(ScopedService::only_port);
        let port = destination.port.or(only).unwrap_or(self.port.number);
        let alias = scoped.and_then(|scoped| scoped.service.external_name.as_ref());
        names::outbound(port, &destination.subset, alias.unwrap_or(&destination.host)).into()
    }
}

/// Which connections a TCP rule is for.
enum Reach {
    Nothing,
    Everything,
    Subnets(Vec<Text>),
}

/// Whether some destination gets traffic; a rule without any is passed over.
fn leads_somewhere(routes: &[RouteDestination]) -> bool {
    routes.len() == 1 || routes.iter().any(|route| route.weight > 0)
}

fn object(service: &VirtualService) -> (Text, Text) {
    (service.meta.key.namespace.clone(), service.meta.key.name.clone())
}

/// What TLS and TCP conditions have in common.
struct Condition<'a> {
    gateways: &'a [Text],
    source_labels: &'a Labels,
    source_namespace: &'a Text,
    port: u16,
}

impl<'a> Condition<'a> {
    fn of_tls(one: &'a TlsMatch) -> Self {
        Self {
            gateways: &one.gateways,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            port: one.port,
        }
    }

    fn of_tcp(one: &'a L4Match) -> Self {
        Self {
            gateways: &one.gateways,
            source_labels: &one.source_labels,
            source_namespace: &one.source_namespace,
            port: one.port,
        }
    }
}

/// What a rule says about connections to its host, or to a subset of it.
///
/// A subset's balancer replaces the host's. A tunnel is never taken over from the host: its subsets ask for
/// their own.
pub(crate) fn options(rule: Option<&DestinationRule>, subset: &str) -> TcpOptions {
    let Some(rule) = rule else { return TcpOptions::default() };
    let policy = rule.policy.as_deref();
    let found = rule.subsets.iter().find(|one| *one.name == *subset);
    let of_subset = found.and_then(|one| one.policy.as_deref());
    let tcp = policy.and_then(|policy| policy.connection_pool.as_ref()).and_then(|pool| pool.tcp.as_ref());
    let balancer = |policy: Option<&'_ TrafficPolicy>| {
        let balancer = policy?.load_balancer.as_ref()?;
        let hash = balancer.consistent_hash.as_ref();
        Some(hash.is_some_and(|hash| hash.key == Some(HashKey::SourceIp)))
    };
    let tunnel = if subset.is_empty() { policy } else { of_subset };
    let tunnel = tunnel.and_then(|policy| policy.tunnel.as_ref());
    TcpOptions {
        idle_timeout: tcp.and_then(|tcp| tcp.idle_timeout),
        max_duration: tcp.and_then(|tcp| tcp.max_connection_duration),
        hash_source_ip: balancer(of_subset).or_else(|| balancer(policy)).unwrap_or_default(),
        tunnel: tunnel.map(|tunnel| (authority(&tunnel.target_host, tunnel.target_port), tunnel.use_post)),
        ..TcpOptions::default()
    }
}

/// `host:port`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> Text {
    if host.contains(':') { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() }
}
