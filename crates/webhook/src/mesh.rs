//! The mesh's configuration as injection needs it, and the ProxyConfig that a pod is started with.

use std::collections::{BTreeMap, HashMap};

use gtmpl_ng::Value;
use istio_api::mesh::{InboundMode, MeshConfig, ProxyConfig};
use istio_api::networking::ProxyImage;
use model::Labels;
use model::proxy_config::ProxyConfigObject;
use serde_json::Value as Json;

use crate::engine::ORIGIN;
use crate::{Error, fields, yaml};

/// What a pod says of its own proxy.
pub(crate) const PROXY_CONFIG: &str = "proxy.istio.io/config";

/// Fields that Go wraps in a message of their own.
const WRAPPED: [&str; 5] = [
    "concurrency",
    "holdApplicationUntilProxyStarts",
    "statsCompression",
    "enablePrometheusMerge",
    "enableAutoMtls",
];

/// MeshConfig, prepared once for all pods.
#[derive(Clone)]
pub struct Mesh {
    config: MeshConfig,
    pub(crate) for_templates: Value,
    default_proxy: Value,
}

impl Mesh {
    /// From texts of MeshConfig in YAML, each laid over the one before it and all over the built-in defaults.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut config = MeshConfig::built_in();
        for text in texts {
            let written = yaml::read(text).map_err(Error::Config)?;
            config = config.overlaid(&written).map_err(|error| Error::Config(error.to_string()))?;
        }
        Ok(Self::new(config))
    }

    /// From what holds.
    pub fn new(config: MeshConfig) -> Self {
        let mut fields = fields::message(&json(&config), &WRAPPED);
        for (name, zero) in [
            ("TrustDomain", Value::from("")),
            ("ProxyListenPort", Value::from(0i64)),
            ("RootNamespace", Value::from("")),
        ] {
            fields.entry(name.into()).or_insert(zero);
        }
        let default_proxy = for_templates(config.default_config.as_ref().unwrap_or(&ProxyConfig::default()));
        Self { for_templates: Value::Map(fields), default_proxy, config }
    }

    /// The port of the agent's status pages.
    pub(crate) fn status_port(&self) -> i64 {
        self.config.default_config.as_ref().map_or(0, |config| config.status_port.into())
    }

    /// Whether metrics of application and proxy are merged where the pod does not say; on if nobody does.
    pub(crate) fn merges_metrics(&self) -> bool {
        self.config.enable_prometheus_merge.unwrap_or(true)
    }

    /// How the proxy reaches its application.
    pub(crate) fn inbound_mode(&self) -> &'static str {
        let policy = self.config.inbound_traffic_policy.clone().unwrap_or_default();
        if policy.mode == InboundMode::Localhost { "localhost" } else { "passthrough" }
    }

    /// Whether applications wait for their proxies, with what the pod itself says of it.
    pub(crate) fn holds_application(&self, annotation: Option<&str>) -> Result<bool, Error> {
        let config = overlaid(self.config.default_config.clone().unwrap_or_default(), annotation)?;
        Ok(config.hold_application_until_proxy_starts.unwrap_or_default())
    }

    /// The ProxyConfig of a pod (istiod-surface 4.3): the mesh's, then the objects of the root namespace and of
    /// the pod's own, then the pod's annotation, then an object that selects the pod.
    pub(crate) fn proxy(
        &self,
        namespace: &str,
        labels: &Labels,
        annotation: Option<&str>,
        objects: &[ProxyConfigObject],
    ) -> Result<Proxy, Error> {
        let root = self.config.root_namespace.as_str();
        let of = |namespace: &str| {
            objects
                .iter()
                .find(|object| object.selector.is_none() && &*object.meta.key.namespace == namespace)
        };
        let selecting = objects.iter().find(|object| {
            &*object.meta.key.namespace == namespace
                && object.selector.as_ref().is_some_and(|selector| selector.selects(labels))
        });
        let mesh_wide = of(root);
        let own = of(namespace).filter(|_| namespace != root);
        if annotation.is_none() && [mesh_wide, own, selecting].iter().all(Option::is_none) {
            let config = self.config.default_config.clone().unwrap_or_default();
            return Ok(Proxy { for_templates: self.default_proxy.clone(), config });
        }
        let mut config = self.config.default_config.clone().unwrap_or_default();
        for object in [mesh_wide, own].into_iter().flatten() {
            lay_object(&mut config, object);
        }
        config = overlaid(config, annotation)?;
        if let Some(object) = selecting {
            lay_object(&mut config, object);
        }
        Ok(Proxy { for_templates: for_templates(&config), config })
    }
}

/// The ProxyConfig of one pod.
pub(crate) struct Proxy {
    pub(crate) config: ProxyConfig,
    pub(crate) for_templates: Value,
}

fn overlaid(config: ProxyConfig, annotation: Option<&str>) -> Result<ProxyConfig, Error> {
    let Some(text) = annotation else { return Ok(config) };
    let refuse = |reason: String| Error::Annotation(PROXY_CONFIG, reason);
    let written = yaml::read(text).map_err(refuse)?;
    config.overlaid(&written).map_err(|error| refuse(error.to_string()))
}

/// What an object may set is set.
fn lay_object(config: &mut ProxyConfig, object: &ProxyConfigObject) {
    if object.concurrency.is_some() {
        config.concurrency = object.concurrency;
    }
    let variables = object.environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    config.proxy_metadata.extend(variables);
    if !object.image_type.is_empty() {
        config.image = Some(ProxyImage { image_type: object.image_type.to_string() });
    }
}

fn json(value: &impl serde::Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

fn for_templates(config: &ProxyConfig) -> Value {
    let mut fields: HashMap<String, Value> = fields::message(&json(config), &WRAPPED);
    for name in ["InterceptionMode", "GetInterceptionMode"] {
        fields.entry(name.into()).or_insert_with(|| Value::from("REDIRECT"));
    }
    for name in ["ProxyMetadata", "GetProxyMetadata"] {
        fields.entry(name.into()).or_insert_with(|| Value::Map(HashMap::new()));
    }
    fields.insert(ORIGIN.into(), Value::from(without_defaults(config)));
    Value::Map(fields)
}

/// The JSON of a ProxyConfig without what holds anyway, in the order of the message's fields.
fn without_defaults(config: &ProxyConfig) -> String {
    let (mut own, built_in) = (config.clone(), ProxyConfig::built_in());
    macro_rules! forget {
        ($($field:ident)*) => {$(
            if own.$field == built_in.$field {
                own.$field = Default::default();
            }
        )*};
    }
    forget!(
        config_path binary_path control_plane_auth_policy service_cluster drain_duration
        termination_drain_duration discovery_address proxy_admin_port stat_name_length status_port concurrency
        tracing envoy_metrics_service envoy_access_log_service file_flush_interval file_flush_min_size_kb
        stats_compression
    );
    serde_json::to_string(&own).unwrap_or_else(|_| "{}".into())
}

/// What a pod's annotation says of its proxy, checked; the message says what is wrong with it.
pub(crate) fn check_annotation(text: &str) -> Result<(), String> {
    let config = overlaid(ProxyConfig::built_in(), Some(text)).map_err(|error| match error {
        Error::Annotation(_, reason) => format!("failed to apply proxy config: {reason}"),
        other => other.to_string(),
    })?;
    let ports =
        BTreeMap::from([("proxyAdminPort", config.proxy_admin_port), ("statusPort", config.status_port)]);
    for (name, port) in ports {
        if !(0..=65535).contains(&port) || (name == "proxyAdminPort" && port == 0) {
            return Err(format!("invalid {name}: {port} is no port"));
        }
    }
    if config.config_path.is_empty() || config.binary_path.is_empty() {
        return Err("configPath and binaryPath must be set".into());
    }
    if config.discovery_address.is_empty() {
        return Err("invalid discovery address: it is empty".into());
    }
    if config.concurrency.is_some_and(|threads| threads < 0) {
        return Err("concurrency must be greater than or equal to 0".into());
    }
    Ok(())
}
