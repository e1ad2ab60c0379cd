//! Gateways merged into the servers of one gateway workload (xds-semantics, gateways 6.1–6.4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memo::{Shared, Table};
use model::networking::{Gateway, Server, ServerTls, ServerTlsMode};
use model::proxy::Proxy;
use model::{Created, Key, Labels, Protocol, Text};

use crate::{Config, ServiceTarget};

/// All Gateways, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayIndex {
    pub(crate) ordered: Table<(Created, Text, Text, Key), Gateway>,
}

/// What one gateway workload opens: servers merged from the Gateways that apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedGateway {
    /// One entry per (listener port, protocol, bind), in the order in which they came up.
    pub servers: Vec<MergedServer>,
    /// Route name → indexes into the servers that share it, in merge order: (entry, server).
    pub routes: BTreeMap<Text, Vec<(usize, usize)>>,
    /// Union of server hosts of AUTO_PASSTHROUGH servers, sorted, namespace taken off.
    pub auto_passthrough: Vec<Text>,
}

/// Servers that share a listener entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedServer {
    /// The port that is bound.
    pub listener_port: u16,
    /// The protocol word as written.
    pub protocol: Text,
    /// The address to bind, may be empty.
    pub bind: Text,
    /// Route name of plaintext HTTP servers, empty otherwise.
    pub route: Text,
    /// Servers in order with what is known of each.
    pub servers: Vec<GatewayServer>,
}

/// A server and the Gateway it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayServer {
    /// The server; hosts normalised (`ns/host` or `host`).
    pub server: Arc<Server>,
    /// `<namespace>/<name>` of its Gateway, as VirtualServices name it.
    pub gateway: Text,
    /// Its Gateway.
    pub object: Shared<Gateway>,
    /// Its own route name, empty if it has none.
    pub route: Text,
    /// The port that is bound for it.
    pub listener_port: u16,
    /// Server names without namespaces, sorted.
    pub sni_hosts: Vec<Text>,
    /// Whether it is served by HTTP/3 too: where that is switched on, for HTTPS that ends here, if a UDP
    /// port of the workload's services has its number.
    pub quic: bool,
}

impl GatewayIndex {
    /// The index of `now`.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        for key in now.gateways.changed(&was.gateways) {
            if let Some(old) = was.gateways.get(&key) {
                next.ordered.remove(&order(old));
            }
            if let Some(new) = now.gateways.get(&key) {
                next.ordered.share(order(new), new.clone());
            }
        }
        next
    }

    /// The servers of a gateway workload with these labels; `None` if no Gateway applies to it.
    pub fn merged(
        &self,
        proxy: &Proxy,
        labels: &Labels,
        targets: &[ServiceTarget],
        config: &Config,
    ) -> Option<MergedGateway> {
        let own_only = config.settings.scope_gateway_to_namespace;
        let applies = |gateway: &&Shared<Gateway>| {
            gateway.selector.selects(labels) && (!own_only || gateway.meta.key.namespace == proxy.namespace)
        };
        let mut merge = Merge::default();
        let mut any = false;
        for gateway in self.ordered.values() {
            let ports = match named_services(gateway, targets) {
                Some(named) if named.is_empty() => continue,
                Some(named) => Ports::Direct(named),
                None if applies(&gateway) => Ports::Legacy(targets),
                None => continue,
            };
            any = true;
            for server in &gateway.servers {
                let quic = config.settings.quic_listeners && ports.has_udp(server.number);
                for port in ports.of(server.number) {
                    merge.server((gateway, server), port, quic);
                }
            }
        }
        any.then(|| merge.finish())
    }
}

/// The workload's targets among the services that a Gateway names by annotation; `None` if it names none.
fn named_services<'a>(gateway: &Gateway, targets: &'a [ServiceTarget]) -> Option<Vec<&'a ServiceTarget>> {
    let annotations = &gateway.meta.annotations;
    let names = annotations.get("internal.istio.io/gateway-service")?;
    let own = &*gateway.meta.key.namespace;
    let namespace = annotations.get("internal.istio.io/parent-namespace").unwrap_or(own);
    let named = |target: &&ServiceTarget| {
        let host = target.service.host.as_str();
        names.split(',').any(|name| name == host) && &*target.service.namespace == namespace
    };
    Some(targets.iter().filter(named).collect())
}

/// How a server's port becomes that of the workload.
enum Ports<'a> {
    /// The first service that has the port tells; the port itself if none has.
    Legacy(&'a [ServiceTarget]),
    /// Every port of the workload behind it; none if there is none.
    Direct(Vec<&'a ServiceTarget>),
}

impl Ports<'_> {
    fn has_udp(&self, number: u16) -> bool {
        let is_udp = |target: &ServiceTarget| {
            target.service.ports.iter().any(|port| port.number == number && port.protocol == Protocol::Udp)
        };
        match self {
            Self::Legacy(targets) => targets.iter().any(is_udp),
            Self::Direct(targets) => targets.iter().any(|target| is_udp(target)),
        }
    }

    fn of(&self, number: u16) -> Vec<u16> {
        match self {
            Self::Legacy(targets) => {
                let translated = |target: &&ServiceTarget| {
                    let labels = &target.service.labels;
                    target.port.number == number
                        && labels.get("experimental.istio.io/disable-gateway-port-translation").is_none()
                };
                vec![targets.iter().find(translated).map_or(number, |target| target.target_port)]
            }
            Self::Direct(targets) => {
                let of_port = targets.iter().filter(|target| target.port.number == number);
                of_port.map(|target| target.target_port).collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }
}

fn order(gateway: &Gateway) -> (Created, Text, Text, Key) {
    let key = &gateway.meta.key;
    (gateway.meta.created, key.name.clone(), key.namespace.clone(), key.clone())
}

/// Whether connections are handed on with their TLS.
pub(crate) fn is_passthrough(tls: Option<&ServerTls>) -> bool {
    tls.is_some_and(|tls| matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough))
}

impl GatewayServer {
    /// Whether connections begin with TLS: those of an HTTP server that only redirects to HTTPS do not.
    pub fn is_tls(&self) -> bool {
        is_tls(&self.server)
    }

    /// Whether connections are handed on with their TLS.
    pub fn is_passthrough(&self) -> bool {
        is_passthrough(self.server.tls.as_ref())
    }

    /// Whether its requests are routed one by one.
    pub fn is_http(&self) -> bool {
        is_http(&self.server)
    }
}

fn is_tls(server: &Server) -> bool {
    server.tls.is_some() && !server.protocol.is_http()
}

fn is_http(server: &Server) -> bool {
    server.protocol.is_http() || (server.protocol == Protocol::Https && !is_passthrough(server.tls.as_ref()))
}

/// What is known of one listener port.
#[derive(Default)]
struct PortState {
    /// Whether a server was there before.
    seen: bool,
    /// The entry of the first server, if that is without TLS.
    plain: Option<usize>,
    /// Addresses bound by servers that came after a first one with TLS.
    later_binds: BTreeSet<Text>,
    /// Hosts of servers with TLS, by the address that they bind.
    tls_hosts: BTreeMap<Text, BTreeSet<Text>>,
}

/// Servers on their way into a merged gateway, in the order of Gateways by age.
#[derive(Default)]
struct Merge {
    merged: MergedGateway,
    seen: BTreeMap<u16, PortState>,
    /// Why the server that was taken last is left out.
    lost: Option<Lost>,
}

/// Why a server is left out, and the Gateway that it lost to, if that is known.
struct Lost {
    why: String,
    to: Option<Shared<Gateway>>,
}

/// A server that is left out.
pub(crate) struct Dropped<'a> {
    pub(crate) gateway: &'a Shared<Gateway>,
    /// Which of its servers.
    pub(crate) server: usize,
    pub(crate) winner: Option<Shared<Gateway>>,
    pub(crate) why: String,
}

/// The servers that are left out where these Gateways, oldest first, apply together.
pub(crate) fn dropped<'a>(gateways: &[&'a Shared<Gateway>]) -> Vec<Dropped<'a>> {
    let mut merge = Merge::default();
    let mut dropped = Vec::new();
    for gateway in gateways {
        for (at, server) in gateway.servers.iter().enumerate() {
            merge.server((gateway, server), server.number, false);
            if let Some(Lost { why, to }) = merge.lost.take() {
                dropped.push(Dropped { gateway, server: at, winner: to, why });
            }
        }
    }
    dropped
}

impl Merge {
    fn server(&mut self, (object, server): (&Shared<Gateway>, &Server), port: u16, quic: bool) {
        let namespace = &object.meta.key.namespace;
        let hosts = normalised(&server.hosts, namespace);
        let route = route_name(server, port, object);
        let sni_hosts = sni_hosts(&hosts);
        let state = self.seen.entry(port).or_default();
        if server.tls.is_some() {
            let known = state.tls_hosts.entry(server.bind.clone()).or_default();
            if let Some(host) = hosts.iter().find(|host| known.contains(*host)) {
                let why = format!("{host} has a server with TLS on port {port} already");
                self.lost = Some(Lost { why, to: self.holder(port, host) });
                return;
            }
            known.extend(hosts.iter().cloned());
        }
        let ends_tls = server.tls.is_some() && !is_passthrough(server.tls.as_ref());
        let server = GatewayServer {
            quic: quic && ends_tls && server.protocol == Protocol::Https,
            server: Arc::new(Server { hosts, ..server.clone() }),
            gateway: format!("{namespace}/{}", object.meta.key.name).into(),
            object: object.clone(),
            route,
            listener_port: port,
            sni_hosts,
        };
        self.place(port, server);
    }

    /// Puts a server into an entry of its port, or leaves it out where it cannot be told from others.
    fn place(&mut self, port: u16, server: GatewayServer) {
        let state = self.seen.entry(port).or_default();
        if !state.seen {
            state.seen = true;
            state.plain = (!server.is_tls()).then_some(self.merged.servers.len());
            self.merged.routes.remove(&server.route);
            return self.push(None, port, server);
        }
        match state.plain {
            Some(plain) => self.beside_plain(plain, port, server),
            None => self.beside_tls(port, server),
        }
    }

    /// The first server of the port is without TLS: HTTP joins it, other addresses stand for themselves,
    /// in that the first server without TLS at an address is joined in the same way.
    fn beside_plain(&mut self, at: usize, port: u16, server: GatewayServer) {
        let Some(plain) = self.merged.servers.get(at) else { return };
        if plain.bind != server.server.bind {
            return match self.plain_at(port, &server.server.bind) {
                Some(at) => self.beside_plain(at, port, server),
                None => self.push(self.entry(port, &server), port, server),
            };
        }
        let is_http = |server: &GatewayServer| server.server.protocol.is_http();
        if is_http(&server) && plain.servers.first().is_some_and(is_http) {
            return self.push(Some(at), port, server);
        }
        self.lost = Some(Lost::port(port, &server, plain));
    }

    /// The first server of the port has TLS: others with TLS are told by server name, one without by
    /// being the only one at its address.
    fn beside_tls(&mut self, port: u16, server: GatewayServer) {
        if server.is_http() && self.merged.routes.contains_key(&server.route) {
            let name = &server.server.port_name;
            let why = format!("another server of port {port} has the port name {name} too");
            self.lost = Some(Lost { why, to: Some(server.object) });
            return;
        }
        let binds = &mut self.seen.entry(port).or_default().later_binds;
        let new_bind = binds.insert(server.server.bind.clone());
        if server.server.tls.is_some() || new_bind {
            return self.push(self.entry(port, &server), port, server);
        }
        let same = |entry: &&MergedServer| entry.listener_port == port && entry.bind == server.server.bind;
        self.lost = self.merged.servers.iter().find(same).map(|entry| Lost::port(port, &server, entry));
    }

    /// The Gateway with a TLS server for a host on a port.
    fn holder(&self, port: u16, host: &Text) -> Option<Shared<Gateway>> {
        let entries = self.merged.servers.iter().filter(|entry| entry.listener_port == port);
        let mut servers = entries.flat_map(|entry| entry.servers.iter());
        let holds = |one: &&GatewayServer| one.server.tls.is_some() && one.server.hosts.contains(host);
        servers.find(holds).map(|one| one.object.clone())
    }

    fn plain_at(&self, port: u16, bind: &Text) -> Option<usize> {
        self.merged.servers.iter().position(|entry| {
            let plain = entry.servers.first().is_some_and(|first| !first.is_tls());
            entry.listener_port == port && entry.bind == *bind && plain
        })
    }

    fn entry(&self, port: u16, server: &GatewayServer) -> Option<usize> {
        self.merged.servers.iter().position(|entry| {
            entry.listener_port == port
                && entry.protocol == server.server.protocol_word
                && entry.bind == server.server.bind
        })
    }

    fn push(&mut self, entry: Option<usize>, port: u16, server: GatewayServer) {
        let at = entry.unwrap_or(self.merged.servers.len());
        let route = server.route.clone();
        let place = match self.merged.servers.get_mut(at) {
            Some(entry) => {
                entry.servers.push(server);
                entry.servers.len() - 1
            }
            None => {
                self.merged.servers.push(MergedServer {
                    listener_port: port,
                    protocol: server.server.protocol_word.clone(),
                    bind: server.server.bind.clone(),
                    route: if server.is_tls() { Text::default() } else { route.clone() },
                    servers: vec![server],
                });
                0
            }
        };
        if !route.is_empty() {
            self.merged.routes.entry(route).or_default().push((at, place));
        }
    }

    fn finish(mut self) -> MergedGateway {
        let servers = self.merged.servers.iter().flat_map(|entry| &entry.servers);
        let forwards = |server: &&GatewayServer| {
            server.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::AutoPassthrough)
        };
        let hosts: BTreeSet<Text> = servers.filter(forwards).flat_map(|it| it.sni_hosts.clone()).collect();
        self.merged.auto_passthrough = hosts.into_iter().collect();
        self.merged
    }
}

impl Lost {
    /// The port is one of another protocol.
    fn port(port: u16, server: &GatewayServer, winner: &MergedServer) -> Self {
        let (own, other) = (&server.server.protocol_word, &winner.protocol);
        let why = format!("port {port} is one of {other} already, which {own} cannot share");
        Self { why, to: winner.servers.first().map(|first| first.object.clone()) }
    }
}

/// `./h` with its namespace, `*/h` without one; `*/*` is everything. Names are compared in lower case, and two that
/// are equal then would be one server name in two places, which proxies turn down.
fn normalised(hosts: &[Text], namespace: &str) -> Vec<Text> {
    if hosts.iter().any(|host| &**host == "*/*") {
        return vec!["*".into()];
    }
    let mut seen = BTreeSet::new();
    let one = |host: &Text| -> Text {
        match host.split_once('/') {
            Some((".", host)) => format!("{namespace}/{}", host.to_ascii_lowercase()).into(),
            Some(("*", host)) => host.to_ascii_lowercase().into(),
            Some((of, host)) => format!("{of}/{}", host.to_ascii_lowercase()).into(),
            None => host.to_ascii_lowercase().into(),
        }
    };
    hosts.iter().map(one).filter(|host| seen.insert(host.clone())).collect()
}

fn sni_hosts(hosts: &[Text]) -> Vec<Text> {
    let mut names: Vec<Text> = hosts
        .iter()
        .map(|host| host.split_once('/').map_or_else(|| host.clone(), |(_, host)| host.into()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The name by which a server's routes are asked for; empty for servers that do not route requests.
fn route_name(server: &Server, listener_port: u16, object: &Gateway) -> Text {
    let key = &object.meta.key;
    let bind = if server.bind.is_empty() { String::new() } else { format!(".{}", server.bind) };
    match server.protocol {
        protocol if protocol.is_http() => format!("http.{listener_port}{bind}").into(),
        Protocol::Https if !is_passthrough(server.tls.as_ref()) => {
            format!("https.{}.{}.{}.{}{bind}", server.number, server.port_name, key.name, key.namespace)
                .into()
        }
        _ => Text::default(),
    }
}

#[cfg(test)]
mod tests;
