//! A proxy: the facts of a connected client that some rule reads.

use std::net::IpAddr;
use std::time::Duration;

use crate::proxy_config::ProxyConfig;
use crate::{Labels, Text};

/// What kind of proxy: the first segment of the node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProxyKind {
    /// Beside a workload.
    Sidecar,
    /// A gateway.
    Router,
}

/// How traffic gets into a sidecar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum Interception {
    #[default]
    Redirect,
    Tproxy,
    None,
}

/// What a proxy can do, read from the extensions that it lists.
///
/// A proxy that lists none and declares `ISTIO_VERSION` is Istio's own and can do all of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// `istio.metadata_exchange` for HTTP, TCP and clusters.
    pub metadata_exchange: bool,
    /// `istio.alpn`.
    pub alpn: bool,
    /// `istio.stats`.
    pub stats: bool,
    /// `mysql_proxy` (contrib).
    pub mysql: bool,
}

/// `major.minor.patch` of Istio's proxy; a proxy without one counts as newer than all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IstioVersion(pub u32, pub u32, pub u32);

/// IP families of a proxy's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the families' own names")]
pub enum IpMode {
    V4,
    V6,
    Dual,
}

impl IpMode {
    /// Whether IPv4 is among them.
    pub fn has_v4(self) -> bool {
        self != Self::V6
    }

    /// Whether IPv6 is among them.
    pub fn has_v6(self) -> bool {
        self != Self::V4
    }

    /// The address that stands for all: `0.0.0.0` or `::`.
    pub fn wildcard(self) -> &'static str {
        if self == Self::V6 { "::" } else { "0.0.0.0" }
    }

    /// The loopback address.
    pub fn localhost(self) -> &'static str {
        if self == Self::V6 { "::1" } else { "127.0.0.1" }
    }
}

/// Files of certificates that a proxy was given instead of secrets (`TLS_SERVER_*`, `TLS_CLIENT_*`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CertFiles {
    /// The chain, may be empty (so are the others).
    pub chain: Text,
    /// The key.
    pub key: Text,
    /// The roots.
    pub root: Text,
}

/// A connected proxy, parsed from its node (istiod-surface, node).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The node id as sent: `sidecar~10.0.0.1~reviews-v1.default~default.svc.cluster.local`.
    pub id: Text,
    /// Its kind.
    pub kind: ProxyKind,
    /// `<pod>.<namespace>`, the third segment.
    pub workload_id: Text,
    /// `default.svc.cluster.local`, the fourth segment.
    pub dns_domain: Text,
    /// Its addresses, never empty.
    pub ips: Vec<IpAddr>,
    /// Its namespace.
    pub namespace: Text,
    /// Its service account, may be empty.
    pub service_account: Text,
    /// Its labels: `LABELS` with `STATIC_LABELS` on top.
    pub labels: Labels,
    /// `STATIC_LABELS` alone, which also a proxy keeps whose labels come from elsewhere.
    pub static_labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// The cluster that it is in.
    pub cluster: Text,
    /// Its network, may be empty.
    pub network: Text,
    /// Networks whose endpoints it wants to see; empty for all.
    pub network_view: Vec<Text>,
    /// `region/zone/subzone` declared by labels or by the node's own locality, may be empty.
    pub locality: Text,
    /// Its machine, may be empty.
    pub node_name: Text,
    /// Its workload's name, may be empty.
    pub workload_name: Text,
    /// `node.cluster`: the service cluster.
    pub service_cluster: Text,
    /// The mesh's id, may be empty.
    pub mesh_id: Text,
    /// Its version.
    pub version: IstioVersion,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How traffic gets into it.
    pub interception: Interception,
    /// Its effective configuration: what it declares over the built-in defaults; the mesh's
    /// `defaultConfig` is put below where it declares none.
    pub config: Option<ProxyConfig>,
    /// Container ports that it declares: name, number, transport.
    pub pod_ports: Vec<(Text, u16, Text)>,
    /// Own port of an HTTP proxy, 0 for none.
    pub http_proxy_port: u16,
    /// Longest idle time of its connections.
    pub idle_timeout: Option<Duration>,
    /// Whether it accepts HTTP/1.0.
    pub http10: bool,
    /// Whether it resolves names (`DNS_CAPTURE`).
    pub dns_capture: bool,
    /// Whether it wants allocated addresses (`DNS_AUTO_ALLOCATE`).
    pub dns_auto_allocate: bool,
    /// Whether it may not bind ports below 1024.
    pub unprivileged: bool,
    /// Ports of its own that listeners must not take: status, Prometheus, secure metrics.
    pub reserved_ports: Vec<u16>,
    /// Certificates by file for what it serves.
    pub server_files: CertFiles,
    /// Certificates by file for what it calls.
    pub client_files: CertFiles,
    /// `INBOUND_LISTENER_EXACT_BALANCE`.
    pub inbound_exact_balance: bool,
    /// `OUTBOUND_LISTENER_EXACT_BALANCE`.
    pub outbound_exact_balance: bool,
    /// Metadata `credential`: secrets come from a local socket.
    pub external_sds: bool,
    /// Metadata `file-credential`: file secrets come from a cluster of their own.
    pub file_credentials: bool,
    /// The configuration generator that it asks for (`grpc`, `event`…), may be empty.
    pub generator: Text,
}

impl Proxy {
    /// The IP families of its addresses.
    pub fn ip_mode(&self) -> IpMode {
        let v4 = self.ips.iter().any(IpAddr::is_ipv4);
        let v6 = self.ips.iter().any(IpAddr::is_ipv6);
        match (v4, v6) {
            (true, true) => IpMode::Dual,
            (false, true) => IpMode::V6,
            _ => IpMode::V4,
        }
    }

    /// Whether it uses addresses that the allocator gave to services.
    pub fn uses_auto_addresses(&self, settings: &crate::settings::Settings) -> bool {
        self.dns_capture && (settings.ip_autoallocate || self.dns_auto_allocate)
    }
}
