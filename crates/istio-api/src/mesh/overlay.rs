//! The built-in mesh configuration, and how a user's text is laid over another configuration.

use std::collections::BTreeMap;

use serde_json::{Error, Map, Value};

use super::{
    AuthenticationPolicy, DefaultProviders, EnvoyFileAccessLogProvider, ExtensionProvider,
    InboundTrafficPolicy, IngressControllerMode, MeshConfig, MeshOutboundMode, MeshOutboundTrafficPolicy,
    PrometheusMetricsProvider, ProxyConfig, ProxyHeaders, StackdriverProvider,
};
use crate::leniency::{Duration, overlay};
use crate::networking::LocalityLoadBalancerSetting;

impl MeshConfig {
    /// What holds where the user says nothing (istiod 1.30 and later).
    pub fn built_in() -> Self {
        let everyone = || vec!["*".to_owned()];
        MeshConfig {
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            connect_timeout: Some(Duration::from_millis(10_000)),
            protocol_detection_timeout: Some(Duration::default()),
            ingress_class: "istio".to_owned(),
            ingress_service: "istio-ingressgateway".to_owned(),
            ingress_controller_mode: IngressControllerMode::Strict,
            enable_tracing: true,
            default_config: Some(ProxyConfig::built_in()),
            outbound_traffic_policy: Some(MeshOutboundTrafficPolicy {
                mode: MeshOutboundMode::AllowAny,
                tls: None,
            }),
            inbound_traffic_policy: Some(InboundTrafficPolicy::default()),
            enable_auto_mtls: Some(true),
            trust_domain: "cluster.local".to_owned(),
            default_service_export_to: everyone(),
            default_virtual_service_export_to: everyone(),
            default_destination_rule_export_to: everyone(),
            root_namespace: "istio-system".to_owned(),
            locality_lb_setting: Some(LocalityLoadBalancerSetting {
                enabled: Some(true),
                ..Default::default()
            }),
            dns_refresh_rate: Some(Duration::from_millis(60_000)),
            enable_prometheus_merge: Some(true),
            extension_providers: built_in_providers(),
            default_providers: Some(DefaultProviders::default()),
            ..Default::default()
        }
    }

    /// Lays a user's configuration over this one.
    ///
    /// A field that `text` names replaces the one here, whole, with four exceptions: `defaultConfig`
    /// is laid over field by field ([`ProxyConfig::overlaid`]), `defaultProviders` too,
    /// `extensionProviders` replace those of the same name and add the others, and
    /// `trustDomainAliases` are united and sorted. `null` changes nothing.
    pub fn overlaid(self, text: &Value) -> Result<Self, Error> {
        let own: MeshConfig = overlay(MeshConfig::default(), text)?;
        let MeshConfig {
            default_config, default_providers, extension_providers, trust_domain_aliases, ..
        } = self.clone();
        let mut next = overlay(self, text)?;
        next.default_config = match named(text, "defaultConfig", "default_config") {
            Some(above) => Some(default_config.unwrap_or_default().overlaid(above)?),
            None => default_config,
        };
        next.default_providers = match named(text, "defaultProviders", "default_providers") {
            Some(above) => Some(overlay(default_providers.unwrap_or_default(), above)?),
            None => default_providers,
        };
        next.extension_providers = united_providers(extension_providers, own.extension_providers);
        next.trust_domain_aliases = trust_domain_aliases;
        next.trust_domain_aliases.extend(own.trust_domain_aliases);
        next.trust_domain_aliases.sort();
        next.trust_domain_aliases.dedup();
        Ok(next)
    }
}

impl ProxyConfig {
    /// What holds where neither mesh nor pod says anything (istiod 1.30 and later).
    pub fn built_in() -> Self {
        ProxyConfig {
            config_path: "./etc/istio/proxy".to_owned(),
            binary_path: "/usr/local/bin/envoy".to_owned(),
            service_cluster: Some("istio-proxy".to_owned()),
            drain_duration: Some(Duration::from_millis(45_000)),
            termination_drain_duration: Some(Duration::from_millis(5_000)),
            discovery_address: "istiod.istio-system.svc:15012".to_owned(),
            control_plane_auth_policy: AuthenticationPolicy::MutualTls,
            proxy_admin_port: 15000,
            status_port: 15020,
            stat_name_length: 189,
            file_flush_interval: Some(Duration::from_millis(1_000)),
            file_flush_min_size_kb: 64,
            stats_compression: Some(true),
            ..Default::default()
        }
    }

    /// Lays a user's settings over these.
    ///
    /// A field that `text` names replaces the one here, whole; but `proxyMetadata` is merged by key,
    /// and `proxyHeaders` by field. `null` changes nothing.
    pub fn overlaid(self, text: &Value) -> Result<Self, Error> {
        let own: ProxyConfig = overlay(ProxyConfig::default(), text)?;
        let below = (self.proxy_metadata.clone(), self.proxy_headers.clone());
        let mut next = overlay(self, text)?;
        next.proxy_metadata = united(below.0, own.proxy_metadata);
        next.proxy_headers = match (below.1, named(text, "proxyHeaders", "proxy_headers")) {
            (Some(headers), Some(above)) => Some(overlay::<ProxyHeaders, _>(headers, above)?),
            (below, None) => below,
            (None, Some(_)) => own.proxy_headers,
        };
        if own.tracing_service_name.is_some() {
            next.service_cluster = None;
        } else if own.service_cluster.is_some() {
            next.tracing_service_name = None;
        }
        Ok(next)
    }
}

fn built_in_providers() -> Vec<ExtensionProvider> {
    let named = |name: &str| ExtensionProvider { name: name.to_owned(), ..Default::default() };
    let envoy = EnvoyFileAccessLogProvider { path: "/dev/stdout".to_owned(), ..Default::default() };
    vec![
        ExtensionProvider { prometheus: Some(PrometheusMetricsProvider::default()), ..named("prometheus") },
        ExtensionProvider { stackdriver: Some(StackdriverProvider::default()), ..named("stackdriver") },
        ExtensionProvider { envoy_file_access_log: Some(envoy), ..named("envoy") },
    ]
}

/// A field of an object by either of its names, unless it is absent or `null`.
fn named<'v>(object: &'v Value, json: &str, proto: &str) -> Option<&'v Value> {
    let object: &Map<String, Value> = object.as_object()?;
    object.get(json).or_else(|| object.get(proto)).filter(|value| !value.is_null())
}

fn united(mut below: BTreeMap<String, String>, above: BTreeMap<String, String>) -> BTreeMap<String, String> {
    below.extend(above);
    below
}

fn united_providers(
    mut below: Vec<ExtensionProvider>,
    above: Vec<ExtensionProvider>,
) -> Vec<ExtensionProvider> {
    for provider in above {
        match below.iter_mut().find(|known| known.name == provider.name) {
            Some(known) => *known = provider,
            None => below.push(provider),
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over(text: Value) -> MeshConfig {
        MeshConfig::built_in().overlaid(&text).unwrap()
    }

    #[test]
    fn fields_are_replaced_and_the_rest_stays() {
        let mesh =
            over(json!({"enableTracing": false, "connect_timeout": "1s", "defaultServiceExportTo": ["."]}));
        assert!(!mesh.enable_tracing);
        assert_eq!(mesh.connect_timeout, Some(Duration::from_millis(1000)));
        assert_eq!(mesh.default_service_export_to, ["."]);
        assert_eq!(mesh.trust_domain, "cluster.local");
        assert_eq!(over(Value::Null), MeshConfig::built_in());
        assert_eq!(over(json!({"enableAutoMtls": null})), MeshConfig::built_in());
        assert_eq!(over(json!({"localityLbSetting": {}})).locality_lb_setting.unwrap().enabled, None);
    }

    #[test]
    fn proxies_settings_are_merged_by_field() {
        let mesh = over(json!({"defaultConfig": {
            "concurrency": 0, "proxyMetadata": {"A": "1", "B": "1"}, "proxyHeaders": {"server": {"disabled": true}}}}));
        let mesh = mesh.overlaid(&json!({"defaultConfig": {
            "proxyMetadata": {"B": "2"}, "proxyHeaders": {"requestId": {"disabled": true}},
            "tracingServiceName": "CANONICAL_NAME_ONLY"}}));
        let proxy = mesh.unwrap().default_config.unwrap();
        assert_eq!(proxy.concurrency, Some(0));
        assert_eq!(proxy.status_port, 15020);
        assert_eq!(proxy.service_cluster, None);
        assert_eq!(serde_json::to_value(&proxy.proxy_metadata).unwrap(), json!({"A": "1", "B": "2"}));
        assert_eq!(
            serde_json::to_value(&proxy.proxy_headers).unwrap(),
            json!({"server": {"disabled": true}, "requestId": {"disabled": true}})
        );
    }

    #[test]
    fn providers_and_aliases_are_united() {
        let mesh = over(json!({
            "trustDomainAliases": ["b", "a"], "defaultProviders": {"metrics": ["prometheus"]},
            "extensionProviders": [
                {"name": "envoy", "envoyFileAccessLog": {"path": "/tmp/log"}}, {"name": "zipkin", "zipkin": {}}]}));
        let mesh = mesh.overlaid(
            &json!({"trustDomainAliases": ["a", "c"], "defaultProviders": {"tracing": ["zipkin"]}}),
        );
        let mesh = mesh.unwrap();
        assert_eq!(mesh.trust_domain_aliases, ["a", "b", "c"]);
        let names: Vec<_> = mesh.extension_providers.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(names, ["prometheus", "stackdriver", "envoy", "zipkin"]);
        assert_eq!(mesh.extension_providers[2].envoy_file_access_log.as_ref().unwrap().path, "/tmp/log");
        let defaults = mesh.default_providers.unwrap();
        assert_eq!((defaults.metrics, defaults.tracing), (vec!["prometheus".into()], vec!["zipkin".into()]));
    }

    #[test]
    fn errors_name_the_field() {
        let failed = MeshConfig::built_in().overlaid(&json!({"defaultConfig": {"statusPort": "x"}}));
        let text = failed.unwrap_err().to_string();
        assert!(text.starts_with("defaultConfig.statusPort: "), "{text}");
    }
}
