//! ProxyConfig of the mesh configuration: settings of the proxies.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use super::{ForwardClientCertDetails, ProxyHeaders, Tracing};
use crate::leniency::{Duration, enumerations, messages};
use crate::networking::{ClientTlsSettings, ProxyImage, ReadinessProbe, TcpKeepalive};

messages! {
    /// Secrets over SDS; deprecated.
    pub struct Sds {
        pub enabled: bool,
        pub k8s_sa_jwt_path: String,
    }

    /// What stands in front of a gateway.
    pub struct Topology {
        pub num_trusted_proxies: u32,
        pub forward_client_cert_details: ForwardClientCertDetails,
        pub proxy_protocol: Option<ProxyProtocolConfiguration>,
    }

    /// The PROXY protocol from clients; presence turns it on.
    pub struct ProxyProtocolConfiguration {}

    /// Hardware for TLS.
    pub struct PrivateKeyProvider {
        /// Excludes `qat`.
        pub cryptomb: Option<CryptoMb>,
        pub qat: Option<Qat>,
    }

    /// CryptoMB settings.
    pub struct CryptoMb {
        pub poll_delay: Option<Duration>,
        pub fallback: Option<bool>,
    }

    /// QuickAssist settings.
    pub struct Qat {
        pub poll_delay: Option<Duration>,
        pub fallback: Option<bool>,
    }

    /// Settings of proxies.
    pub struct ProxyConfig {
        pub config_path: String,
        pub binary_path: String,
        /// Excludes `tracing_service_name`.
        pub service_cluster: Option<String>,
        pub tracing_service_name: Option<TracingServiceName>,
        pub drain_duration: Option<Duration>,
        pub discovery_address: String,
        pub discovery_refresh_delay: Option<Duration>,
        pub zipkin_address: String,
        pub statsd_udp_address: String,
        pub envoy_metrics_service_address: String,
        pub proxy_admin_port: i32,
        pub availability_zone: String,
        pub control_plane_auth_policy: AuthenticationPolicy,
        pub custom_config_file: String,
        pub stat_name_length: i32,
        pub concurrency: Option<i32>,
        pub proxy_bootstrap_template_path: String,
        pub interception_mode: InboundInterceptionMode,
        pub tracing: Option<Tracing>,
        pub sds: Option<Sds>,
        pub envoy_access_log_service: Option<RemoteService>,
        pub envoy_metrics_service: Option<RemoteService>,
        pub proxy_metadata: BTreeMap<String, String>,
        pub runtime_values: BTreeMap<String, String>,
        pub status_port: i32,
        pub extra_stat_tags: Vec<String>,
        pub gateway_topology: Option<Topology>,
        pub termination_drain_duration: Option<Duration>,
        pub mesh_id: String,
        pub readiness_probe: Option<ReadinessProbe>,
        pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
        pub hold_application_until_proxy_starts: Option<bool>,
        pub ca_certificates_pem: Vec<String>,
        pub image: Option<ProxyImage>,
        pub private_key_provider: Option<PrivateKeyProvider>,
        pub proxy_headers: Option<ProxyHeaders>,
        pub file_flush_interval: Option<Duration>,
        pub file_flush_min_size_kb: u32,
        pub stats_compression: Option<bool>,
        pub connection_settings: Option<ConnectionSettings>,
    }

    /// Which statistics are kept.
    pub struct ProxyStatsMatcher {
        pub inclusion_prefixes: Vec<String>,
        pub inclusion_suffixes: Vec<String>,
        pub inclusion_regexps: Vec<String>,
    }

    /// Limits and timeouts of connections from clients.
    pub struct ConnectionSettings {
        pub profile: ConnectionProfile,
        pub listener_per_connection_buffer_limit_bytes: Option<i32>,
        pub cluster_per_connection_buffer_limit_bytes: Option<i32>,
        pub http_idle_timeout: Option<Duration>,
        pub http_max_connection_duration: Option<Duration>,
        pub http_drain_timeout: Option<Duration>,
        pub http_request_timeout: Option<Duration>,
        pub http_request_headers_timeout: Option<Duration>,
        pub http_stream_idle_timeout: Option<Duration>,
        pub http_max_stream_duration: Option<Duration>,
        pub http_max_concurrent_streams: Option<i32>,
        pub http2_initial_stream_window_size: Option<i32>,
        pub http2_initial_connection_window_size: Option<i32>,
        pub http_headers_with_underscores_action: HeadersWithUnderscoresAction,
        pub http_merge_slashes: Option<bool>,
        pub http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction,
        pub listener_connection_limit: Option<i32>,
        pub global_downstream_connection_limit: Option<i32>,
    }

    /// A service that proxies report to.
    pub struct RemoteService {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub tcp_keepalive: Option<TcpKeepalive>,
    }
}

enumerations! {
    /// How the control plane is reached.
    pub enum AuthenticationPolicy {
        None "NONE" = 0,
        MutualTls "MUTUAL_TLS" = 1,
        Inherit "INHERIT" = 1000,
    }

    /// How a service is named in traces.
    pub enum TracingServiceName {
        AppLabelAndNamespace "APP_LABEL_AND_NAMESPACE" = 0,
        CanonicalNameOnly "CANONICAL_NAME_ONLY" = 1,
        CanonicalNameAndNamespace "CANONICAL_NAME_AND_NAMESPACE" = 2,
    }

    /// How inbound traffic gets to the proxy.
    pub enum InboundInterceptionMode {
        Redirect "REDIRECT" = 0,
        Tproxy "TPROXY" = 1,
        None "NONE" = 2,
    }

    /// A set of such limits.
    pub enum ConnectionProfile {
        Sidecar "SIDECAR" = 0,
        Edge "EDGE" = 1,
    }

    /// What happens to headers with underscores.
    pub enum HeadersWithUnderscoresAction {
        HeadersWithUnderscoresUnspecified "HEADERS_WITH_UNDERSCORES_UNSPECIFIED" = 0,
        HeadersWithUnderscoresAllow "HEADERS_WITH_UNDERSCORES_ALLOW" = 1,
        HeadersWithUnderscoresRejectRequest "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST" = 2,
        HeadersWithUnderscoresDropHeader "HEADERS_WITH_UNDERSCORES_DROP_HEADER" = 3,
    }

    /// What happens to paths with escaped slashes.
    pub enum PathWithEscapedSlashesAction {
        PathWithEscapedSlashesUnspecified "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED" = 0,
        KeepUnchanged "KEEP_UNCHANGED" = 1,
        RejectRequest "REJECT_REQUEST" = 2,
        UnescapeAndRedirect "UNESCAPE_AND_REDIRECT" = 3,
        UnescapeAndForward "UNESCAPE_AND_FORWARD" = 4,
    }
}
