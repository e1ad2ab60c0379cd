//! Sidecar: what a proxy listens on and what it sees.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use super::{ConnectionPoolSettings, Destination, ServerTlsSettings};
use crate::leniency::{enumerations, messages};

messages! {
    /// The spec of a Sidecar.
    pub struct Sidecar {
        pub workload_selector: Option<WorkloadSelector>,
        pub ingress: Vec<IstioIngressListener>,
        pub egress: Vec<IstioEgressListener>,
        pub inbound_connection_pool: Option<ConnectionPoolSettings>,
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    }

    /// A port on which the workload is reached.
    pub struct IstioIngressListener {
        pub port: Option<SidecarPort>,
        pub bind: String,
        pub capture_mode: CaptureMode,
        pub default_endpoint: String,
        pub tls: Option<ServerTlsSettings>,
        pub connection_pool: Option<ConnectionPoolSettings>,
    }

    /// A listener for outgoing traffic and the hosts seen through it.
    pub struct IstioEgressListener {
        pub port: Option<SidecarPort>,
        pub bind: String,
        pub capture_mode: CaptureMode,
        pub hosts: Vec<String>,
    }

    /// Selects workloads of one namespace by `labels`.
    pub struct WorkloadSelector {
        pub labels: BTreeMap<String, String>,
    }

    /// What happens to traffic to unknown destinations.
    pub struct OutboundTrafficPolicy {
        pub mode: OutboundMode,
        pub egress_proxy: Option<Destination>,
    }

    /// The port of a listener.
    pub struct SidecarPort {
        pub number: u32,
        pub protocol: String,
        pub name: String,
        pub target_port: u32,
    }
}

enumerations! {
    /// Whether unknown destinations may be called.
    pub enum OutboundMode {
        RegistryOnly "REGISTRY_ONLY" = 0,
        AllowAny "ALLOW_ANY" = 1,
    }

    /// How traffic gets to a listener.
    pub enum CaptureMode {
        Default "DEFAULT" = 0,
        Iptables "IPTABLES" = 1,
        None "NONE" = 2,
    }
}
