//! What a workload's proxy sees and serves: Sidecar.

use super::{ConnectionPool, Destination, Selector, ServerTls};
use crate::key::Meta;
use crate::{Host, Protocol, Text};

/// Ingress and egress of the selected workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Identity and age.
    pub meta: Meta,
    /// The workloads; `None` for all of the namespace.
    pub selector: Selector,
    /// Ingress listeners, which replace those made from services.
    pub ingress: Vec<IngressListener>,
    /// Egress listeners; empty is one listener with `*/*`.
    pub egress: Vec<EgressListener>,
    /// What is done with traffic to unknown destinations; `None` for the mesh's policy.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// Connection limits of all ingress.
    pub inbound_connection_pool: Option<ConnectionPool>,
}

/// What is done with traffic to unknown destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutboundTrafficPolicy {
    /// The mode.
    pub mode: OutboundMode,
    /// The proxy that it is sent through.
    pub egress_proxy: Option<Destination>,
}

/// Mode for traffic to unknown destinations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum OutboundMode {
    RegistryOnly,
    #[default]
    AllowAny,
    AllowAnyDynamicDns,
}

/// How traffic reaches a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum CaptureMode {
    #[default]
    Default,
    Iptables,
    None,
}

/// The port of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenerPort {
    /// Its number; 0 on a Unix socket.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its name, may be empty.
    pub name: Text,
}

/// A listener for traffic to the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressListener {
    /// The port.
    pub port: ListenerPort,
    /// Address to bind to, may be empty.
    pub bind: Text,
    /// How traffic gets there.
    pub capture_mode: CaptureMode,
    /// `address:port` or `unix://path` of the application; empty forwards to the original address.
    pub default_endpoint: Text,
    /// TLS that ends here.
    pub tls: Option<ServerTls>,
    /// Connection limits.
    pub connection_pool: Option<ConnectionPool>,
}

/// A listener for traffic from the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EgressListener {
    /// The port; `None` for all ports.
    pub port: Option<ListenerPort>,
    /// Address or `unix://` path to bind to, may be empty.
    pub bind: Text,
    /// How traffic gets there.
    pub capture_mode: CaptureMode,
    /// What is visible.
    pub hosts: Vec<EgressHost>,
}

/// `namespace/dnsName`, possibly an exclusion (`~`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EgressHost {
    /// `*` or a namespace (`.` already replaced by the proxy's where the Sidecar is applied: kept as `.` here).
    pub namespace: Text,
    /// The host, possibly a wildcard.
    pub host: Host,
    /// Whether it excludes.
    pub exclude: bool,
}
