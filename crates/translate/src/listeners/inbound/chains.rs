//! The filter chains of a port: by what PeerAuthentication asks for and by what the port speaks
//! (xds-semantics, inbound chains).

use envoy_api::envoy::config::core::v3::{TransportSocket, transport_socket::ConfigType};
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::{Any, Part, field};
use memo::Shared;
use model::Text;
use model::mesh_config::MeshConfig;
use model::networking::MutualTlsMode;

use super::matches::{MatchOption, is_auto, options};
use super::ports::{Origin, Port};
use super::sockets::Sockets;
use super::{Base, Inputs};
use crate::listeners::network_filters::{TcpBase, TcpOptions};
use crate::listeners::{Hcm, HcmOptions, Memos, Routes, TcpProxy};
use crate::routes::InboundInputs;
use crate::{names, tls, wire};

/// What the chains of a port may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PortInputs {
    port: Port,
    mode: MutualTlsMode,
    /// Whether plain HTTP is told by its oldest version too.
    http10: bool,
    base: Base,
    sockets: Shared<Sockets>,
    mesh: Shared<MeshConfig>,
}

impl PortInputs {
    pub(super) fn of(port: Port, inputs: &Inputs, sockets: &Shared<Sockets>) -> Self {
        Self {
            mode: inputs.workload_authn.of_port(port.target),
            port,
            http10: inputs.settings.http10,
            base: inputs.base.clone(),
            sockets: sockets.clone(),
            mesh: inputs.mesh.clone(),
        }
    }
}

/// The chains of a port, encoded, and what they need to be told apart.
#[derive(Debug)]
pub(super) struct PortChains {
    pub(super) port: u16,
    /// The cluster that they send traffic to.
    pub(super) cluster: Text,
    pub(super) parts: Vec<Shared<Part>>,
    /// Whether some chain matches TLS.
    pub(super) inspects_tls: bool,
    /// Whether some chain matches HTTP by its first bytes.
    pub(super) inspects_http: bool,
}

/// A filter chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    name: Text,
    port: u16,
    option: Option<MatchOption>,
    terminal: Terminal,
    socket: Option<Shared<Any>>,
    /// Namespace and name of the Sidecar that declares it.
    sidecar: Option<(Text, Text)>,
}

/// What a chain ends with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Terminal {
    Http(Hcm, Shared<TcpBase>),
    Tcp(TcpProxy),
}

impl PortChains {
    pub(super) fn new(inputs: &PortInputs, memos: &Memos) -> Self {
        let own = inputs.port.tls.as_ref().filter(|_| inputs.mode == MutualTlsMode::Disable);
        let own = own.map(|tls| {
            let context = inputs.sockets.own(tls);
            memos.inbound.configs.get(&context, Any::clone)
        });
        let options = match (&inputs.port.origin, &own) {
            (Origin::Loop, _) => Vec::new(),
            (_, Some(_)) => vec![MatchOption::own_tls(inputs.port.protocol.is_http())],
            _ => options(inputs.mode, inputs.port.protocol),
        };
        let options = options.into_iter().map(|one| if inputs.http10 { one.with_http10() } else { one });
        let options: Vec<MatchOption> = options.collect();
        let parts = Terminals::of(inputs);
        let mut chains: Vec<_> =
            options.iter().map(|option| inputs.chain(option, &parts, own.as_ref())).collect();
        if inputs.port.origin == Origin::Loop {
            chains.push(inputs.looping());
        }
        let part = |chain: &Chain| memos.inbound.chains.get(chain, |chain| chain.build(memos));
        Self {
            port: inputs.port.target,
            cluster: inputs.cluster(),
            parts: chains.iter().map(part).collect(),
            inspects_tls: options.iter().any(MatchOption::inspects_tls),
            inspects_http: options.iter().any(MatchOption::inspects_http),
        }
    }
}

/// What the chains of a port end with, each made once.
struct Terminals {
    http: Option<Hcm>,
    tcp: TcpProxy,
}

impl Terminals {
    fn of(inputs: &PortInputs) -> Self {
        let protocol = inputs.port.protocol;
        let http = (protocol.is_http() || is_auto(protocol)).then(|| inputs.hcm());
        Self { http, tcp: inputs.tcp() }
    }
}

impl PortInputs {
    fn cluster(&self) -> Text {
        match self.port.origin {
            Origin::Passthrough => names::INBOUND_PASSTHROUGH.into(),
            Origin::Loop => names::BLACK_HOLE.into(),
            Origin::Service(_) | Origin::Sidecar(..) => names::inbound(self.port.target).into(),
        }
    }

    /// `0.0.0.0_8080`; chains of ports that nobody declares are called by what they do.
    fn name(&self, http: bool) -> Text {
        match (&self.port.origin, http) {
            (Origin::Passthrough, true) => "virtualInbound-catchall-http".into(),
            (Origin::Passthrough, false) => super::NAME.into(),
            (Origin::Loop, _) => "virtualInbound-blackhole".into(),
            _ => format!("{}_{}", self.port.bind, self.port.target).into(),
        }
    }

    fn hcm(&self) -> Hcm {
        let stat_prefix = match self.port.origin {
            Origin::Passthrough => format!("{};", self.cluster()),
            _ => format!("inbound_{};", self.name(true)),
        };
        let routes = InboundInputs {
            cluster: self.cluster().to_string(),
            host: self.port.host(),
            port: self.port.number,
            protocol: self.port.protocol,
            only_host: None,
            retry: self.mesh.default_inbound_http_retry.clone(),
        };
        Hcm {
            base: self.base.http.clone(),
            stat_prefix: stat_prefix.into(),
            protocol: self.port.protocol,
            routes: Routes::Inline(Box::new(routes)),
            options: HcmOptions::default(),
        }
    }

    fn tcp(&self) -> TcpProxy {
        let mut proxy = TcpProxy::to(&self.base.tcp, self.cluster());
        if !self.mesh.inbound_cluster_stat_name.is_empty() {
            proxy.stat_prefix = stat_prefix(&self.mesh.inbound_cluster_stat_name, &self.port);
        }
        proxy.protocol = self.port.protocol;
        proxy.options.exchange = true;
        proxy
    }

    fn chain(&self, option: &MatchOption, parts: &Terminals, own: Option<&Shared<Any>>) -> Chain {
        let (terminal, socket) = match &parts.http {
            Some(http) if option.http => {
                (Terminal::Http(http.clone(), self.base.tcp.clone()), &self.sockets.http)
            }
            _ => (Terminal::Tcp(parts.tcp.clone()), &self.sockets.tcp),
        };
        let sidecar = match &self.port.origin {
            Origin::Sidecar(sidecar, namespace) => Some((namespace.clone(), sidecar.meta.key.name.clone())),
            _ => None,
        };
        Chain {
            name: self.name(option.http),
            port: self.port.target,
            option: Some(*option),
            terminal,
            socket: option.terminates.then(|| own.unwrap_or(socket).clone()),
            sidecar,
        }
    }

    fn looping(&self) -> Chain {
        let mut proxy = TcpProxy::to(&self.base.tcp, self.cluster());
        proxy.options = TcpOptions { exchange: true, silent: true, ..TcpOptions::default() };
        Chain {
            name: self.name(false),
            port: self.port.target,
            option: None,
            terminal: Terminal::Tcp(proxy),
            socket: None,
            sidecar: None,
        }
    }
}

/// The mesh's pattern of statistics names with its words replaced.
fn stat_prefix(pattern: &str, port: &Port) -> Text {
    let (short, name) = port.short_names();
    let words = [
        ("%SERVICE%", short),
        ("%SERVICE_NAME%", name),
        ("%SERVICE_FQDN%", port.host()),
        ("%SUBSET_NAME%", String::new()),
        ("%SERVICE_PORT%", port.number.to_string()),
        ("%SERVICE_PORT_NAME%", port.name.to_string()),
    ];
    words.iter().fold(pattern.to_owned(), |text, (word, value)| text.replace(word, value)).into()
}

impl Chain {
    fn build(&self, memos: &Memos) -> Part {
        let filters = match &self.terminal {
            Terminal::Tcp(proxy) => proxy.filters(),
            // Peers tell each other who they are before HTTP too.
            Terminal::Http(hcm, tcp) => {
                let hcm = memos.inbound.hcms.get(hcm, Hcm::filter);
                tcp.metadata_exchange().into_iter().chain([(*hcm).clone()]).collect()
            }
        };
        let mut matches = api::FilterChainMatch {
            destination_port: (self.port != 0).then(|| self.port.into()),
            ..Default::default()
        };
        if let Some(option) = &self.option {
            matches.transport_protocol = option.transport.into();
            matches.application_protocols = option.protocols.iter().map(|&word| word.to_owned()).collect();
        }
        let chain = api::FilterChain {
            filter_chain_match: Some(matches),
            filters,
            metadata: self
                .sidecar
                .as_ref()
                .map(|(namespace, name)| wire::object_metadata("sidecar", namespace, name)),
            transport_socket: self.socket.as_ref().map(|context| TransportSocket {
                name: tls::TRANSPORT_SOCKET.into(),
                config_type: Some(ConfigType::TypedConfig((**context).clone())),
            }),
            name: self.name.to_string(),
            ..Default::default()
        };
        Part::field(field::FILTER_CHAINS, &chain)
    }
}
