//! MeshConfig: settings of the whole mesh.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use super::{ExtensionProvider, ProxyConfig};
use crate::leniency::{Duration, enumerations, messages};
use crate::networking::{
    ClientTlsSettings, ConnectionPoolSettings, HttpRetry, LocalityLoadBalancerSetting, OutlierDetection,
    TcpKeepalive, ZoneAwareLoadBalancerSetting,
};

messages! {
    /// Settings of the whole mesh.
    pub struct MeshConfig {
        pub proxy_listen_port: i32,
        pub proxy_inbound_listen_port: i32,
        pub proxy_http_port: i32,
        pub connect_timeout: Option<Duration>,
        pub hbone_idle_timeout: Option<Duration>,
        pub protocol_detection_timeout: Option<Duration>,
        pub tcp_keepalive: Option<TcpKeepalive>,
        pub ingress_class: String,
        pub ingress_service: String,
        pub ingress_controller_mode: IngressControllerMode,
        pub ingress_selector: String,
        pub enable_tracing: bool,
        pub access_log_file: String,
        pub access_log_format: String,
        pub access_log_encoding: AccessLogEncoding,
        pub enable_envoy_access_log_service: bool,
        pub disable_envoy_listener_log: bool,
        pub default_config: Option<ProxyConfig>,
        pub outbound_traffic_policy: Option<MeshOutboundTrafficPolicy>,
        pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
        pub config_sources: Vec<ConfigSource>,
        pub enable_auto_mtls: Option<bool>,
        pub trust_domain: String,
        pub trust_domain_aliases: Vec<String>,
        pub ca_certificates: Vec<CertificateData>,
        pub default_service_export_to: Vec<String>,
        pub default_virtual_service_export_to: Vec<String>,
        pub default_destination_rule_export_to: Vec<String>,
        pub root_namespace: String,
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
        pub dns_refresh_rate: Option<Duration>,
        pub h2_upgrade_policy: MeshH2UpgradePolicy,
        pub inbound_cluster_stat_name: String,
        pub outbound_cluster_stat_name: String,
        pub certificates: Vec<Certificate>,
        pub service_settings: Vec<ServiceSettings>,
        pub service_scope_configs: Vec<ServiceScopeConfig>,
        pub enable_prometheus_merge: Option<bool>,
        pub verify_certificate_at_client: Option<bool>,
        pub ca: Option<CaSettings>,
        pub extension_providers: Vec<ExtensionProvider>,
        pub default_providers: Option<DefaultProviders>,
        pub discovery_selectors: Vec<LabelSelector>,
        pub path_normalization: Option<ProxyPathNormalization>,
        pub default_http_retry_policy: Option<HttpRetry>,
        pub default_inbound_http_retry_policy: Option<HttpRetry>,
        pub mesh_mtls as "mesh_mTLS": Option<TlsConfig>,
        pub tls_defaults: Option<TlsConfig>,
        pub default_traffic_policy: Option<DefaultTrafficPolicy>,
        pub service_entry_visibility: Option<ServiceEntryVisibility>,
    }

    /// What happens to traffic to unknown destinations.
    pub struct MeshOutboundTrafficPolicy {
        pub mode: MeshOutboundMode,
        pub tls: Option<ClientTlsSettings>,
    }

    /// Where inbound traffic to unknown ports goes.
    pub struct InboundTrafficPolicy {
        pub mode: InboundMode,
    }

    /// Further roots that are trusted, and for whom.
    pub struct CertificateData {
        /// Excludes `spiffe_bundle_url`.
        pub pem: Option<String>,
        pub spiffe_bundle_url: Option<String>,
        pub cert_signers: Vec<String>,
        pub trust_domains: Vec<String>,
    }

    /// Settings of the services with certain hosts.
    pub struct ServiceSettings {
        pub settings: Option<ServiceSettingsValues>,
        pub hosts: Vec<String>,
    }

    /// The settings themselves.
    pub struct ServiceSettingsValues {
        pub cluster_local: bool,
    }

    /// Which services are seen from other clusters.
    pub struct ServiceScopeConfig {
        pub namespace_selector: Option<LabelSelector>,
        pub services_selector: Option<LabelSelector>,
        pub scope: ServiceScope,
    }

    /// An external certificate authority.
    pub struct CaSettings {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub request_timeout: Option<Duration>,
        pub istiod_side: bool,
    }

    /// The providers used where no Telemetry object names one.
    pub struct DefaultProviders {
        pub tracing: Vec<String>,
        pub metrics: Vec<String>,
        pub access_logging: Vec<String>,
    }

    /// How paths are normalized before routing.
    pub struct ProxyPathNormalization {
        pub normalization: NormalizationType,
    }

    /// Versions, curves and ciphers of TLS.
    pub struct TlsConfig {
        pub min_protocol_version: MeshTlsProtocol,
        pub ecdh_curves: Vec<String>,
        pub cipher_suites: Vec<String>,
    }

    /// What every DestinationRule starts from.
    pub struct DefaultTrafficPolicy {
        pub connection_pool: Option<ConnectionPoolSettings>,
        pub outlier_detection: Option<OutlierDetection>,
    }

    /// A selector as Kubernetes has it.
    pub struct LabelSelector {
        pub match_labels as "matchLabels": BTreeMap<String, String>,
        pub match_expressions as "matchExpressions": Vec<LabelSelectorRequirement>,
    }

    /// One condition of a selector.
    pub struct LabelSelectorRequirement {
        pub key: String,
        pub operator: String,
        pub values: Vec<String>,
    }

    /// Who sees a ServiceEntry that does not say.
    pub struct ServiceEntryVisibility {
        pub default_visibility: Visibility,
        pub apply_to_sidecars: bool,
        pub policies: Vec<VisibilityPolicy>,
    }

    /// The visibility of entries in certain namespaces.
    pub struct VisibilityPolicy {
        pub visibility: Visibility,
        pub matching_rules: Vec<VisibilityMatchRule>,
    }

    /// Which namespaces a policy is about.
    pub struct VisibilityMatchRule {
        pub namespace_selector: Option<LabelSelector>,
    }

    /// A place that configuration is read from.
    pub struct ConfigSource {
        pub address: String,
        pub tls_settings: Option<ClientTlsSettings>,
        pub subscribed_resources: Vec<SubscribedResource>,
    }

    /// A DNS certificate to be put into a Secret; deprecated.
    pub struct Certificate {
        pub secret_name: String,
        pub dns_names: Vec<String>,
    }
}

enumerations! {
    /// Which Ingress objects are served.
    pub enum IngressControllerMode {
        Unspecified "UNSPECIFIED" = 0,
        Off "OFF" = 1,
        Default "DEFAULT" = 2,
        Strict "STRICT" = 3,
    }

    /// Mutual TLS with the control plane; without effect.
    pub enum AuthPolicy {
        None "NONE" = 0,
        MutualTls "MUTUAL_TLS" = 1,
    }

    /// The form of access log lines.
    pub enum AccessLogEncoding {
        Text "TEXT" = 0,
        Json "JSON" = 1,
    }

    /// Whether unknown destinations may be called.
    pub enum MeshOutboundMode {
        RegistryOnly "REGISTRY_ONLY" = 0,
        AllowAny "ALLOW_ANY" = 1,
        AllowAnyDynamicDns "ALLOW_ANY_DYNAMIC_DNS" = 3,
    }

    /// Whether inbound traffic goes to its original address or to the loopback address.
    pub enum InboundMode {
        Passthrough "PASSTHROUGH" = 0,
        Localhost "LOCALHOST" = 1,
    }

    /// Whether HTTP/1.1 is raised to HTTP/2 between proxies.
    pub enum MeshH2UpgradePolicy {
        DoNotUpgrade "DO_NOT_UPGRADE" = 0,
        Upgrade "UPGRADE" = 1,
    }

    /// Whether a service is seen from other clusters.
    pub enum ServiceScope {
        Local "LOCAL" = 0,
        Global "GLOBAL" = 1,
    }

    /// Degrees of path normalization.
    pub enum NormalizationType {
        Default "DEFAULT" = 0,
        None "NONE" = 1,
        Base "BASE" = 2,
        MergeSlashes "MERGE_SLASHES" = 3,
        DecodeAndMergeSlashes "DECODE_AND_MERGE_SLASHES" = 4,
    }

    /// The least version of TLS.
    pub enum MeshTlsProtocol {
        TlsAuto "TLS_AUTO" = 0,
        Tlsv12 "TLSV1_2" = 1,
        Tlsv13 "TLSV1_3" = 2,
    }

    /// What a configuration source is asked for.
    pub enum SubscribedResource {
        ServiceRegistry "SERVICE_REGISTRY" = 0,
    }

    /// Who sees a ServiceEntry.
    pub enum Visibility {
        VisibilityUnspecified "VISIBILITY_UNSPECIFIED" = 0,
        None "NONE" = 1,
        Namespace "NAMESPACE" = 2,
        Public "PUBLIC" = 3,
    }
}
