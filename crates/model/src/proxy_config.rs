//! The part of ProxyConfig that shapes what a proxy is sent, and the ProxyConfig kind.

use std::time::Duration;

use crate::key::Meta;
use crate::networking::Selector;
use crate::{Decimal, Text};

/// The effective configuration of one proxy.
///
/// From the mesh's `defaultConfig` under the `PROXY_CONFIG` that the proxy declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyConfig {
    /// Tracing.
    pub tracing: Tracing,
    /// Headers that proxies add.
    pub headers: ProxyHeaders,
    /// What stands in front of gateways.
    pub gateway_topology: Option<GatewayTopology>,
    /// Limits of connections from clients.
    pub connection_settings: Option<ConnectionSettings>,
    /// The address that proxies are told to reach the control plane at; may be empty.
    pub discovery_address: Text,
}

/// Tracing settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tracing {
    /// Percent of requests that are traced; `None` if not said.
    pub sampling: Option<Decimal>,
    /// Longest path in the tag; `None` if not said.
    pub max_path_tag_length: Option<u32>,
    /// Further tags, sorted by name.
    pub custom_tags: Vec<(Text, CustomTag)>,
    /// Whether Istio's own tags are added; `None` if not said (they are).
    pub istio_tags: Option<bool>,
}

/// Where a tag's value is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CustomTag {
    /// This value.
    Literal(Text),
    /// A variable of the proxy's environment and a default.
    Environment(Text, Text),
    /// A request header and a default.
    Header(Text, Text),
    /// An access log format.
    Formatter(Text),
}

/// Headers that proxies add (`proxyHeaders`); `None` where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyHeaders {
    /// What is done with the client's certificate header.
    pub forwarded_client_cert: Option<ForwardClientCert>,
    /// Parts of the client's certificate: cert, chain, dns, subject, uri.
    pub set_current_client_cert: Option<CertDetails>,
    /// `server`: (disabled, value).
    pub server: Option<(bool, Text)>,
    /// `x-request-id` switched off.
    pub request_id_disabled: Option<bool>,
    /// `x-envoy-attempt-count` switched off.
    pub attempt_count_disabled: Option<bool>,
    /// `x-envoy-*` switched off.
    pub debug_headers_disabled: Option<bool>,
    /// Peer metadata headers only within the mesh (`IN_MESH`).
    pub metadata_exchange_in_mesh: Option<bool>,
    /// Whether the case of HTTP/1.1 headers is kept.
    pub preserve_case: Option<bool>,
    /// `x-forwarded-host` appended.
    pub x_forwarded_host: Option<bool>,
    /// `x-forwarded-port` appended.
    pub x_forwarded_port: Option<bool>,
}

/// Parts of the client's certificate that are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub struct CertDetails {
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub subject: bool,
    pub uri: bool,
}

/// What is done with the client's certificate header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum ForwardClientCert {
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// What stands in front of gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GatewayTopology {
    /// Trusted proxies in front.
    pub num_trusted_proxies: u32,
    /// What is done with the client's certificate header; `None` if not said.
    pub forward_client_cert: Option<ForwardClientCert>,
    /// Whether the PROXY protocol is expected.
    pub proxy_protocol: bool,
}

/// Limits of connections from clients (`connectionSettings`); `None` where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names; durations and bytes as their types say")]
pub struct ConnectionSettings {
    pub edge: bool,
    pub per_connection_buffer_limit_bytes: Option<u32>,
    pub idle_timeout: Option<Duration>,
    pub stream_idle_timeout: Option<Duration>,
    pub request_timeout: Option<Duration>,
    pub request_headers_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub max_concurrent_streams: Option<u32>,
    pub initial_stream_window_size: Option<u32>,
    pub initial_connection_window_size: Option<u32>,
    pub reject_underscores: Option<bool>,
    pub merge_slashes: Option<bool>,
    pub escaped_slashes: Option<Text>,
}

/// The ProxyConfig kind: what selected workloads are started with, for whoever injects them.
///
/// No generator of istiod's reads it: a proxy declares what it was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfigObject {
    /// Identity and age.
    pub meta: Meta,
    /// The workloads; `None` for the namespace.
    pub selector: Selector,
    /// Worker threads.
    pub concurrency: Option<i32>,
    /// Environment of the proxy, sorted.
    pub environment: Vec<(Text, Text)>,
    /// Image type, may be empty.
    pub image_type: Text,
}
