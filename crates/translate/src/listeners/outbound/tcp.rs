//! TCP chains of a service's port: by VirtualServices, or straight to the service's cluster.

use std::collections::BTreeSet;

use mesh::{EgressScope, MESH, Scope, ScopedService};
use model::networking::{
    DestinationRule, HashKey, L4Match, RouteDestination, TlsMatch, TrafficPolicy, VirtualService,
};
use model::service::UNSPECIFIED;
use model::{Labels, Resolution, ServicePort, Text};

use super::super::TcpTarget;
use super::super::network_filters::TcpOptions;
use super::claims::{Chain, ClaimInputs, Terminal, tcp_terminal};
use crate::clusters::{dynamic_cache, stat_name};
use crate::names;
use crate::routes::alternates;

/// Of a proxy's labels those that conditions of visible TLS and TCP routes mention.
pub(super) fn narrowed(labels: &Labels, scope: &Scope) -> Labels {
    let mut keys: BTreeSet<&Text> = BTreeSet::new();
    for service in scope.egress.iter().flat_map(|egress| &egress.virtual_services) {
        let tls = service.tls.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels);
        let tcp = service.tcp.iter().flat_map(|route| &route.matches).map(|one| &one.source_labels);
        keys.extend(tls.chain(tcp).flat_map(|labels| labels.iter().map(|(key, _)| key)));
    }
    if keys.is_empty() {
        return Labels::default();
    }
    labels
        .iter()
        .filter(|(key, _)| keys.contains(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// One port of a service and where it is listened for.
pub(super) struct Context<'a> {
    pub(super) inputs: &'a ClaimInputs,
    pub(super) egress: &'a EgressScope,
    pub(super) scoped: &'a ScopedService,
    pub(super) port: &'a ServicePort,
    pub(super) cidr: Option<&'a Text>,
    pub(super) on_wildcard: bool,
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
        let mut chains = Vec::new();
        let mut seen = BTreeSet::new();
        let mut cidrs: Vec<Text> = self.cidr.cloned().into_iter().collect();
        for service in services {
            for route in &service.tls {
                for one in route.matches.iter().filter(|one| self.is_for_us(Condition::of_tls(one))) {
                    if !seen.insert((one.sni_hosts.clone(), one.destination_subnets.clone())) {
                        continue;
                    }
                    if !one.destination_subnets.is_empty() {
                        // What a condition says of addresses holds for those after it too, as istiod has it.
                        cidrs.clone_from(&one.destination_subnets);
                    }
                    chains.extend(self.chain(&one.sni_hosts, &cidrs, &route.routes, service));
                }
            }
        }
        if chains.is_empty() {
            let cidrs: Vec<Text> = self.cidr.cloned().into_iter().collect();
            chains.push(self.default_chain(&self.default_names(), &cidrs));
        }
        chains
    }

    /// Without a rule the server name tells services apart only where the address does not.
    fn default_names(&self) -> Vec<Text> {
        let service = &self.scoped.service;
        let address = self.inputs.client.addresses.first(service);
        let by_name = service.resolution == Resolution::DynamicDns && service.host.is_wildcard();
        let no_address = address.is_empty() || (address == UNSPECIFIED && self.on_wildcard);
        if self.cidr.is_none() && !no_address && !by_name {
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

    fn tcp_chains(&self, services: &[&VirtualService]) -> Vec<Chain> {
        let own: Vec<Text> = self.cidr.cloned().into_iter().collect();
        let mut chains = Vec::new();
        for service in services {
            for route in &service.tcp {
                let matched = || route.matches.iter().filter(|one| self.is_for_us(Condition::of_tcp(one)));
                let anywhere =
                    route.matches.is_empty() || matched().any(|one| one.destination_subnets.is_empty());
                if anywhere {
                    chains.extend(self.chain(&[], &own, &route.routes, service));
                    return chains;
                }
                let mut subnets: Vec<Text> =
                    matched().flat_map(|one| one.destination_subnets.clone()).collect();
                if subnets.is_empty() {
                    continue;
                }
                chains.extend(self.chain(&[], &subnets, &route.routes, service));
                subnets.sort();
                if subnets == own {
                    return chains;
                }
            }
        }
        chains.push(self.default_chain(&[], &own));
        chains
    }

    fn is_for_us(&self, condition: Condition<'_>) -> bool {
        let mesh = condition.gateways.is_empty() || condition.gateways.iter().any(|one| &**one == MESH);
        mesh && condition.source_labels.selects(&self.inputs.client.labels)
            && (condition.port == 0 || condition.port == self.port.number)
            && (condition.source_namespace.is_empty()
                || *condition.source_namespace == self.inputs.client.namespace)
    }

    /// To the service's own cluster.
    fn default_chain(&self, snis: &[Text], cidrs: &[Text]) -> Chain {
        let service = &self.scoped.service;
        let number = match self.scoped.port_list() {
            [only] => only.number,
            _ => self.port.number,
        };
        let cluster: Text = names::outbound(number, "", &service.host).into();
        let rule = self.inputs.scope.rule(&service.host).map(|rule| &rule.rule);
        let mut options = options(rule, "");
        let (mode, settings) = (self.inputs.client.ip_mode, &self.inputs.settings);
        let cache = dynamic_cache(service, self.port.protocol, mode, settings);
        options.sni_forward_proxy = cache.map(|cache| (cache, self.port.number));
        let pattern = &self.inputs.mesh.outbound_cluster_stat_name;
        let stat_prefix = stat_name(pattern, service, self.port, "").unwrap_or_else(|| cluster.clone());
        let terminal = tcp_terminal(stat_prefix, TcpTarget::Cluster(cluster), self.port.protocol, options);
        chain(snis, cidrs, None, terminal)
    }

    /// To the destinations of a rule; `None` if it has none.
    fn chain(
        &self,
        snis: &[Text],
        cidrs: &[Text],
        routes: &[RouteDestination],
        service: &VirtualService,
    ) -> Option<Chain> {
        let first = routes.first()?;
        let destination = &first.destination;
        let rule = self.inputs.scope.rule(&destination.host).map(|rule| &rule.rule);
        let options = options(rule, &destination.subset);
        let (stat_prefix, target) = match routes {
            [_] => {
                let cluster = self.cluster(first);
                (self.stat_prefix(first, &cluster), TcpTarget::Cluster(cluster))
            }
            many => {
                let weighted = many.iter().filter(|route| route.weight > 0);
                let clusters = weighted.map(|route| (self.cluster(route), route.weight)).collect();
                let key = &service.meta.key;
                (format!("{}.{}", key.name, key.namespace).into(), TcpTarget::Weighted(clusters))
            }
        };
        let rule = (service.meta.key.namespace.clone(), service.meta.key.name.clone());
        let terminal = tcp_terminal(stat_prefix, target, self.port.protocol, options);
        Some(chain(snis, cidrs, Some(rule), terminal))
    }

    fn stat_prefix(&self, route: &RouteDestination, cluster: &Text) -> Text {
        let destination = &route.destination;
        let pattern = &self.inputs.mesh.outbound_cluster_stat_name;
        let scoped = self.inputs.scope.service(&destination.host);
        let named = scoped.and_then(|scoped| {
            let number = destination.port.unwrap_or(self.port.number);
            let port = scoped.port(number).unwrap_or(self.port);
            stat_name(pattern, &scoped.service, port, &destination.subset)
        });
        named.unwrap_or_else(|| cluster.clone())
    }

    fn cluster(&self, route: &RouteDestination) -> Text {
        let destination = &route.destination;
        let scoped = self.inputs.scope.service(&destination.host);
        let only = scoped.and_then(|scoped| match scoped.service.ports.as_slice() {
            [only] => Some(only.number),
            _ => None,
        });
        let port = destination.port.or(only).unwrap_or(self.port.number);
        let alias = scoped.and_then(|scoped| scoped.service.external_name.as_ref());
        names::outbound(port, &destination.subset, alias.unwrap_or(&destination.host)).into()
    }
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

fn chain(snis: &[Text], cidrs: &[Text], rule: Option<(Text, Text)>, terminal: Terminal) -> Chain {
    let any = snis.iter().any(|name| &**name == "*");
    let mut snis = if any { Vec::new() } else { snis.to_vec() };
    snis.sort();
    let mut cidrs: Vec<Text> = cidrs.iter().filter(|cidr| !cidr.starts_with(UNSPECIFIED)).cloned().collect();
    cidrs.sort();
    Chain { http: false, snis, cidrs, rule, terminal }
}

/// What a rule says about connections to its host, or to a subset of it.
pub(crate) fn options(rule: Option<&DestinationRule>, subset: &str) -> TcpOptions {
    let Some(rule) = rule else { return TcpOptions::default() };
    let policy = rule.policy.as_deref();
    let subset = rule.subsets.iter().find(|one| *one.name == *subset).and_then(|one| one.policy.as_deref());
    let tcp = policy.and_then(|policy| policy.connection_pool.as_ref()).and_then(|pool| pool.tcp.as_ref());
    let hash = |policy: Option<&TrafficPolicy>| {
        policy?
            .load_balancer
            .as_ref()?
            .consistent_hash
            .as_ref()
            .map(|hash| hash.key == Some(HashKey::SourceIp))
    };
    let tunnel = subset.and_then(|policy| policy.tunnel.as_ref());
    let tunnel = tunnel.or_else(|| policy.and_then(|policy| policy.tunnel.as_ref()));
    TcpOptions {
        idle_timeout: tcp.and_then(|tcp| tcp.idle_timeout),
        max_duration: tcp.and_then(|tcp| tcp.max_connection_duration),
        hash_source_ip: hash(subset).or_else(|| hash(policy)).unwrap_or_default(),
        tunnel: tunnel
            .map(|tunnel| (format!("{}:{}", tunnel.target_host, tunnel.target_port).into(), tunnel.use_post)),
        ..TcpOptions::default()
    }
}
