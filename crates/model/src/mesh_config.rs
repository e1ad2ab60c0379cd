//! The mesh's configuration as checked values; what was not written has the built-in default.

use std::time::Duration;

use crate::labels::LabelSelector;
use crate::networking::{
    ClientTls, ConnectionPool, ExportTo, H2Upgrade, LocalityLb, OutboundMode, OutboundTrafficPolicy, Retry,
    TcpKeepalive, TlsVersion, TrafficPolicy, ZoneAware,
};
use crate::proxy_config::ProxyConfig;
use crate::{Host, Text};

/// The mesh's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// Port of the outbound capture listener, default 15001; 0 for no listeners at all.
    pub proxy_listen_port: u16,
    /// Port of the inbound capture listener, default 15006.
    pub proxy_inbound_listen_port: u16,
    /// Port of an explicit HTTP proxy, 0 for none.
    pub proxy_http_port: u16,
    /// Time limit of connecting, default 10 s.
    pub connect_timeout: Duration,
    /// Keepalive of connections to endpoints.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How long a proxy looks at first bytes; zero waits for ever.
    pub protocol_detection_timeout: Duration,
    /// Whether requests are traced, default true.
    pub enable_tracing: bool,
    /// File of access logs, empty for none.
    pub access_log_file: Text,
    /// Their format, empty for the default.
    pub access_log_format: Text,
    /// Whether they are JSON.
    pub access_log_json: bool,
    /// Whether access logs go to the gRPC access log service.
    pub enable_access_log_service: bool,
    /// Whether listeners' own access logs are left out.
    pub disable_listener_log: bool,
    /// Settings of proxies.
    pub default_config: ProxyConfig,
    /// Traffic to unknown destinations.
    pub outbound_traffic_policy: OutboundTrafficPolicy,
    /// TLS towards unknown destinations whose names are resolved as they are called.
    pub outbound_tls: Option<ClientTls>,
    /// Whether inbound traffic goes to the address that was called (`PASSTHROUGH`, default) or to
    /// the loopback address (`LOCALHOST`).
    pub inbound_passthrough: bool,
    /// Whether proxies use mutual TLS where they can, default true.
    pub enable_auto_mtls: bool,
    /// The trust domain, default `cluster.local`.
    pub trust_domain: Text,
    /// Former trust domains, sorted.
    pub trust_domain_aliases: Vec<Text>,
    /// Trust domains of further roots (`caCertificates[].trustDomains`).
    pub ca_trust_domains: Vec<Text>,
    /// Default of Services' and ServiceEntries' `exportTo`.
    pub default_service_export_to: ExportTo,
    /// Default of VirtualServices' `exportTo`; `.` is kept as a namespace named `.`.
    pub default_virtual_service_export_to: ExportTo,
    /// Default of DestinationRules' `exportTo`; `.` is kept as a namespace named `.`.
    pub default_destination_rule_export_to: ExportTo,
    /// Namespace of mesh-wide objects, default `istio-system`.
    pub root_namespace: Text,
    /// Locality load balancing; `None` if switched off.
    pub locality_lb: Option<LocalityLb>,
    /// Zone-aware routing.
    pub zone_aware: Option<ZoneAware>,
    /// How often names are resolved, default 60 s.
    pub dns_refresh_rate: Duration,
    /// Whether HTTP/1.1 is upgraded to HTTP/2 by default.
    pub h2_upgrade: H2Upgrade,
    /// Pattern of statistics names of inbound clusters, empty for the default.
    pub inbound_cluster_stat_name: Text,
    /// Pattern of statistics names of outbound clusters, empty for the default.
    pub outbound_cluster_stat_name: Text,
    /// Which namespaces count; empty for all.
    pub discovery_selectors: Vec<LabelSelector>,
    /// Hosts that are, or are not, local to their cluster: (hosts, clusterLocal).
    pub service_settings: Vec<(Vec<Host>, bool)>,
    /// Providers of telemetry and authorization by name.
    pub extension_providers: Vec<ExtensionProvider>,
    /// Names of default providers of metrics.
    pub default_metrics: Vec<Text>,
    /// Names of default providers of tracing.
    pub default_tracing: Vec<Text>,
    /// Names of default providers of access logs.
    pub default_access_logging: Vec<Text>,
    /// How paths are made normal.
    pub path_normalization: PathNormalization,
    /// Retries of routes that say nothing; `None` for istiod's own default.
    pub default_http_retry: Option<Retry>,
    /// Retries of inbound routes; `None` for istiod's own default.
    pub default_inbound_http_retry: Option<Retry>,
    /// TLS of mutual TLS.
    pub mesh_mtls: TlsSettings,
    /// TLS of everything else.
    pub tls_defaults: TlsSettings,
    /// Base of all DestinationRules (its pool and outlier detection).
    pub default_traffic_policy: Option<TrafficPolicy>,
    /// Whether ServiceEntries are visible only in their namespace where the rule applies to sidecars.
    pub service_entry_private: bool,
    /// The class of Ingress objects that are ours (default `istio`).
    pub ingress_class: Text,
}

/// Which hosts' endpoints serve clients of their own cluster only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterLocals {
    /// The host of the control plane.
    control: Text,
    /// Hosts that are, or are not, local to their cluster.
    written: Vec<(Vec<Host>, bool)>,
}

impl ClusterLocals {
    /// Whether a host's endpoints serve clients of their own cluster only: what `serviceSettings` say, most
    /// specific first, else the hosts of every cluster's own services and of the control plane.
    pub fn covers(&self, host: &Host, domain: &str) -> bool {
        let stem = |name| str::strip_suffix(name, domain).and_then(|stem| stem.strip_suffix('.'));
        let control = stem(&*self.control).unwrap_or(&*self.control);
        let built_in = stem(host.as_str()).and_then(|stem| match stem {
            _ if stem == "kubernetes.default.svc" || stem == control => Some(host.clone()),
            _ if stem.ends_with(KUBE_SYSTEM) => Some(Host::new(&format!("*{KUBE_SYSTEM}.{domain}"))),
            _ => None,
        });
        let written = || self.written.iter().flat_map(|(hosts, is)| hosts.iter().map(|one| (one, *is)));
        // A host that is said to be not local takes away the built-in one that it is or is within.
        let is_within = |one: &Host, all: &Host| {
            one == all || all.wildcard_suffix().is_some_and(|suffix| one.as_str().ends_with(suffix))
        };
        let kept = |all: &Host| !written().any(|(one, local)| !local && is_within(one, all));
        let built_in = built_in.filter(kept);
        // Of equal hosts the last one counts.
        let all = written().chain(built_in.as_ref().map(|host| (host, true)));
        let matching = all.filter(|(one, _)| host.is_subset_of(one));
        let narrowest =
            matching.reduce(|best, one| if one.0.specificity(best.0).is_le() { one } else { best });
        narrowest.is_some_and(|(_, local)| local)
    }
}

/// Versions, cipher suites and curves of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// Lowest version; `None` for the default.
    pub min_version: Option<TlsVersion>,
    /// Cipher suites; empty for the default.
    pub cipher_suites: Vec<Text>,
    /// Curves; empty for the default.
    pub ecdh_curves: Vec<Text>,
}

/// How paths are made normal before they are matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum PathNormalization {
    None,
    #[default]
    Base,
    MergeSlashes,
    DecodeAndMergeSlashes,
}

/// A provider of telemetry by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtensionProvider {
    /// Its name.
    pub name: Text,
    /// What it is.
    pub kind: ProviderKind,
}

/// What a provider is; kinds that no listener is made for are `Other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Metrics by proxies' own statistics.
    Prometheus,
    /// Access log to a file.
    FileAccessLog(FileAccessLog),
    /// OpenTelemetry traces.
    OpenTelemetry(TracingService),
    /// Zipkin traces.
    Zipkin(TracingService),
    /// Datadog traces.
    Datadog(TracingService),
    /// SkyWalking traces.
    SkyWalking(TracingService),
    /// Anything else, by the field's name.
    Other(Text),
}

impl ProviderKind {
    /// The service that takes traces, for providers of tracing.
    pub fn service(&self) -> Option<&TracingService> {
        match self {
            Self::OpenTelemetry(service)
            | Self::Zipkin(service)
            | Self::Datadog(service)
            | Self::SkyWalking(service) => Some(service),
            Self::Prometheus | Self::FileAccessLog(_) | Self::Other(_) => None,
        }
    }

    /// The service that it names, `host` or `namespace/host`.
    pub fn service_name(&self) -> Option<&Text> {
        self.service().map(|service| &service.service)
    }
}

/// Access log to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileAccessLog {
    /// The file, default `/dev/stdout`.
    pub path: Text,
    /// Text format; `None` if labels or nothing was said.
    pub text: Option<Text>,
    /// JSON format: label → format; `Some` and empty is the default JSON.
    pub labels: Option<Vec<(Text, Text)>>,
    /// Whether empty values are left out.
    pub omit_empty: bool,
}

/// A service that takes traces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TracingService {
    /// `host` or `namespace/host`.
    pub service: Text,
    /// Its port.
    pub port: u16,
    /// Longest path in the tag; `None` if not said.
    pub max_tag_length: Option<u32>,
    /// Path for HTTP, may be empty.
    pub path: Text,
    /// Time limit.
    pub timeout: Option<Duration>,
    /// Whether gRPC is used (OpenTelemetry without `http`).
    pub grpc: bool,
    /// Whether trace ids are 64 bits long (Zipkin).
    pub short_trace_ids: bool,
}

impl Default for MeshConfig {
    /// istiod's built-in defaults.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        let envoy_log = FileAccessLog { path: "/dev/stdout".into(), ..FileAccessLog::default() };
        let provider = |name: &str, kind| ExtensionProvider { name: name.into(), kind };
        Self {
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            proxy_http_port: 0,
            connect_timeout: seconds(10),
            tcp_keepalive: None,
            protocol_detection_timeout: Duration::ZERO,
            enable_tracing: true,
            access_log_file: "".into(),
            access_log_format: "".into(),
            access_log_json: false,
            enable_access_log_service: false,
            disable_listener_log: false,
            default_config: ProxyConfig::default(),
            outbound_traffic_policy: OutboundTrafficPolicy {
                mode: OutboundMode::AllowAny,
                egress_proxy: None,
            },
            outbound_tls: None,
            inbound_passthrough: true,
            enable_auto_mtls: true,
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            ca_trust_domains: Vec::new(),
            default_service_export_to: ExportTo::Public,
            default_virtual_service_export_to: ExportTo::Public,
            default_destination_rule_export_to: ExportTo::Public,
            root_namespace: "istio-system".into(),
            locality_lb: Some(LocalityLb { enabled: Some(true), ..LocalityLb::default() }),
            zone_aware: None,
            dns_refresh_rate: seconds(60),
            h2_upgrade: H2Upgrade::DoNotUpgrade,
            inbound_cluster_stat_name: "".into(),
            outbound_cluster_stat_name: "".into(),
            discovery_selectors: Vec::new(),
            service_settings: Vec::new(),
            extension_providers: vec![
                provider("prometheus", ProviderKind::Prometheus),
                provider("stackdriver", ProviderKind::Other("stackdriver".into())),
                provider("envoy", ProviderKind::FileAccessLog(envoy_log)),
            ],
            default_metrics: Vec::new(),
            default_tracing: Vec::new(),
            default_access_logging: Vec::new(),
            path_normalization: PathNormalization::Base,
            default_http_retry: None,
            default_inbound_http_retry: None,
            mesh_mtls: TlsSettings::default(),
            tls_defaults: TlsSettings::default(),
            default_traffic_policy: None,
            service_entry_private: false,
            ingress_class: "istio".into(),
        }
    }
}

/// Where every cluster's own services are.
const KUBE_SYSTEM: &str = ".kube-system.svc";

impl MeshConfig {
    /// The provider of this name, in whatever case it is written.
    pub fn provider(&self, name: &str) -> Option<&ExtensionProvider> {
        self.extension_providers.iter().find(|provider| provider.name.eq_ignore_ascii_case(name))
    }

    /// Which hosts' endpoints serve clients of their own cluster only.
    pub fn cluster_locals(&self) -> ClusterLocals {
        let control = self.default_config.discovery_address.rsplit_once(':').map_or("", |(host, _)| host);
        ClusterLocals { control: control.into(), written: self.service_settings.clone() }
    }

    /// The pool that stands in for one that a rule leaves out.
    pub fn default_pool(&self) -> Option<&ConnectionPool> {
        self.default_traffic_policy.as_ref()?.connection_pool.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_cluster_stay_within_it() {
        let settings = |list: &[(&str, bool)]| {
            let settings = list.iter().map(|(host, local)| (vec![Host::new(host)], *local)).collect();
            let discovery_address = "istiod.istio-system.svc:15012".into();
            let default_config = ProxyConfig { discovery_address, ..ProxyConfig::default() };
            MeshConfig { service_settings: settings, default_config, ..MeshConfig::default() }
        };
        let check = |written: &[(&str, bool)], host: &str, local: bool| {
            let mesh = settings(written);
            assert_eq!(
                mesh.cluster_locals().covers(&Host::new(host), "cluster.local"),
                local,
                "{host} {written:?}"
            );
        };
        let dns = "kube-dns.kube-system.svc.cluster.local";
        let (istiod, api) = ("istiod.istio-system.svc.cluster.local", "kubernetes.default.svc.cluster.local");
        let reviews = "reviews.default.svc.cluster.local";
        for (host, local) in [(dns, true), (istiod, true), (api, true), (reviews, false), ("a.com", false)] {
            check(&[], host, local);
        }
        check(&[("*.default.svc.cluster.local", true)], reviews, true);
        check(&[("*.default.svc.cluster.local", true), (reviews, false)], reviews, false);
        check(&[(reviews, true), ("*", false)], reviews, true);
        check(&[(dns, false)], dns, false);
        check(&[(dns, false)], "other.kube-system.svc.cluster.local", false);
        check(&[("*", false)], dns, true);
        check(&[("*.svc.cluster.local", false)], dns, true);
    }
}
