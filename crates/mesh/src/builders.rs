//! Objects for tests, with defaults: a case spells out only what it is about.

use model::key::Meta;
use model::networking::*;
use model::parse::proxy::{Node, parse_node};
use model::proxy_config::ProxyConfigObject;
use model::service::TargetPort;
use model::{Change, Created, Host, Key, Kind, Labels, Protocol, Proxy, Resolution, Text, Value, kube};

use crate::Config;

/// The metadata of `namespace/name`, created at `age`.
pub(crate) fn meta(kind: Kind, id: &str, age: i64) -> Meta {
    let (namespace, name) = id.split_once('/').unwrap();
    let key = Key { cluster: "Kubernetes".into(), kind, namespace: namespace.into(), name: name.into() };
    Meta {
        key,
        created: Created(age),
        labels: Labels::default(),
        annotations: Labels::default(),
        api_version: "v1".into(),
    }
}

/// A Service with an address and these HTTP ports.
pub(crate) fn service(id: &str, ports: &[u16]) -> kube::Service {
    let port = |number: &u16| kube::Port {
        name: format!("http-{number}").into(),
        number: *number,
        transport: "TCP".into(),
        app_protocol: None,
        target: TargetPort::Number(*number),
        node_port: 0,
    };
    kube::Service {
        meta: meta(Kind::Service, id, 0),
        kind: kube::ServiceType::ClusterIp,
        cluster_ips: vec!["10.0.0.1".into()],
        ports: ports.iter().map(port).collect(),
        selector: None,
        external_name: None,
        internal_local: false,
        traffic_distribution: None,
        publish_not_ready: false,
        external_addresses: Vec::new(),
    }
}

/// A Service that is another name of `target`.
pub(crate) fn external_name(id: &str, target: &str) -> kube::Service {
    kube::Service {
        kind: kube::ServiceType::ExternalName,
        external_name: Some(Host::new(target)),
        cluster_ips: Vec::new(),
        ..service(id, &[80])
    }
}

/// A ServiceEntry for one host with these HTTP ports, resolved by name.
pub(crate) fn entry(id: &str, host: &str, ports: &[u16]) -> ServiceEntry {
    let port = |number: &u16| EntryPort {
        name: format!("http-{number}").into(),
        number: *number,
        protocol: Protocol::Http,
        target_port: 0,
    };
    ServiceEntry {
        meta: meta(Kind::ServiceEntry, id, 0),
        hosts: vec![Host::new(host)],
        addresses: Vec::new(),
        ports: ports.iter().map(port).collect(),
        external: true,
        resolution: Resolution::Dns,
        endpoints: Vec::new(),
        selector: None,
        export_to: ExportTo::Unset,
        subject_alt_names: Vec::new(),
        status_addresses: Vec::new(),
    }
}

/// A Pod at an address.
pub(crate) fn pod(id: &str, age: i64, ip: &str) -> kube::Pod {
    kube::Pod {
        meta: meta(Kind::Pod, id, age),
        ips: vec![ip.parse().unwrap()],
        service_account: "default".into(),
        node: "node".into(),
        workload: "app".into(),
        ports: Vec::new(),
        hostname: "".into(),
        subdomain: "".into(),
        mesh_map: "".into(),
        ready: true,
        ended: false,
        terminating: false,
        host_network: false,
    }
}

/// A WorkloadEntry at an address.
pub(crate) fn workload_entry(id: &str, age: i64, address: &str) -> WorkloadEntry {
    let spec = WorkloadSpec { address: address.into(), ..WorkloadSpec::default() };
    WorkloadEntry { meta: meta(Kind::WorkloadEntry, id, age), spec, unhealthy: false }
}

/// Exactly these namespaces.
pub(crate) fn only(namespaces: &[&str]) -> ExportTo {
    ExportTo::Namespaces(namespaces.iter().map(|name| Text::from(*name)).collect())
}

/// A Namespace with these labels.
pub(crate) fn namespace(name: &str, labels: Labels) -> kube::Namespace {
    let mut meta = meta(Kind::Namespace, &format!("/{name}"), 0);
    meta.labels = labels;
    kube::Namespace { meta }
}

/// A value of some kind as a change.
pub(crate) trait IntoValue {
    fn key(&self) -> Key;
    fn value(self) -> Value;
}

macro_rules! into_value {
    ($($kind:ty => $variant:ident),* $(,)?) => {$(
        impl IntoValue for $kind {
            fn key(&self) -> Key {
                self.meta.key.clone()
            }
            fn value(self) -> Value {
                Value::$variant(self.into())
            }
        }
    )*};
}

into_value!(
    kube::Service => Service,
    kube::Namespace => Namespace,
    kube::Pod => Pod,
    kube::EndpointSlice => EndpointSlice,
    WorkloadEntry => WorkloadEntry,
    ProxyConfigObject => ProxyConfig,
    PeerAuthentication => PeerAuthentication,
    ServiceEntry => ServiceEntry,
    Sidecar => Sidecar,
    VirtualService => VirtualService,
    DestinationRule => DestinationRule,
    model::networking::Gateway => Gateway,
);

/// Config to which objects are added.
pub(crate) trait With: Sized {
    fn with(self, object: impl IntoValue) -> Self;
    fn without(self, key: &Key) -> Self;
}

impl With for Config {
    fn with(mut self, object: impl IntoValue) -> Self {
        self.apply(change(object.key(), Some(object.value())));
        self
    }

    fn without(mut self, key: &Key) -> Self {
        self.apply(change(key.clone(), None));
        self
    }
}

fn change(key: Key, value: Option<Value>) -> Change {
    Change { key, value, origin: std::sync::Arc::default(), problems: Vec::new() }
}

/// A Sidecar for a whole namespace with one egress listener without a port.
pub(crate) fn sidecar(id: &str, hosts: &[&str]) -> Sidecar {
    Sidecar {
        meta: meta(Kind::Sidecar, id, 0),
        selector: None,
        ingress: Vec::new(),
        egress: vec![egress(0, hosts)],
        outbound_traffic_policy: None,
        inbound_connection_pool: None,
    }
}

/// An egress listener on a port (0 for none) for hosts in the API's form.
pub(crate) fn egress(port: u16, hosts: &[&str]) -> EgressListener {
    let port = ListenerPort { number: port, protocol: Protocol::Http, name: "http".into() };
    EgressListener {
        port: (port.number != 0).then_some(port),
        bind: "".into(),
        capture_mode: CaptureMode::Default,
        hosts: hosts.iter().map(|host| egress_host(host)).collect(),
    }
}

fn egress_host(text: &str) -> EgressHost {
    let (namespace, host) = text.split_once('/').unwrap();
    let included = namespace.trim_start_matches('~');
    let exclude = included != namespace;
    let namespace = if included.is_empty() { "*" } else { included };
    EgressHost { namespace: namespace.into(), host: Host::new(host), exclude }
}

/// A VirtualService for a host, bound to `mesh`, with one route to each destination (`host` or
/// `host:port`).
pub(crate) fn virtual_service(id: &str, host: &str, destinations: &[&str]) -> VirtualService {
    VirtualService {
        meta: meta(Kind::VirtualService, id, 0),
        hosts: vec![Host::new(host)],
        gateways: vec!["mesh".into()],
        http: destinations.iter().map(|one| route(one).into()).collect(),
        tls: Vec::new(),
        tcp: Vec::new(),
        export_to: ExportTo::Unset,
    }
}

/// A route to `host` or `host:port`.
pub(crate) fn route(destination: &str) -> HttpRoute {
    let (host, port) = match destination.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (destination, None),
    };
    let destination = Destination { host: Host::new(host), subset: "".into(), port };
    let routes = vec![HttpDestination { destination, weight: 0, headers: HeaderChanges::default() }];
    HttpRoute { routes, ..HttpRoute::default() }
}

/// A sidecar in a namespace.
pub(crate) fn proxy(namespace: &str) -> Proxy {
    let id = format!("sidecar~10.0.0.9~p.{namespace}~{namespace}.svc.cluster.local");
    parse_node(&Node { id, ..Node::default() }).unwrap()
}
