//! A listener of a gateway: chains of the servers that share an address and port.

use envoy_api::envoy::config::core::v3::socket_address::Protocol;
use envoy_api::envoy::config::core::v3::{self as core, TrafficDirection, TransportSocket, transport_socket};
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::envoy::config::listener::v3::ListenerFilter;
use envoy_api::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
use envoy_api::envoy::extensions::transport_sockets::quic::v3::QuicDownstreamTransport;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use envoy_api::{Any, Name, Needs, Part, Resource, field};
use mesh::{GatewayServer, MergedServer};
use model::Text;
use model::networking::ServerTls;
use model::proxy::IpMode;

use super::l4::{self, Taken};
use crate::listeners::listener_filters as filters;
use crate::listeners::{Base, Hcm, HcmOptions, Inputs, Memos, Routes, TcpProxy, connections};
use crate::tls::{self, ServerTransport};
use crate::wire::{duration, socket_address};

/// One entry of a merged gateway with what its listener is made from.
pub(super) struct Context<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) base: &'a Base,
    pub(super) entry: &'a MergedServer,
}

/// A listener as decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ListenerPlan {
    pub(super) name: Text,
    binds: Vec<Text>,
    port: u16,
    exact_balance: bool,
    per_event: u32,
    proxy_protocol: bool,
    /// Whether it takes QUIC, over UDP.
    quic: bool,
    buffer_limit: Option<u32>,
    base: Base,
    pub(super) chains: Vec<Chain>,
}

/// A filter chain as decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    /// Server names, sorted; none for all.
    pub(super) snis: Vec<Text>,
    /// Application protocols that it is for; none for all.
    pub(super) protocols: &'static [&'static str],
    /// TLS that ends here, and whether QUIC goes around it.
    pub(super) tls: Option<(Any, bool)>,
    pub(super) terminal: Terminal,
    pub(super) handshake_timeout: std::time::Duration,
}

/// What a chain ends with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Terminal {
    Http(Box<Hcm>),
    Tcp(Box<TcpProxy>),
}

impl Context<'_> {
    /// The listener without its chains.
    pub(super) fn plan(&self, quic: bool) -> ListenerPlan {
        let profile = &self.inputs.profile;
        let wildcard = profile.ip_mode.wildcard();
        let bind: Text = if self.entry.bind.is_empty() { wildcard.into() } else { self.entry.bind.clone() };
        let second =
            self.entry.bind.is_empty() && profile.ip_mode == IpMode::Dual && self.inputs.settings.dual_stack;
        let limits = connections::of(profile, &self.inputs.mesh);
        let topology = profile.config.gateway_topology.as_ref();
        ListenerPlan {
            name: format!("{}{bind}_{}", if quic { "udp_" } else { "" }, self.entry.listener_port).into(),
            binds: std::iter::once(bind).chain(second.then(|| "::".into())).collect(),
            port: self.entry.listener_port,
            exact_balance: profile.outbound_exact_balance,
            per_event: self.inputs.settings.max_connections_per_event_loop,
            proxy_protocol: !quic && topology.is_some_and(|topology| topology.proxy_protocol),
            quic,
            buffer_limit: limits.per_connection_buffer_limit_bytes,
            base: self.base.clone(),
            chains: Vec::new(),
        }
    }

    /// The chains of the entry's servers.
    pub(super) fn chains(&self, taken: &mut Taken) -> Vec<Chain> {
        let servers = &self.entry.servers;
        match servers.first() {
            Some(first) if first.server.protocol.is_http() => vec![self.http(&self.entry.route, None, first)],
            _ => servers.iter().flat_map(|server| self.chains_of(server, taken)).collect(),
        }
    }

    /// The chains of those of the entry's servers that are served by HTTP/3 too.
    pub(super) fn quic_chains(&self) -> Vec<Chain> {
        let servers = self.entry.servers.iter().filter(|server| server.quic);
        servers.filter_map(|server| Some(self.https(server.server.tls.as_ref()?, server, true))).collect()
    }

    fn chains_of(&self, server: &GatewayServer, taken: &mut Taken) -> Vec<Chain> {
        if server.is_tls() {
            return self.tls_chains(server, taken);
        }
        l4::plain(self, server).into_iter().collect()
    }

    fn tls_chains(&self, server: &GatewayServer, taken: &mut Taken) -> Vec<Chain> {
        if server.is_passthrough() {
            return l4::passthrough(self, server, taken);
        }
        let Some(tls) = &server.server.tls else { return Vec::new() };
        if server.is_http() {
            return vec![self.https(tls, server, false)];
        }
        let context = Any::pack(&self.tls(tls, ServerTransport::Tcp));
        let chain = l4::plain(self, server);
        let snis = names(&server.sni_hosts);
        chain
            .into_iter()
            .map(|chain| Chain { snis: snis.clone(), tls: Some((context.clone(), false)), ..chain })
            .collect()
    }

    fn tls(&self, tls: &ServerTls, transport: ServerTransport) -> DownstreamTlsContext {
        let (profile, mesh, settings) = (&self.inputs.profile, &self.inputs.mesh, &self.inputs.settings);
        tls::server(tls, transport, profile, mesh, settings)
    }

    fn https(&self, tls: &ServerTls, server: &GatewayServer, quic: bool) -> Chain {
        let context = match quic {
            true => Any::pack(&QuicDownstreamTransport {
                downstream_tls_context: Some(self.tls(tls, ServerTransport::Quic)),
                ..Default::default()
            }),
            false => Any::pack(&self.tls(tls, ServerTransport::Http)),
        };
        self.http(&server.route, Some((context, quic)), server)
    }

    fn http(&self, route: &Text, tls: Option<(Any, bool)>, server: &GatewayServer) -> Chain {
        let own = &server.server.name;
        let http3 = matches!(tls, Some((_, true)));
        let stat_prefix = match tls.is_some() && !own.is_empty() {
            true => own.clone(),
            false => format!("outbound_{};", self.plan(http3).name).into(),
        };
        let hcm = Hcm {
            base: self.base.http.clone(),
            stat_prefix,
            protocol: server.server.protocol,
            routes: Routes::Discovered(route.clone()),
            options: HcmOptions { http3, ..HcmOptions::default() },
        };
        let snis = if tls.is_some() { names(&server.sni_hosts) } else { Vec::new() };
        Chain { snis, tls, ..self.chain(Terminal::Http(Box::new(hcm))) }
    }

    pub(super) fn chain(&self, terminal: Terminal) -> Chain {
        Chain {
            snis: Vec::new(),
            protocols: &[],
            tls: None,
            terminal,
            handshake_timeout: self.inputs.settings.transport_socket_connect_timeout,
        }
    }
}

/// Server names of a chain; `*` is for all.
pub(super) fn names(hosts: &[Text]) -> Vec<Text> {
    if hosts.iter().any(|host| &**host == "*") {
        return Vec::new();
    }
    let mut names = hosts.to_vec();
    names.sort();
    names.dedup();
    names
}

const QUIC: &str = "envoy.transport_sockets.quic";

fn socket(bind: &str, port: u16, protocol: Protocol) -> core::Address {
    let socket = core::SocketAddress { protocol: protocol as i32, ..socket_address(bind, port) };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

impl ListenerPlan {
    pub(super) fn build(&self, memos: &Memos) -> Resource {
        let protocol = if self.quic { Protocol::Udp } else { Protocol::Tcp };
        let mut addresses = self.binds.iter().map(|bind| socket(bind, self.port, protocol));
        let message = api::Listener {
            name: self.name.to_string(),
            address: addresses.next(),
            additional_addresses: addresses
                .map(|address| api::AdditionalAddress { address: Some(address), ..Default::default() })
                .collect(),
            traffic_direction: TrafficDirection::Outbound as i32,
            max_connections_to_accept_per_socket_event: (self.per_event > 0).then_some(self.per_event),
            connection_balance_config: self.exact_balance.then(filters::exact_balance),
            per_connection_buffer_limit_bytes: self.buffer_limit,
            access_log: self.base.logs.listener.clone(),
            listener_filters: if self.quic { Vec::new() } else { self.filters() },
            udp_listener_config: self.quic.then(|| api::UdpListenerConfig {
                downstream_socket_config: Some(core::UdpSocketConfig::default()),
                quic_options: Some(api::QuicProtocolOptions::default()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let parts: Vec<Part> = self
            .chains
            .iter()
            .map(|chain| (*memos.gateways.chains.get(chain, Chain::part)).clone())
            .collect();
        let name: Name = (*self.name).into();
        Resource::with_parts(name, &message, field::FILTER_CHAINS, &parts, self.needs())
    }

    fn filters(&self) -> Vec<ListenerFilter> {
        let inspects = self.chains.iter().any(|chain| !chain.snis.is_empty() || chain.tls.is_some());
        let proxy = self.proxy_protocol.then(|| ListenerFilter {
            name: "envoy.filters.listener.proxy_protocol".into(),
            config_type: Some(api::listener_filter::ConfigType::TypedConfig(Any::pack(
                &ProxyProtocol::default(),
            ))),
            ..Default::default()
        });
        proxy.into_iter().chain(inspects.then(filters::tls_inspector)).collect()
    }

    fn needs(&self) -> Needs {
        let (mut clusters, mut routes): (Vec<Name>, Vec<Name>) = (Vec::new(), Vec::new());
        for chain in &self.chains {
            match &chain.terminal {
                Terminal::Http(hcm) => routes.extend(hcm.route_name().cloned()),
                Terminal::Tcp(proxy) => clusters.extend(proxy.target.clusters().cloned()),
            }
        }
        clusters.sort();
        clusters.dedup();
        routes.sort();
        routes.dedup();
        Needs { clusters: clusters.into(), routes: routes.into(), ..Needs::default() }
    }
}

impl Chain {
    fn part(&self) -> Part {
        let filters = match &self.terminal {
            Terminal::Http(hcm) => vec![hcm.filter()],
            Terminal::Tcp(proxy) => proxy.filters(),
        };
        let matches = !self.snis.is_empty() || !self.protocols.is_empty();
        let socket = |(context, quic): &(Any, bool)| TransportSocket {
            name: if *quic { QUIC.into() } else { tls::TRANSPORT_SOCKET.into() },
            config_type: Some(transport_socket::ConfigType::TypedConfig(context.clone())),
        };
        let chain = api::FilterChain {
            filter_chain_match: matches.then(|| api::FilterChainMatch {
                server_names: self.snis.iter().map(ToString::to_string).collect(),
                application_protocols: self.protocols.iter().map(|&word| word.to_owned()).collect(),
                ..Default::default()
            }),
            filters,
            transport_socket: self.tls.as_ref().map(socket),
            transport_socket_connect_timeout: (!self.handshake_timeout.is_zero())
                .then(|| duration(self.handshake_timeout)),
            ..Default::default()
        };
        Part::field(field::FILTER_CHAINS, &chain)
    }
}
