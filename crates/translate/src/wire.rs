//! Small conversions to Envoy's messages that several features use.

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::cluster::v3::cluster::DnsLookupFamily;
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig;
use prost::Name;
use prost_types::Struct;

/// A duration on the wire; beyond Envoy's range it is the longest one.
pub(crate) fn duration(value: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX).min(315_576_000_000),
        nanos: i32::try_from(value.subsec_nanos()).unwrap_or_default(),
    }
}

/// Resources by the stream that this resource came by, without a time limit for the first answer.
pub(crate) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource::default(),
        )),
        initial_fetch_timeout: Some(prost_types::Duration::default()),
        resource_api_version: core::ApiVersion::V3 as i32,
        ..Default::default()
    }
}

/// A message under its type URL inside a `TypedStruct`, for filters that only Istio's proxy has.
pub(crate) fn typed_struct(type_url: &str, value: Struct) -> Any {
    Any::pack(&envoy_api::udpa::r#type::v1::TypedStruct { type_url: type_url.into(), value: Some(value) })
}

/// A transport socket: TLS or plain bytes.
pub(crate) fn transport_socket(name: &str, config: &impl Name) -> core::TransportSocket {
    packed_socket(name, Any::pack(config))
}

/// A transport socket whose configuration is packed already.
pub(crate) fn packed_socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.into(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(config)),
    }
}

/// A socket address.
pub(crate) fn address(ip: &str, port: u16) -> core::Address {
    core::Address { address: Some(core::address::Address::SocketAddress(socket_address(ip, port))) }
}

/// A socket address without a choice of other kinds around it.
pub(crate) fn socket_address(ip: &str, port: u16) -> core::SocketAddress {
    core::SocketAddress {
        address: ip.into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    }
}

/// A percentage.
pub(crate) fn percent(value: f64) -> envoy_api::envoy::r#type::v3::Percent {
    envoy_api::envoy::r#type::v3::Percent { value }
}

/// A Unix socket.
pub(crate) fn pipe(path: &str) -> core::Address {
    let pipe = core::Pipe { path: path.into(), mode: 0 };
    core::Address { address: Some(core::address::Address::Pipe(pipe)) }
}

/// `text` as a value of a `Struct`.
pub(crate) fn text_value(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.into())) }
}

/// Pairs as a `Struct`.
pub(crate) fn fields(pairs: impl IntoIterator<Item = (&'static str, prost_types::Value)>) -> Struct {
    Struct { fields: pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }
}

/// A JSON object as a `Struct`; `None` if the text is anything else.
pub(crate) fn parse_struct(text: &str) -> Option<Struct> {
    let serde_json::Value::Object(object) = serde_json::from_str(text).ok()? else { return None };
    Some(json_struct(object))
}

fn json_struct(object: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(key, value)| (key, json_value(value))).collect() }
}

fn json_value(value: serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    use serde_json::Value as Json;
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(list) => {
            Kind::ListValue(prost_types::ListValue { values: list.into_iter().map(json_value).collect() })
        }
        Json::Object(object) => Kind::StructValue(json_struct(object)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A cache of names that a proxy resolves while it forwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DnsCache {
    /// Its name; filters and clusters of one name must say the same of it.
    pub(crate) name: model::Text,
    /// Families of addresses that are asked for.
    pub(crate) family: DnsLookupFamily,
    /// Most names held; `None` is Envoy's default.
    pub(crate) max_hosts: Option<u32>,
    /// Asks the agent beside the proxy, which knows the mesh's names, instead of the system's resolver.
    pub(crate) by_agent: bool,
}

impl DnsCache {
    /// Its configuration.
    pub(crate) fn config(&self) -> DnsCacheConfig {
        DnsCacheConfig {
            name: self.name.to_string(),
            dns_lookup_family: self.family as i32,
            max_hosts: self.max_hosts,
            typed_dns_resolver_config: self.by_agent.then(agent_resolver),
            ..Default::default()
        }
    }
}

/// The agent's address for names.
fn agent_resolver() -> core::TypedExtensionConfig {
    use envoy_api::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
    let config =
        CaresDnsResolverConfig { resolvers: vec![address("127.0.0.1", 15053)], ..Default::default() };
    core::TypedExtensionConfig {
        name: "envoy.network.dns_resolver.cares".into(),
        typed_config: Some(Any::pack(&config)),
    }
}

/// An Istio networking object as a path of the API; `kind` in kebab case.
///
/// The version is that of istiod's own schema, not the one that the object was written in.
pub(crate) fn object_path(kind: &str, namespace: &str, name: &str) -> String {
    format!("/apis/networking.istio.io/v1/namespaces/{namespace}/{kind}/{name}")
}

/// Which Istio networking object something was made from: `filter_metadata` with key `istio`, in which tools
/// and logs look for it.
pub(crate) fn object_metadata(kind: &str, namespace: &str, name: &str) -> core::Metadata {
    let path = object_path(kind, namespace, name);
    let fields = fields([("config", text_value(&path))]);
    core::Metadata { filter_metadata: [("istio".into(), fields)].into(), ..Default::default() }
}
