//! Small conversions to Envoy's messages that several features use.

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::core::v3 as core;
use prost::{Message, Name};
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
pub(crate) fn transport_socket(name: &str, config: &(impl Message + Name)) -> core::TransportSocket {
    core::TransportSocket {
        name: name.into(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(Any::pack(config))),
    }
}

/// A socket address.
pub(crate) fn address(ip: &str, port: u16) -> core::Address {
    let socket = core::SocketAddress {
        address: ip.into(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
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
