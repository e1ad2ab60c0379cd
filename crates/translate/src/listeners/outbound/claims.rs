//! Who listens where: services in the order of their scope claim address and port, and conflicts are decided
//! before anything is built.

use std::collections::BTreeMap;
use std::net::IpAddr;

use memo::{Memo, Shared};
use mesh::{EgressScope, EndpointFacts, Scope, ScopedService};
use model::mesh_config::MeshConfig;
use model::networking::{CaptureMode, EgressListener, OutboundMode};
use model::proxy::{Interception, IpMode};
use model::service::UNSPECIFIED;
use model::settings::Settings;
use model::{Labels, Protocol, Registry, Resolution, Service, ServicePort, Text};

use super::super::Inputs;
use super::chain::{Chain, Terminal};
use super::conflicts::{Claimed, Kind, Open};
use super::tcp::{self, Asked};
use crate::addresses::AddressView;
use crate::clusters::{dynamic_cache, dynamic_cache_of_any};
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
    /// Its namespace, if a condition of a visible route asks for one; else empty.
    pub(super) namespace: Text,
    /// Labels that conditions of visible routes mention.
    pub(super) labels: Labels,
    /// Its DNS domain, if some service has other names; else empty.
    pub(super) dns_domain: Text,
    pub(super) addresses: AddressView,
    pub(super) ip_mode: IpMode,
    interception: Interception,
    unprivileged: bool,
    reserved: Vec<u16>,
    http_proxy: u16,
    dns_capture: bool,
}

impl ClaimInputs {
    pub(super) fn of(inputs: &Inputs, asked: &Memo<Shared<Scope>, Asked>) -> Self {
        let (profile, mesh, settings) = (&inputs.profile, &inputs.mesh, &inputs.settings);
        let asked = asked.get(&inputs.scope, |scope| Asked::new(scope));
        let mut reserved = profile.reserved_ports.clone();
        reserved.extend([mesh.proxy_listen_port, mesh.proxy_inbound_listen_port]);
        let http_proxy =
            if profile.http_proxy_port == 0 { mesh.proxy_http_port } else { profile.http_proxy_port };
        let view = AddressView::new(&profile.cluster, profile.ip_mode, profile.auto_addresses, settings);
        let client = Client {
            namespace: if asked.namespace { profile.namespace.clone() } else { Text::default() },
            labels: profile.source_labels.clone(),
            dns_domain: if asked.domain { profile.dns_domain.clone() } else { Text::default() },
            addresses: view,
            ip_mode: profile.ip_mode,
            interception: profile.interception,
            unprivileged: profile.unprivileged,
            reserved,
            http_proxy,
            dns_capture: profile.dns_capture,
        };
        Self {
            scope: inputs.scope.clone(),
            facts: inputs.facts.clone(),
            client,
            mesh: mesh.clone(),
            settings: settings.clone(),
        }
    }

    /// The wildcard address that a listener of this proxy is called after.
    pub(super) fn wildcard(&self) -> &'static str {
        self.client.ip_mode.wildcard()
    }

    /// The address by which the proxy calls a service; the wildcard of its family for a service of a
    /// ServiceEntry without one.
    pub(super) fn address<'a>(&self, service: &'a Service) -> &'a str {
        let address = self.client.addresses.first(service);
        let external = service.registry == Registry::External;
        if external && address == UNSPECIFIED { self.wildcard() } else { address }
    }
}

/// Decides every claim of a scope.
pub(super) fn decide(inputs: &ClaimInputs) -> Vec<Claimed> {
    let resolves = inputs.scope.outbound.mode == OutboundMode::AllowAnyDynamicDns;
    let (client, settings) = (&inputs.client, &inputs.settings);
    let any_name = resolves.then(|| dynamic_cache_of_any(client.ip_mode, client.dns_capture, settings));
    let mut claims = Claims { inputs, any_name, by_key: BTreeMap::new() };
    for egress in &inputs.scope.egress {
        claims.egress(egress);
    }
    claims.http_proxy();
    claims.by_key.into_values().map(|open| open.claimed).collect()
}

struct Claims<'a> {
    inputs: &'a ClaimInputs,
    /// The cache of names that no service has, where those are resolved.
    any_name: Option<DnsCache>,
    by_key: BTreeMap<(Text, u16), Open>,
}

/// One egress listener, as far as its claims share it.
#[derive(Clone, Copy)]
struct Frame<'a> {
    egress: &'a EgressScope,
    /// The addresses that the listener is bound to; none if services decide.
    binds: &'a [Text],
    real: bool,
}

/// One port of a service that wants to be listened for.
#[derive(Clone, Copy)]
struct Claim<'a> {
    scoped: &'a ScopedService,
    port: &'a ServicePort,
    frame: Frame<'a>,
}

/// Where a claim leads.
#[derive(Default)]
struct Place {
    binds: Vec<Text>,
    /// Destination addresses that tell claims of one place apart.
    cidrs: Vec<Text>,
    /// The endpoint of a headless service that it is for.
    endpoint: Option<Text>,
}

impl Place {
    fn at(binds: Vec<Text>) -> Self {
        Self { binds, ..Self::default() }
    }
}

impl<'a> Claims<'a> {
    fn egress(&mut self, egress: &'a EgressScope) {
        let listener = egress.listener.as_ref();
        let written = listener.map_or("", |listener| &listener.bind);
        let real = self.is_real(listener, written);
        let binds = match written {
            "" if real => each_family(self.inputs.client.ip_mode, ["127.0.0.1", "::1"]),
            "" => Vec::new(),
            written => vec![written.into()],
        };
        let frame = Frame { egress, binds: &binds, real };
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
                self.by_key.values_mut().for_each(|open| open.claimed.locked = true);
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
        let kind = Kind::of(claim.port.protocol);
        let headless = claim.frame.binds.is_empty()
            && service.resolution == Resolution::Passthrough
            && self.inputs.client.addresses.first(service) == UNSPECIFIED
            && kind != Kind::Http
            && claim.port.protocol != Protocol::Udp;
        if !headless {
            return self.claim(claim);
        }
        let found = self.inputs.facts.embedded(&service.host, &service.namespace);
        let of_port = found.iter().flat_map(|found| &found.endpoints);
        let mut endpoints = of_port.filter(|endpoint| endpoint.port_name == claim.port.name).peekable();
        if endpoints.peek().is_none()
            && service.registry != Registry::Kubernetes
            && service.selector.is_none()
        {
            return self.claim(claim);
        }
        let by_range = self.inputs.settings.headless_filter_chain_listener && kind == Kind::Tcp;
        for endpoint in endpoints {
            let addresses = endpoint.addresses.clone();
            if addresses.iter().all(|address| address.parse::<IpAddr>().is_ok()) {
                let endpoint = addresses.first().cloned();
                let (binds, cidrs) =
                    if by_range { (self.wildcards(), addresses) } else { (addresses, Vec::new()) };
                self.put(claim, Place { binds, cidrs, endpoint });
            }
        }
    }

    fn claim(&mut self, claim: Claim<'_>) {
        if !self.may_bind(claim) {
            return;
        }
        let place = match claim.frame.binds {
            [] if Kind::of(claim.port.protocol) == Kind::Http => Place::at(self.wildcards()),
            [] => self.place_of(&claim.scoped.service),
            binds => Place::at(binds.to_vec()),
        };
        self.put(claim, place);
    }

    /// Whether the port is left to services: the proxy has listeners of its own at every address, and an
    /// unprivileged one cannot bind low ports.
    fn may_bind(&self, claim: Claim<'_>) -> bool {
        let (client, number) = (&self.inputs.client, claim.port.number);
        let everywhere = match claim.frame.binds.first() {
            Some(bind) => **bind == *self.inputs.wildcard(),
            None => Kind::of(claim.port.protocol) == Kind::Http,
        };
        let privileged = claim.frame.real && client.unprivileged && (1..1024).contains(&number);
        !(privileged || everywhere && client.reserved.contains(&number))
    }

    /// At the service's own addresses; at every address, told apart by range, if it has a range of them.
    fn place_of(&self, service: &Service) -> Place {
        let addresses = &self.inputs.client.addresses;
        // The first one is there also for a proxy that does not speak its family.
        let further = addresses.all(service).into_iter().skip(1).cloned();
        let all = |first: &str| std::iter::once(first.into()).chain(further).collect();
        match addresses.first(service) {
            UNSPECIFIED if service.registry == Registry::External => Place::at(self.wildcards()),
            first if first.contains('/') => {
                Place { binds: self.wildcards(), cidrs: all(first), endpoint: None }
            }
            first => Place::at(all(first)),
        }
    }

    fn wildcards(&self) -> Vec<Text> {
        each_family(self.inputs.client.ip_mode, [UNSPECIFIED, "::"])
    }

    /// Puts a claim in against what is there.
    fn put(&mut self, claim: Claim<'_>, place: Place) {
        let (port, Some(first)) = (claim.port, place.binds.first().cloned()) else { return };
        if claim.scoped.service.resolution == Resolution::Alias || port.protocol == Protocol::Udp {
            return;
        }
        let key = (first, port.number);
        if self.by_key.get(&key).is_some_and(|open| open.claimed.absorbs(port.protocol)) {
            return;
        }
        let incoming = self.claimed(claim, place, &key.0);
        match self.by_key.get_mut(&key) {
            Some(existing) => existing.meet(incoming),
            None => drop(self.by_key.insert(key, incoming.into())),
        }
    }

    fn claimed(&self, claim: Claim<'_>, place: Place, first: &Text) -> Claimed {
        let port = claim.port;
        let sniffed = **first == *self.inputs.wildcard() && port.protocol != Protocol::HttpProxy;
        let kind = match Kind::of(port.protocol) {
            Kind::Http if sniffed => Kind::Auto,
            kind => kind,
        };
        let mut chains = Vec::new();
        if Kind::of(port.protocol) != Kind::Http {
            chains = self.tcp_chains(claim, &place, first);
        }
        if kind != Kind::Tcp {
            chains.push(Chain { http: kind == Kind::Auto, ..Chain::of(self.http(claim, first)) });
        }
        Claimed {
            name: format!("{first}_{}", port.number).into(),
            binds: place.binds,
            port: port.number,
            real: claim.frame.real,
            chains,
            kind,
            protocol: port.protocol,
            locked: false,
        }
    }

    fn tcp_chains(&self, claim: Claim<'_>, place: &Place, first: &Text) -> Vec<Chain> {
        let context = tcp::Context {
            inputs: self.inputs,
            egress: claim.frame.egress,
            scoped: claim.scoped,
            port: claim.port,
            cidrs: &place.cidrs,
            on_wildcard: **first == *self.inputs.wildcard(),
            of_endpoint: place.endpoint.is_some(),
        };
        let mut chains = context.chains();
        chains.iter_mut().for_each(|chain| chain.endpoint.clone_from(&place.endpoint));
        chains
    }

    fn http(&self, claim: Claim<'_>, first: &Text) -> Terminal {
        let (service, port) = (&claim.scoped.service, claim.port);
        let own = Kind::of(port.protocol) == Kind::Auto && **first != *self.inputs.wildcard();
        let route = match port.number {
            0 => first.clone(),
            number if own => format!("{}:{number}", service.host).into(),
            number => number.to_string().into(),
        };
        let (mode, settings) = (self.inputs.client.ip_mode, &self.inputs.settings);
        let cache = dynamic_cache(service, port.protocol, mode, settings);
        Terminal::Http {
            route,
            protocol: port.protocol,
            absolute_url: false,
            forward_proxies: cache.into_iter().chain(self.any_name.clone()).collect(),
        }
    }

    /// The explicit HTTP proxy, on the loopback address.
    fn http_proxy(&mut self) {
        let port = self.inputs.client.http_proxy;
        let binds = each_family(self.inputs.client.ip_mode, ["127.0.0.1", "::1"]);
        let (true, Some(bind)) = (port != 0, binds.first().cloned()) else { return };
        let chain = Chain::of(Terminal::Http {
            route: "http_proxy".into(),
            protocol: Protocol::HttpProxy,
            absolute_url: true,
            forward_proxies: self.any_name.iter().cloned().collect(),
        });
        let claimed = Claimed {
            name: format!("{bind}_{port}").into(),
            binds,
            port,
            real: true,
            chains: vec![chain],
            kind: Kind::Http,
            protocol: Protocol::HttpProxy,
            locked: true,
        };
        self.by_key.insert((bind, port), claimed.into());
    }
}

/// Of an IPv4 and an IPv6 address those that a proxy has a use for.
fn each_family(mode: IpMode, [v4, v6]: [&str; 2]) -> Vec<Text> {
    match mode {
        IpMode::V4 => vec![v4.into()],
        IpMode::V6 => vec![v6.into()],
        IpMode::Dual => vec![v4.into(), v6.into()],
    }
}
