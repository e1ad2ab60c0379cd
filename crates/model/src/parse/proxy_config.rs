//! ProxyConfig as MeshConfig and proxies write it.

use std::time::Duration;

use istio_api::leniency::Duration as ApiDuration;
use istio_api::mesh as api;
use serde_json::Value as Json;

use crate::proxy_config::{
    CertDetails, ConnectionSettings, CustomTag, ForwardClientCert, GatewayTopology, ProxyConfig,
    ProxyHeaders, Tracing,
};
use crate::{Decimal, Text};

/// A ProxyConfig as a proxy declares it; what cannot be read counts as not written, since a proxy must
/// be served all the same.
pub(crate) fn parse_proxy_config(written: &Json) -> ProxyConfig {
    serde_json::from_value::<api::ProxyConfig>(written.clone())
        .map_or_else(|_| ProxyConfig::default(), convert)
}

/// From the API's type.
pub(crate) fn convert(config: api::ProxyConfig) -> ProxyConfig {
    ProxyConfig {
        tracing: config.tracing.map(tracing).unwrap_or_default(),
        headers: config.proxy_headers.map(headers).unwrap_or_default(),
        gateway_topology: config.gateway_topology.map(|topology| GatewayTopology {
            num_trusted_proxies: topology.num_trusted_proxies,
            forward_client_cert: forward(topology.forward_client_cert_details),
            proxy_protocol: topology.proxy_protocol.is_some(),
        }),
        connection_settings: config.connection_settings.map(connections),
        discovery_address: config.discovery_address.into(),
    }
}

fn tracing(tracing: api::Tracing) -> Tracing {
    let tags =
        tracing.custom_tags.into_iter().filter_map(|(name, tag)| Some((name.into(), custom_tag(tag)?)));
    Tracing {
        sampling: (tracing.sampling != 0.0).then(|| Decimal::new(tracing.sampling)),
        max_path_tag_length: (tracing.max_path_tag_length != 0).then_some(tracing.max_path_tag_length),
        custom_tags: tags.collect(),
        istio_tags: tracing.enable_istio_tags,
    }
}

fn custom_tag(tag: api::CustomTag) -> Option<CustomTag> {
    if let Some(literal) = tag.literal {
        return Some(CustomTag::Literal(literal.value.into()));
    }
    if let Some(environment) = tag.environment {
        return Some(CustomTag::Environment(environment.name.into(), environment.default_value.into()));
    }
    tag.header.map(|header| CustomTag::Header(header.name.into(), header.default_value.into()))
}

fn forward(details: api::ForwardClientCertDetails) -> Option<ForwardClientCert> {
    Some(match details {
        api::ForwardClientCertDetails::Undefined => return None,
        api::ForwardClientCertDetails::Sanitize => ForwardClientCert::Sanitize,
        api::ForwardClientCertDetails::ForwardOnly => ForwardClientCert::ForwardOnly,
        api::ForwardClientCertDetails::AppendForward => ForwardClientCert::AppendForward,
        api::ForwardClientCertDetails::SanitizeSet => ForwardClientCert::SanitizeSet,
        api::ForwardClientCertDetails::AlwaysForwardOnly => ForwardClientCert::AlwaysForwardOnly,
    })
}

fn headers(headers: api::ProxyHeaders) -> ProxyHeaders {
    ProxyHeaders {
        forwarded_client_cert: forward(headers.forwarded_client_cert),
        set_current_client_cert: headers.set_current_client_cert_details.map(|details| CertDetails {
            cert: details.cert.unwrap_or_default(),
            chain: details.chain.unwrap_or_default(),
            dns: details.dns.unwrap_or(true),
            subject: details.subject.unwrap_or(true),
            uri: details.uri.unwrap_or(true),
        }),
        server: headers.server.map(|server| (server.disabled.unwrap_or_default(), server.value.into())),
        request_id_disabled: headers.request_id.and_then(|id| id.disabled),
        attempt_count_disabled: headers.attempt_count.and_then(|count| count.disabled),
        debug_headers_disabled: headers.envoy_debug_headers.and_then(|debug| debug.disabled),
        metadata_exchange_in_mesh: headers
            .metadata_exchange_headers
            .map(|exchange| exchange.mode == api::MetadataExchangeMode::InMesh),
        preserve_case: headers.preserve_http1_header_case,
        x_forwarded_host: headers.x_forwarded_host.and_then(|host| host.enabled),
        x_forwarded_port: headers.x_forwarded_port.and_then(|port| port.enabled),
    }
}

fn connections(settings: api::ConnectionSettings) -> ConnectionSettings {
    use api::{HeadersWithUnderscoresAction as Underscores, PathWithEscapedSlashesAction as Slashes};
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    ConnectionSettings {
        edge: settings.profile == api::ConnectionProfile::Edge,
        per_connection_buffer_limit_bytes: number(settings.listener_per_connection_buffer_limit_bytes),
        idle_timeout: time(settings.http_idle_timeout),
        stream_idle_timeout: time(settings.http_stream_idle_timeout),
        request_timeout: time(settings.http_request_timeout),
        request_headers_timeout: time(settings.http_request_headers_timeout),
        max_connection_duration: time(settings.http_max_connection_duration),
        max_concurrent_streams: number(settings.http_max_concurrent_streams),
        initial_stream_window_size: number(settings.http2_initial_stream_window_size),
        initial_connection_window_size: number(settings.http2_initial_connection_window_size),
        reject_underscores: match settings.http_headers_with_underscores_action {
            Underscores::HeadersWithUnderscoresUnspecified => None,
            action => Some(action == Underscores::HeadersWithUnderscoresRejectRequest),
        },
        merge_slashes: settings.http_merge_slashes,
        escaped_slashes: match settings.http_path_with_escaped_slashes_action {
            Slashes::PathWithEscapedSlashesUnspecified => None,
            Slashes::KeepUnchanged => Some("KEEP_UNCHANGED".into()),
            Slashes::RejectRequest => Some("REJECT_REQUEST".into()),
            Slashes::UnescapeAndRedirect => Some("UNESCAPE_AND_REDIRECT".into()),
            Slashes::UnescapeAndForward => Some(Text::from("UNESCAPE_AND_FORWARD")),
        },
    }
}

/// A duration of the API; negative ones count as not written.
pub(crate) fn time(duration: Option<ApiDuration>) -> Option<Duration> {
    duration.and_then(ApiDuration::to_std)
}
