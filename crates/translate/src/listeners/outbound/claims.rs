//! Who listens where: services in the order of their scope claim address and port, and conflicts are decided
//! before anything is built.

use std::collections::BTreeMap;
use std::net::IpAddr;

use memo::Shared;
use mesh::{EgressScope, EndpointFacts, Scope, ScopedService};
use model::mesh_config::MeshConfig;
use model::networking::{CaptureMode, EgressListener};
use model::proxy::{Interception, IpMode};
use model::service::UNSPECIFIED;
use model::settings::Settings;
use model::{Labels, Protocol, Registry, Resolution, ServicePort, Text};

use super::super::Inputs;
use super::super::network_filters::TcpOptions;
use super::super::{TcpTarget, network_filters};
use super::tcp;
use crate::addresses::AddressView;
use crate::clusters::dynamic_cache;
use crate::wire::DnsCache;

/// Everything that claims may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClaimInputs {
    pub(super) scope: Shared<Scope>,
    pub(super) facts: Shared<EndpointFacts>,
    pub(super) client: Client,
    pub(super) mesh: Shared<MeshConfig>,
    pub(super) settings: Shared<Settings>,
}

/// What of the proxy decides about claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) namespace: Text,
    /// Labels that conditions of visible routes mention.
    pub(super) labels: Labels,
    pub(super) dns_domain: Text,
    pub(super) addresses: AddressView,
    pub(super) ip_mode: IpMode,
    interception: Interception,
    unprivileged: bool,
    reserved: Vec<u16>,
    http_proxy: u16,
}

impl ClaimInputs {
    pub(super) fn of(inputs: &Inputs) -> Self {
        let (profile, mesh, settings) = (&inputs.profile, &inputs.mesh, &inputs.settings);
        let mut reserved = profile.reserved_ports.clone();
        reserved.extend([mesh.proxy_listen_port, mesh.proxy_inbound_listen_port]);
        let http_proxy =
            if profile.http_proxy_port == 0 { mesh.proxy_http_port } else { profile.http_proxy_port };
        let view = AddressView::new(&profile.cluster, profile.ip_mode, profile.auto_addresses, settings);
        let client = Client {
            namespace: profile.namespace.clone(),
            labels: tcp::narrowed(&profile.labels, &inputs.scope),
            dns_domain: profile.dns_domain.clone(),
            addresses: view,
            ip_mode: profile.ip_mode,
            interception: profile.interception,
            unprivileged: profile.unprivileged,
            reserved,
            http_proxy,
        };
        Self {
            scope: inputs.scope.clone(),
            facts: inputs.facts.clone(),
            client,
            mesh: mesh.clone(),
            settings: settings.clone(),
        }
    }
}

/// An address and port with what listens there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claimed {
    pub(super) name: Text,
    /// Addresses to bind, the first one names the listener; a path for a Unix socket.
    pub(super) binds: Vec<Text>,
    pub(super) port: u16,
    /// Whether the port is bound for itself; else captured traffic is handed on.
    pub(super) real: bool,
    pub(super) chains: Vec<Chain>,
    /// The endpoint that a listener of a headless service is for.
    pub(super) endpoint: Option<Text>,
    kind: Kind,
    protocol: Protocol,
    locked: bool,
}

/// A filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    /// Matches HTTP by its first bytes.
    pub(super) http: bool,
    /// Server names, sorted; none for all.
    pub(super) snis: Vec<Text>,
    /// Destination addresses in CIDR form, sorted; none for all.
    pub(super) cidrs: Vec<Text>,
    /// Namespace and name of the VirtualService that it is of.
    pub(super) rule: Option<(Text, Text)>,
    pub(super) terminal: Terminal,
}

/// What a chain ends with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Terminal {
    /// A connection manager that asks for these routes.
    Http { route: Text, protocol: Protocol, absolute_url: bool, forward_proxies: Vec<DnsCache> },
    /// A TCP proxy.
    Tcp { stat_prefix: Text, target: TcpTarget, protocol: Protocol, options: Box<TcpOptions> },
}

impl Chain {
    /// Whether every connection is for this chain.
    pub(super) fn matches_all(&self) -> bool {
        !self.http && self.snis.is_empty() && self.cidrs.is_empty()
    }

    fn same_match(&self, other: &Self) -> bool {
        let ranges = self.cidrs.iter().map(|cidr| masked(cidr));
        let same_ranges = ranges.eq(other.cidrs.iter().map(|cidr| masked(cidr)));
        self.http == other.http && self.snis == other.snis && same_ranges
    }
}

/// A range as bits and length, bits beyond the length cut off; text that is no range stands for itself.
fn masked(cidr: &str) -> (u128, u32, Option<&str>) {
    let (address, length) =
        cidr.split_once('/').map_or((cidr, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return (0, 0, Some(cidr)) };
    let (bits, width) = match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let length = length.and_then(|length| length.parse::<u32>().ok()).unwrap_or(width).min(width);
    let kept = bits.checked_shr(width - length).unwrap_or_default();
    (kept, length + width, None)
}

/// What a port speaks, as far as listeners differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Http,
    Tcp,
    Auto,
}

impl Kind {
    fn of(protocol: Protocol) -> Self {
        match protocol {
            _ if protocol.is_http() => Self::Http,
            Protocol::Auto => Self::Auto,
            _ => Self::Tcp,
        }
    }
}

/// Decides every claim of a scope.
pub(super) fn decide(inputs: &ClaimInputs) -> Vec<Claimed> {
    let mut claims = Claims { inputs, by_key: BTreeMap::new() };
    for egress in &inputs.scope.egress {
        claims.egress(egress);
    }
    claims.http_proxy();
    claims.by_key.into_values().collect()
}

struct Claims<'a> {
    inputs: &'a ClaimInputs,
    by_key: BTreeMap<(Text, u16), Claimed>,
}

/// One egress listener, as far as its claims share it.
#[derive(Clone, Copy)]
struct Frame<'a> {
    egress: &'a EgressScope,
    /// The address that the listener is bound to, empty if services decide.
    bind: &'a str,
    real: bool,
}

/// One port of a service that wants to be listened for.
#[derive(Clone, Copy)]
struct Claim<'a> {
    scoped: &'a ScopedService,
    port: &'a ServicePort,
    frame: Frame<'a>,
}

impl<'a> Claims<'a> {
    fn egress(&mut self, egress: &'a EgressScope) {
        let listener = egress.listener.as_ref();
        let written = listener.map_or("", |listener| &listener.bind);
        let real = self.is_real(listener, written);
        let local = self.inputs.client.ip_mode.localhost();
        let bind = if written.is_empty() && real { local } else { written };
        let frame = Frame { egress, bind, real };
        match listener.and_then(|listener| listener.port.as_ref()) {
            Some(port) => {
                let target = model::service::TargetPort::Number(port.number);
                let port = ServicePort {
                    name: port.name.clone(),
                    number: port.number,
                    protocol: port.protocol,
                    target,
                };
                for scoped in &egress.services {
                    self.claim(Claim { scoped, port: &port, frame });
                }
            }
            None => {
                self.by_key.values_mut().for_each(|claimed| claimed.locked = true);
                for scoped in &egress.services {
                    for port in scoped.ports() {
                        self.claim_service(Claim { scoped, port, frame });
                    }
                }
            }
        }
    }

    fn is_real(&self, listener: Option<&EgressListener>, bind: &str) -> bool {
        self.inputs.client.interception == Interception::None
            || listener.is_some_and(|listener| listener.capture_mode == CaptureMode::None)
            || bind.starts_with("unix://")
    }

    /// A port of a service in a listener for all ports; headless services are listened for at each endpoint.
    fn claim_service(&mut self, claim: Claim<'_>) {
        let service = &claim.scoped.service;
        let address = self.inputs.client.addresses.first(service);
        let headless = claim.frame.bind.is_empty()
            && service.resolution == Resolution::Passthrough
            && address == UNSPECIFIED
            && Kind::of(claim.port.protocol) != Kind::Http;
        if !headless {
            return self.claim(claim);
        }
        let found = self.inputs.facts.embedded(&service.host, &service.namespace);
        let of_port = found.iter().flat_map(|found| &found.endpoints);
        let endpoints: Vec<_> = of_port.filter(|endpoint| endpoint.port_name == claim.port.name).collect();
        if endpoints.is_empty() && service.registry != Registry::Kubernetes && service.selector.is_none() {
            return self.claim(claim);
        }
        for endpoint in endpoints {
            let addressed = endpoint.addresses.iter().all(|address| address.parse::<IpAddr>().is_ok());
            if addressed && !endpoint.addresses.is_empty() {
                let endpoint_address = endpoint.addresses.first().cloned();
                self.put(claim, endpoint.addresses.clone(), None, endpoint_address);
            }
        }
    }

    fn claim(&mut self, claim: Claim<'_>) {
        let bind = claim.frame.bind;
        if !bind.is_empty() {
            return self.put(claim, vec![bind.into()], None, None);
        }
        let wildcard = self.wildcards();
        if Kind::of(claim.port.protocol) == Kind::Http {
            return self.put(claim, wildcard, None, None);
        }
        let service = &claim.scoped.service;
        let all = self.inputs.client.addresses.all(service);
        match all.first() {
            None => self.put(claim, wildcard, None, None),
            Some(first) if first.contains('/') => self.put(claim, wildcard, Some((*first).clone()), None),
            Some(first) if &***first == UNSPECIFIED => self.put(claim, wildcard, None, None),
            Some(_) => {
                let binds = all.into_iter().cloned().collect();
                self.put(claim, binds, None, None);
            }
        }
    }

    fn wildcards(&self) -> Vec<Text> {
        match self.inputs.client.ip_mode {
            IpMode::V4 => vec!["0.0.0.0".into()],
            IpMode::V6 => vec!["::".into()],
            IpMode::Dual => vec!["0.0.0.0".into(), "::".into()],
        }
    }

    /// Puts a claim in against what is there.
    fn put(&mut self, claim: Claim<'_>, binds: Vec<Text>, cidr: Option<Text>, endpoint: Option<Text>) {
        let port = claim.port;
        let Some(first) = binds.first().cloned() else { return };
        let is_wildcard = &*first == "0.0.0.0" || &*first == "::";
        if claim.scoped.service.resolution == Resolution::Alias
            || port.protocol == Protocol::Udp
            || (is_wildcard && self.inputs.client.reserved.contains(&port.number))
            || (claim.frame.real && self.inputs.client.unprivileged && port.number < 1024)
        {
            return;
        }
        let key = (first.clone(), port.number);
        let kind = Kind::of(port.protocol);
        let place = Place { first: &first, is_wildcard, cidr: cidr.as_ref() };
        if let Some(existing) = self.by_key.get(&key) {
            if existing.locked || (kind == Kind::Http && existing.kind != Kind::Tcp) {
                return;
            }
            let chains = self.chains(claim, kind, place);
            if let Some(existing) = self.by_key.get_mut(&key) {
                existing.meet(kind, port.protocol, chains);
            }
            return;
        }
        let chains = self.chains(claim, kind, place);
        let stored = if kind == Kind::Http && is_wildcard { Kind::Auto } else { kind };
        let claimed = Claimed {
            name: format!("{first}_{}", port.number).into(),
            binds,
            port: port.number,
            real: claim.frame.real,
            chains,
            endpoint,
            kind: stored,
            protocol: port.protocol,
            locked: false,
        };
        self.by_key.insert(key, claimed);
    }

    fn chains(&self, claim: Claim<'_>, kind: Kind, place: Place<'_>) -> Vec<Chain> {
        let mut chains = Vec::new();
        if kind != Kind::Http {
            let context = tcp::Context {
                inputs: self.inputs,
                egress: claim.frame.egress,
                scoped: claim.scoped,
                port: claim.port,
                cidr: place.cidr,
                on_wildcard: place.is_wildcard,
            };
            chains = context.chains();
        }
        if kind != Kind::Tcp {
            chains.push(self.http_chain(claim, kind, place));
        }
        chains
    }

    fn http_chain(&self, claim: Claim<'_>, kind: Kind, place: Place<'_>) -> Chain {
        let service = &claim.scoped.service;
        let route = match kind {
            _ if place.first.starts_with("unix://") => place.first.clone(),
            Kind::Auto if !place.is_wildcard => format!("{}:{}", service.host, claim.port.number).into(),
            _ => claim.port.number.to_string().into(),
        };
        let cache =
            dynamic_cache(service, claim.port.protocol, self.inputs.client.ip_mode, &self.inputs.settings);
        Chain {
            http: kind == Kind::Auto || place.is_wildcard,
            snis: Vec::new(),
            cidrs: Vec::new(),
            rule: None,
            terminal: Terminal::Http {
                route,
                protocol: claim.port.protocol,
                absolute_url: false,
                forward_proxies: cache.into_iter().collect(),
            },
        }
    }

    /// The explicit HTTP proxy, on the loopback address.
    fn http_proxy(&mut self) {
        let port = self.inputs.client.http_proxy;
        if port == 0 {
            return;
        }
        let bind: Text = self.inputs.client.ip_mode.localhost().into();
        let chain = Chain {
            http: false,
            snis: Vec::new(),
            cidrs: Vec::new(),
            rule: None,
            terminal: Terminal::Http {
                route: "http_proxy".into(),
                protocol: Protocol::HttpProxy,
                absolute_url: true,
                forward_proxies: Vec::new(),
            },
        };
        let claimed = Claimed {
            name: format!("{bind}_{port}").into(),
            binds: vec![bind.clone()],
            port,
            real: true,
            chains: vec![chain],
            endpoint: None,
            kind: Kind::Http,
            protocol: Protocol::HttpProxy,
            locked: true,
        };
        self.by_key.insert((bind, port), claimed);
    }
}

/// Where a claim leads.
#[derive(Clone, Copy)]
struct Place<'a> {
    first: &'a Text,
    is_wildcard: bool,
    cidr: Option<&'a Text>,
}

impl Claimed {
    /// What happens when another port claims the same place (xds-semantics, conflict resolution).
    fn meet(&mut self, incoming: Kind, protocol: Protocol, chains: Vec<Chain>) {
        let own = |protocol| matches!(protocol, Protocol::Mongo | Protocol::Mysql);
        if (own(self.protocol) || own(protocol)) && self.protocol != protocol {
            return;
        }
        match (self.kind, incoming) {
            (Kind::Http, Kind::Auto) => {
                self.chains = chains;
                self.kind = Kind::Auto;
            }
            (Kind::Http | Kind::Auto, Kind::Http) => {}
            (Kind::Auto, Kind::Auto) => {
                self.merge(chains.into_iter().filter(|chain| matches!(chain.terminal, Terminal::Tcp { .. })));
            }
            (kind, incoming) => {
                self.merge(chains);
                if kind != incoming {
                    self.kind = Kind::Auto;
                }
            }
        }
    }

    fn merge(&mut self, chains: impl IntoIterator<Item = Chain>) {
        for chain in chains {
            if !self.chains.iter().any(|known| known.same_match(&chain)) {
                self.chains.push(chain);
            }
        }
    }
}

/// A TCP terminal.
pub(super) fn tcp_terminal(
    stat_prefix: Text,
    target: TcpTarget,
    protocol: Protocol,
    options: network_filters::TcpOptions,
) -> Terminal {
    Terminal::Tcp { stat_prefix, target, protocol, options: Box::new(options) }
}
