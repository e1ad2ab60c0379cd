//! DestinationRule: how a destination is called, and its subsets.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use super::{LoadBalancerSettings, PortSelector};
use crate::leniency::{Duration, enumerations, messages};
use crate::selector::WorkloadSelector;

messages! {
    /// The spec of a DestinationRule.
    pub struct DestinationRule {
        pub host: String,
        pub traffic_policy: Option<TrafficPolicy>,
        pub subsets: Vec<Subset>,
        pub export_to: Vec<String>,
        pub workload_selector: Option<WorkloadSelector>,
    }

    /// How a destination is called, and exceptions by port.
    pub struct TrafficPolicy {
        pub load_balancer: Option<LoadBalancerSettings>,
        pub connection_pool: Option<ConnectionPoolSettings>,
        pub outlier_detection: Option<OutlierDetection>,
        pub tls: Option<ClientTlsSettings>,
        pub port_level_settings: Vec<PortTrafficPolicy>,
        pub tunnel: Option<TunnelSettings>,
        pub proxy_protocol: Option<ProxyProtocol>,
        pub retry_budget: Option<RetryBudget>,
    }

    /// How one port of a destination is called.
    pub struct PortTrafficPolicy {
        pub port: Option<PortSelector>,
        pub load_balancer: Option<LoadBalancerSettings>,
        pub connection_pool: Option<ConnectionPoolSettings>,
        pub outlier_detection: Option<OutlierDetection>,
        pub tls: Option<ClientTlsSettings>,
    }

    /// Tunnelling of connections through a proxy by CONNECT or POST.
    pub struct TunnelSettings {
        pub protocol: String,
        pub target_host: String,
        pub target_port: u32,
    }

    /// The PROXY protocol towards the destination.
    pub struct ProxyProtocol {
        pub version: ProxyProtocolVersion,
    }

    /// How many retries may be under way, as a share of requests.
    pub struct RetryBudget {
        pub percent: Option<f64>,
        pub min_retry_concurrency: u32,
        pub budget_interval: Option<Duration>,
    }

    /// The endpoints of a host that bear certain labels, and how they are called.
    pub struct Subset {
        pub name: String,
        pub labels: BTreeMap<String, String>,
        pub traffic_policy: Option<TrafficPolicy>,
    }

    /// Limits of connections and requests.
    pub struct ConnectionPoolSettings {
        pub tcp: Option<TcpSettings>,
        pub http: Option<HttpSettings>,
    }

    /// Limits and timeouts of connections.
    pub struct TcpSettings {
        pub max_connections: i32,
        pub connect_timeout: Option<Duration>,
        pub tcp_keepalive: Option<TcpKeepalive>,
        pub max_connection_duration: Option<Duration>,
        pub idle_timeout: Option<Duration>,
    }

    /// TCP keepalive probes.
    pub struct TcpKeepalive {
        pub probes: u32,
        pub time: Option<Duration>,
        pub interval: Option<Duration>,
    }

    /// Limits of HTTP requests and connections.
    pub struct HttpSettings {
        pub http1_max_pending_requests: i32,
        pub http2_max_requests: i32,
        pub max_requests_per_connection: i32,
        pub max_retries: i32,
        pub idle_timeout: Option<Duration>,
        pub h2_upgrade_policy: H2UpgradePolicy,
        pub use_client_protocol: bool,
        pub max_concurrent_streams: i32,
        pub http2_keep_alive: Option<ConnectionKeepalive>,
    }

    /// HTTP/2 keepalive pings.
    pub struct ConnectionKeepalive {
        pub interval: Option<Duration>,
        pub timeout: Option<Duration>,
    }

    /// When an endpoint is taken out, and for how long.
    pub struct OutlierDetection {
        /// Deprecated in favour of `consecutive_5xx_errors`.
        pub consecutive_errors: i32,
        pub split_external_local_origin_errors: bool,
        pub consecutive_local_origin_failures: Option<u32>,
        pub consecutive_gateway_errors: Option<u32>,
        pub consecutive_5xx_errors: Option<u32>,
        pub interval: Option<Duration>,
        pub base_ejection_time: Option<Duration>,
        pub max_ejection_percent: i32,
        pub min_health_percent: i32,
        pub outlier_detection_http_error_codes: Vec<u32>,
    }

    /// TLS towards the destination.
    pub struct ClientTlsSettings {
        pub mode: ClientTlsMode,
        pub client_certificate: String,
        pub private_key: String,
        pub ca_certificates: String,
        pub credential_name: String,
        pub subject_alt_names: Vec<String>,
        pub sni: String,
        pub insecure_skip_verify: Option<bool>,
        pub ca_crl: String,
    }
}

enumerations! {
    /// The version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        V1 "V1" = 0,
        V2 "V2" = 1,
    }

    /// Whether HTTP/1.1 is raised to HTTP/2 towards the destination.
    pub enum H2UpgradePolicy {
        Default "DEFAULT" = 0,
        DoNotUpgrade "DO_NOT_UPGRADE" = 1,
        Upgrade "UPGRADE" = 2,
    }

    /// Kind of TLS towards the destination.
    pub enum ClientTlsMode {
        Disable "DISABLE" = 0,
        Simple "SIMPLE" = 1,
        Mutual "MUTUAL" = 2,
        IstioMutual "ISTIO_MUTUAL" = 3,
    }
}
