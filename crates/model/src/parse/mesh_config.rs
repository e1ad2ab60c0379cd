//! MeshConfig: what was written over istiod's built-in defaults.

use std::time::Duration;

use istio_api::leniency::Duration as ApiDuration;
use istio_api::mesh as api;
use serde_json::Value as Json;

use super::networking::http_route::retry;
use super::networking::load_balancer::{locality, zone_aware};
use super::networking::reader::{Reader, text, texts};
use super::networking::traffic_policy::{client_tls, connection_pool, keepalive, outlier};
use super::providers::extension_provider;
use super::substitution::{Place, fault as format_fault, json_fault};
use super::{decode, proxy_config};
use crate::labels::{Condition, LabelSelector};
use crate::mesh_config::{MeshConfig, PathNormalization, TlsSettings};
use crate::networking::{
    ExportTo, H2Upgrade, LocalityLb, OutboundMode, OutboundTrafficPolicy, TlsVersion, TrafficPolicy,
};
use crate::{Host, Key, Problem, Text};

/// The mesh's configuration from what was written, over the built-in defaults; `None` if it cannot be used.
///
/// How the two are laid over each other: istiod-surface, mesh configuration, merge.
pub fn parse_mesh_config(written: &Json, key: &Key, problems: &mut Vec<Problem>) -> Option<MeshConfig> {
    parse_mesh_layers(&[written], key, problems)
}

/// The mesh's configuration from several texts, each laid over those before it.
pub fn parse_mesh_layers(written: &[&Json], key: &Key, problems: &mut Vec<Problem>) -> Option<MeshConfig> {
    let mut config = api::MeshConfig::built_in();
    for layer in written {
        decode::<api::MeshConfig>(layer, "", key, problems)?;
        config = match config.overlaid(layer) {
            Ok(config) => config,
            Err(error) => {
                problems.push(Problem::error(key, "wrong-type", "", error.to_string()));
                return None;
            }
        };
    }
    let mut reader = Reader::of_whole(key);
    let value = mesh_config(&mut reader, config);
    let (value, found) = reader.finish(value);
    problems.extend(found);
    value
}

/// The mesh's configuration from several texts, each laid over those before it and the built-in defaults, in the
/// API's own form: for people. `None` if one cannot be used.
pub fn mesh_as_json(written: &[&Json]) -> Option<Json> {
    let laid = written.iter().try_fold(api::MeshConfig::built_in(), |below, text| below.overlaid(text).ok());
    serde_json::to_value(laid?).ok()
}

/// All fields; what shapes traffic and what is told by name have parts of their own.
fn mesh_config(reader: &mut Reader<'_>, config: api::MeshConfig) -> MeshConfig {
    let mut mesh = MeshConfig::default();
    ports(reader, &config, &mut mesh);
    traffic(reader, &config, &mut mesh);
    visibility(&config, &mut mesh);
    mesh.discovery_selectors = discovery(reader, &config.discovery_selectors);
    telemetry(reader, &config, &mut mesh);
    trust(&config, &mut mesh);
    mesh.default_config = proxy_config::convert(config.default_config.unwrap_or_default());
    mesh
}

fn ports(reader: &mut Reader<'_>, config: &api::MeshConfig, mesh: &mut MeshConfig) {
    mesh.proxy_listen_port = port(reader, "proxyListenPort", config.proxy_listen_port);
    mesh.proxy_inbound_listen_port = port(reader, "proxyInboundListenPort", config.proxy_inbound_listen_port);
    mesh.proxy_http_port = port(reader, "proxyHttpPort", config.proxy_http_port);
}

fn port(reader: &mut Reader<'_>, field: &str, number: i32) -> u16 {
    // A negative number is out of range too, whatever it becomes.
    reader.port(field, u32::try_from(number).unwrap_or(u32::MAX))
}

/// A duration that must be longer than nothing, or the default.
fn positive(
    reader: &mut Reader<'_>,
    field: &str,
    written: Option<ApiDuration>,
    default: Duration,
) -> Duration {
    reader.positive_duration(field, written).unwrap_or(default)
}

fn traffic(reader: &mut Reader<'_>, config: &api::MeshConfig, mesh: &mut MeshConfig) {
    mesh.connect_timeout = positive(reader, "connectTimeout", config.connect_timeout, mesh.connect_timeout);
    mesh.dns_refresh_rate =
        positive(reader, "dnsRefreshRate", config.dns_refresh_rate, mesh.dns_refresh_rate);
    let detection = reader.duration("protocolDetectionTimeout", config.protocol_detection_timeout);
    mesh.protocol_detection_timeout = detection.unwrap_or_default();
    mesh.tcp_keepalive = reader.optional("tcpKeepalive", config.tcp_keepalive.as_ref(), keepalive);
    let policy = config.outbound_traffic_policy.as_ref();
    mesh.outbound_traffic_policy = outbound(policy);
    let tls = policy.and_then(|policy| policy.tls.as_ref());
    mesh.outbound_tls = reader.optional("outboundTrafficPolicy.tls", tls, client_tls);
    let inbound = config.inbound_traffic_policy.clone().unwrap_or_default();
    mesh.inbound_passthrough = inbound.mode == api::InboundMode::Passthrough;
    mesh.locality_lb = locality_lb(reader, config);
    mesh.zone_aware = config.zone_aware_lb_setting.as_ref().map(zone_aware);
    mesh.h2_upgrade = match config.h2_upgrade_policy {
        api::MeshH2UpgradePolicy::DoNotUpgrade => H2Upgrade::DoNotUpgrade,
        api::MeshH2UpgradePolicy::Upgrade => H2Upgrade::Upgrade,
    };
    mesh.path_normalization = path_normalization(config.path_normalization.as_ref());
    let retries = config.default_http_retry_policy.as_ref();
    mesh.default_http_retry = reader.optional("defaultHttpRetryPolicy", retries, retry);
    let retries = config.default_inbound_http_retry_policy.as_ref();
    mesh.default_inbound_http_retry = reader.optional("defaultInboundHttpRetryPolicy", retries, retry);
    let policy = config.default_traffic_policy.as_ref();
    mesh.default_traffic_policy =
        reader.optional("defaultTrafficPolicy", policy, |reader, policy| TrafficPolicy {
            connection_pool: reader.optional(
                "connectionPool",
                policy.connection_pool.as_ref(),
                connection_pool,
            ),
            outlier_detection: reader.optional(
                "outlierDetection",
                policy.outlier_detection.as_ref(),
                outlier,
            ),
            ..TrafficPolicy::default()
        });
}

fn outbound(policy: Option<&api::MeshOutboundTrafficPolicy>) -> OutboundTrafficPolicy {
    let mode = match policy.map(|policy| policy.mode).unwrap_or_default() {
        api::MeshOutboundMode::RegistryOnly => OutboundMode::RegistryOnly,
        api::MeshOutboundMode::AllowAny => OutboundMode::AllowAny,
        api::MeshOutboundMode::AllowAnyDynamicDns => OutboundMode::AllowAnyDynamicDns,
    };
    OutboundTrafficPolicy { mode, egress_proxy: None }
}

fn locality_lb(reader: &mut Reader<'_>, config: &api::MeshConfig) -> Option<LocalityLb> {
    let setting = reader.optional("localityLbSetting", config.locality_lb_setting.as_ref(), locality);
    setting.filter(|setting| setting.enabled != Some(false))
}

fn path_normalization(spec: Option<&api::ProxyPathNormalization>) -> PathNormalization {
    match spec.map(|spec| spec.normalization).unwrap_or_default() {
        api::NormalizationType::Default | api::NormalizationType::Base => PathNormalization::Base,
        api::NormalizationType::None => PathNormalization::None,
        api::NormalizationType::MergeSlashes => PathNormalization::MergeSlashes,
        api::NormalizationType::DecodeAndMergeSlashes => PathNormalization::DecodeAndMergeSlashes,
    }
}

fn visibility(config: &api::MeshConfig, mesh: &mut MeshConfig) {
    mesh.default_service_export_to = export_to(&config.default_service_export_to);
    mesh.default_virtual_service_export_to = export_to(&config.default_virtual_service_export_to);
    mesh.default_destination_rule_export_to = export_to(&config.default_destination_rule_export_to);
    mesh.root_namespace = text(&config.root_namespace);
    let settings = config.service_settings.iter();
    mesh.service_settings = settings
        .map(|one| {
            let hosts = one.hosts.iter().map(|host| Host::new(host)).collect();
            (hosts, one.settings.as_ref().is_some_and(|settings| settings.cluster_local))
        })
        .collect();
    mesh.service_entry_private = config.service_entry_visibility.as_ref().is_some_and(|visibility| {
        visibility.apply_to_sidecars && visibility.default_visibility == api::Visibility::Namespace
    });
    mesh.ingress_class = text(&config.ingress_class);
}

/// Selectors of namespaces; all namespaces count where one of them cannot be read.
fn discovery(reader: &mut Reader<'_>, written: &[api::LabelSelector]) -> Vec<LabelSelector> {
    let condition = |reader: &mut Reader<'_>, spec: &api::LabelSelectorRequirement| {
        let (key, values) = (text(&spec.key), texts(&spec.values));
        match spec.operator.as_str() {
            "In" => Some(Condition::In(key, values)),
            "NotIn" => Some(Condition::NotIn(key, values)),
            "Exists" => Some(Condition::Exists(key)),
            "DoesNotExist" => Some(Condition::Missing(key)),
            other => {
                let detail = format!("{other:?} is none of In, NotIn, Exists, DoesNotExist");
                reader.leave_out("operator", "selector-operator-unknown", detail);
                None
            }
        }
    };
    let selectors = reader.each("discoverySelectors", written, |reader, spec| {
        let conditions = reader.each("matchExpressions", &spec.match_expressions, condition);
        let conditions: Option<Vec<Condition>> = conditions.into_iter().collect();
        let labels = spec.match_labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Some(LabelSelector { labels: labels.collect(), conditions: conditions? })
    });
    selectors.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// A default of `exportTo`; `.`, which is another namespace for each object, stays.
fn export_to(list: &[String]) -> ExportTo {
    let has = |word: &str| list.iter().any(|one| one == word);
    if list.is_empty() || has("*") {
        return ExportTo::Public;
    }
    if has("~") {
        return ExportTo::Namespaces(Vec::new());
    }
    let mut namespaces: Vec<Text> = texts(list);
    namespaces.sort();
    namespaces.dedup();
    ExportTo::Namespaces(namespaces)
}

fn telemetry(reader: &mut Reader<'_>, config: &api::MeshConfig, mesh: &mut MeshConfig) {
    mesh.enable_tracing = config.enable_tracing;
    mesh.access_log_file = text(&config.access_log_file);
    mesh.access_log_json = config.access_log_encoding == api::AccessLogEncoding::Json;
    mesh.access_log_format = access_log_format(reader, &config.access_log_format, mesh.access_log_json);
    mesh.enable_access_log_service = config.enable_envoy_access_log_service;
    mesh.disable_listener_log = config.disable_envoy_listener_log;
    mesh.inbound_cluster_stat_name = text(&config.inbound_cluster_stat_name);
    mesh.outbound_cluster_stat_name = text(&config.outbound_cluster_stat_name);
    let providers = reader.each("extensionProviders", &config.extension_providers, extension_provider);
    mesh.extension_providers = providers.into_iter().flatten().collect();
    let defaults = config.default_providers.clone().unwrap_or_default();
    mesh.default_metrics = texts(&defaults.metrics);
    mesh.default_tracing = texts(&defaults.tracing);
    mesh.default_access_logging = texts(&defaults.access_logging);
}

/// The format of access logs; the default one, which is empty here, if proxies cannot make one of what is written.
fn access_log_format(reader: &mut Reader<'_>, written: &str, is_json: bool) -> Text {
    let fault = match serde_json::from_str(written) {
        Ok(fields) if is_json => json_fault(&fields),
        // What is no JSON object stands for the default one.
        Err(_) if is_json => None,
        _ => format_fault(written, Place::Log),
    };
    let Some(fault) = fault else { return text(written) };
    reader.fail("accessLogFormat", fault.code(), (fault.detail(), "the default format is served"));
    Text::default()
}

fn trust(config: &api::MeshConfig, mesh: &mut MeshConfig) {
    mesh.enable_auto_mtls = config.enable_auto_mtls.unwrap_or(true);
    mesh.trust_domain = text(&config.trust_domain);
    mesh.trust_domain_aliases = texts(&config.trust_domain_aliases);
    let roots = config.ca_certificates.iter();
    mesh.ca_trust_domains = roots.flat_map(|root| texts(&root.trust_domains)).collect();
    mesh.mesh_mtls = tls_settings(config.mesh_mtls.as_ref());
    mesh.tls_defaults = tls_settings(config.tls_defaults.as_ref());
}

fn tls_settings(spec: Option<&api::TlsConfig>) -> TlsSettings {
    let Some(spec) = spec else { return TlsSettings::default() };
    TlsSettings {
        min_version: match spec.min_protocol_version {
            api::MeshTlsProtocol::TlsAuto => None,
            api::MeshTlsProtocol::Tlsv12 => Some(TlsVersion::V1_2),
            api::MeshTlsProtocol::Tlsv13 => Some(TlsVersion::V1_3),
        },
        cipher_suites: texts(&spec.cipher_suites),
        ecdh_curves: texts(&spec.ecdh_curves),
    }
}

#[cfg(test)]
#[path = "mesh_config_tests.rs"]
mod tests;
