//! Inputs of listeners for tests, with defaults, and listeners written as text.

use envoy_api::Resource;
use envoy_api::envoy::config::core::v3::address::Address;
use envoy_api::envoy::config::core::v3::transport_socket;
use envoy_api::envoy::config::listener::v3::{FilterChain, Listener, filter};
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_api::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use envoy_api::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use memo::Shared;
use mesh::{ListenerProfile, Scope, ServiceTarget, Snapshot, WorkloadAuthn};
use model::key::Meta;
use model::networking::{ExportTo, MutualTlsMode, Sidecar};
use model::parse::proxy::{Node, parse_node};
use model::service::{Registry, TargetPort, TrafficDistribution};
use model::{Created, Host, Key, Kind, Labels, Protocol, Resolution, Service, ServicePort};
use prost::Message;
use serde_json::json;

use super::Inputs;

/// Inputs of a sidecar of Istio's own at `10.0.0.1` in namespace `ns`, which sees and serves nothing.
pub(crate) fn inputs() -> Inputs {
    inputs_of(&json!({}))
}

/// The same with further metadata of the node.
pub(crate) fn inputs_of(metadata: &serde_json::Value) -> Inputs {
    let mut all = json!({
        "ISTIO_VERSION": "1.32.0", "NAMESPACE": "ns", "CLUSTER_ID": "Kubernetes", "MESH_ID": "mesh",
        "LABELS": {"service.istio.io/canonical-name": "a", "service.istio.io/canonical-revision": "v1"},
        "ENVOY_STATUS_PORT": 15021, "ENVOY_PROMETHEUS_PORT": 15090,
    });
    let fields = all.as_object_mut().unwrap();
    fields.extend(metadata.as_object().unwrap().clone());
    let node = Node {
        id: "sidecar~10.0.0.1~a.ns~ns.svc.cluster.local".into(),
        cluster: "a.ns".into(),
        metadata: fields.clone(),
        ..Node::default()
    };
    let snapshot = Snapshot::default();
    let member = snapshot.member(&Shared::new(parse_node(&node).unwrap()));
    Inputs {
        profile: Shared::new(ListenerProfile::of(&member)),
        scope: member.scope.clone(),
        targets: Vec::new(),
        workload_authn: Shared::default(),
        gateway: None,
        facts: Shared::default(),
        collectors: Shared::default(),
        routes: Shared::default(),
        mesh: Shared::default(),
        settings: Shared::default(),
    }
}

/// A changed copy behind a handle.
pub(crate) fn with<T: Clone>(value: &Shared<T>, change: impl FnOnce(&mut T)) -> Shared<T> {
    let mut value = (**value).clone();
    change(&mut value);
    Shared::new(value)
}

impl Inputs {
    /// A service `host` whose port leads to one of the workload's.
    pub(crate) fn serving(mut self, host: &str, (port, target): (u16, u16), protocol: Protocol) -> Self {
        let port =
            ServicePort { name: "p".into(), number: port, protocol, target: TargetPort::Number(target) };
        let service = Shared::new(service(host, port.clone()));
        self.targets.push(ServiceTarget { service, port, target_port: target });
        self
    }

    /// The mode of mutual TLS, and those of ports.
    pub(crate) fn mode(mut self, mode: MutualTlsMode, ports: &[(u16, MutualTlsMode)]) -> Self {
        self.workload_authn = Shared::new(WorkloadAuthn { mode, ports: ports.into() });
        self
    }

    /// A Sidecar that applies.
    pub(crate) fn sidecar(mut self, change: impl FnOnce(&mut Sidecar)) -> Self {
        let mut sidecar = Sidecar {
            meta: meta(Kind::Sidecar, "of-a"),
            selector: None,
            ingress: Vec::new(),
            egress: Vec::new(),
            outbound_traffic_policy: None,
            inbound_connection_pool: None,
        };
        change(&mut sidecar);
        let scope = Scope { sidecar: Some(Shared::new(sidecar)), ..(*self.scope).clone() };
        self.scope = Shared::new(scope);
        self
    }
}

fn meta(kind: Kind, name: &str) -> Meta {
    Meta {
        key: Key { cluster: "Kubernetes".into(), kind, namespace: "ns".into(), name: name.into() },
        created: Created(0),
        labels: Labels::default(),
        annotations: Labels::default(),
        api_version: "v1".into(),
    }
}

fn service(name: &str, port: ServicePort) -> Service {
    Service {
        host: Host::new(&format!("{name}.ns.svc.cluster.local")),
        namespace: "ns".into(),
        name: name.into(),
        object: meta(Kind::Service, name).key,
        created: Created(0),
        registry: Registry::Kubernetes,
        ports: vec![port],
        resolution: Resolution::Static,
        external: false,
        address: "10.96.0.1".into(),
        cluster_vips: Default::default(),
        auto_addresses: Vec::new(),
        accounts: Vec::new(),
        labels: Labels::default(),
        export_to: ExportTo::Public,
        selector: Some(Labels::default()),
        external_name: None,
        node_local: false,
        traffic_distribution: TrafficDistribution::Any,
        publish_not_ready: false,
        passthrough_target_ports: Default::default(),
        race_connect: false,
    }
}

/// A listener, decoded.
pub(crate) fn decode(resource: &Resource) -> Listener {
    Listener::decode(resource.body.to_bytes()).unwrap()
}

/// The chains of a listener, decoded.
pub(crate) fn chains(listener: &Listener) -> Vec<FilterChain> {
    listener.filter_chains.iter().map(|bytes| FilterChain::decode(bytes.clone()).unwrap()).collect()
}

/// Name, address, listener filters and, one a line, the chains of a listener.
pub(crate) fn describe(resource: &Resource) -> String {
    let listener = decode(resource);
    let Some(Address::SocketAddress(address)) = listener.address.as_ref().and_then(|it| it.address.clone())
    else {
        return "no address".into();
    };
    let filters: Vec<_> = listener.listener_filters.iter().map(|filter| last(&filter.name)).collect();
    let mut text = format!("{} {} [{}]\n", listener.name, address.address, filters.join(" "));
    for chain in chains(&listener) {
        text.push_str(&describe_chain(&chain));
        text.push('\n');
    }
    text
}

fn describe_chain(chain: &FilterChain) -> String {
    let matches = chain.filter_chain_match.clone().unwrap_or_default();
    let port = matches.destination_port.map_or("*".into(), |port| port.to_string());
    let protocols = matches.application_protocols.join(",");
    let filters: Vec<String> = chain.filters.iter().map(describe_filter).collect();
    let tls = if terminates(chain) { " tls-ends" } else { "" };
    format!(
        "{}: {port} {} [{protocols}] -> {}{tls}",
        chain.name,
        matches.transport_protocol,
        filters.join(" ")
    )
}

fn describe_filter(filter: &envoy_api::envoy::config::listener::v3::Filter) -> String {
    let Some(filter::ConfigType::TypedConfig(config)) = &filter.config_type else { return "?".into() };
    if let Some(tcp) = config.unpack::<TcpProxy>() {
        let Some(tcp_proxy::ClusterSpecifier::Cluster(cluster)) = tcp.cluster_specifier else {
            return "tcp weighted".into();
        };
        return format!("tcp {cluster}");
    }
    match config.unpack::<HttpConnectionManager>() {
        Some(http) => format!("http {}", http.stat_prefix),
        None => last(&filter.name).to_owned(),
    }
}

fn terminates(chain: &FilterChain) -> bool {
    let socket = chain.transport_socket.as_ref().and_then(|socket| socket.config_type.as_ref());
    socket.is_some_and(|transport_socket::ConfigType::TypedConfig(config)| {
        config.unpack::<DownstreamTlsContext>().is_some()
    })
}

/// The last part of a dotted name.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
