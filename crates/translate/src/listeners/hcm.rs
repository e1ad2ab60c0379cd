//! The HTTP connection manager of inbound, outbound and gateway listeners (xds-semantics, HCM settings).

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::config::listener::v3::Filter;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3 as api;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as manager;
use envoy_api::envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy_api::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use memo::Shared;
use model::mesh_config::PathNormalization;
use model::proxy_config::{ConnectionSettings, ForwardClientCert, GatewayTopology, ProxyHeaders};
use model::{Protocol, Text};

use super::access_log::AccessLogs;
use super::base::{BaseInputs, Exchange};
use super::http_filters::{Extra, HttpFilters};
use super::network_filters::filter;
use super::tracing::Tracing;
use super::{Class, base, connections};
use crate::routes::{AnyNameInputs, InboundInputs};
use crate::wire::{DnsCache, ads, duration};

/// What the connection managers of a class may depend on, beyond what is said for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpInputs {
    class: Class,
    filters: HttpFilters,
    logs: Shared<AccessLogs>,
    tracing: Option<Tracing>,
    headers: ProxyHeaders,
    connections: ConnectionSettings,
    topology: Option<GatewayTopology>,
    idle_timeout: Option<Duration>,
    paths: PathNormalization,
    http10: bool,
    continue_100: bool,
    use_remote_address: bool,
}

impl HttpInputs {
    pub(super) fn of(inputs: &BaseInputs, logs: Shared<AccessLogs>) -> Self {
        let class = inputs.class;
        let (profile, mesh, settings) = (&inputs.profile, &inputs.mesh, &inputs.settings);
        let headers = profile.config.headers.clone();
        let inbound = class == Class::SidecarInbound;
        let in_mesh = !inbound && headers.metadata_exchange_in_mesh == Some(true);
        let filters = HttpFilters {
            class,
            exchange: Exchange::of(inputs).map(|exchange| (exchange, in_mesh)),
            alpn: settings.alpn_filter && profile.capabilities.alpn && !inbound,
            stats: base::metrics(inputs),
            session: settings.persistent_session_filter && !inbound,
            suppress_envoy_headers: headers.debug_headers_disabled == Some(true),
        };
        Self {
            class,
            filters,
            logs,
            tracing: Tracing::of(inputs),
            headers,
            connections: connections::of(profile, mesh),
            topology: profile.config.gateway_topology.clone().filter(|_| class == Class::Gateway),
            idle_timeout: profile.idle_timeout,
            paths: mesh.path_normalization,
            http10: settings.http10 || profile.http10,
            continue_100: settings.continue_100,
            use_remote_address: match class {
                Class::SidecarInbound => false,
                Class::SidecarOutbound => settings.sidecar_use_remote_address,
                Class::Gateway => true,
            },
        }
    }
}

/// What the connection managers of a class share: everything but names, routes and a few options.
#[derive(Debug)]
pub(crate) struct HttpBase {
    filters: HttpFilters,
    /// The filters of a connection manager that adds none.
    plain: Vec<api::HttpFilter>,
    head: HttpConnectionManager,
}

impl HttpBase {
    /// From what it may depend on.
    pub(super) fn new(inputs: &HttpInputs) -> Self {
        let headers = &inputs.headers;
        let mut head = HttpConnectionManager {
            tracing: inputs.tracing.as_ref().map(Tracing::build),
            access_log: inputs.logs.http.clone(),
            use_remote_address: Some(inputs.use_remote_address),
            proxy_100_continue: inputs.continue_100,
            upgrade_configs: vec![manager::UpgradeConfig {
                upgrade_type: "websocket".into(),
                ..Default::default()
            }],
            stream_idle_timeout: Some(prost_types::Duration::default()),
            common_http_protocol_options: inputs.idle_timeout.map(|timeout| core::HttpProtocolOptions {
                idle_timeout: Some(duration(timeout)),
                ..Default::default()
            }),
            http_protocol_options: http1(inputs),
            generate_request_id: (headers.request_id_disabled == Some(true)).then_some(false),
            append_x_forwarded_port: headers.x_forwarded_port.unwrap_or_default(),
            request_id_extension: Some(request_id()),
            ..Default::default()
        };
        set_server(&mut head, inputs);
        set_client_certificate(&mut head, inputs);
        set_paths(&mut head, inputs.paths);
        connections::set(&mut head, &inputs.connections);
        Self { plain: inputs.filters.build(&Extra::default()), filters: inputs.filters.clone(), head }
    }

    fn filters(&self, extra: &Extra<'_>) -> Vec<api::HttpFilter> {
        if *extra == Extra::default() { self.plain.clone() } else { self.filters.build(extra) }
    }
}

fn request_id() -> api::RequestIdExtension {
    let config = UuidRequestIdConfig { use_request_id_for_trace_sampling: Some(true), ..Default::default() };
    api::RequestIdExtension { typed_config: Some(Any::pack(&config)) }
}

fn http1(inputs: &HttpInputs) -> Option<core::Http1ProtocolOptions> {
    let preserve = inputs.headers.preserve_case.unwrap_or_default();
    if !inputs.http10 && !preserve && inputs.class != Class::Gateway {
        return None;
    }
    Some(core::Http1ProtocolOptions {
        accept_http_10: inputs.http10,
        header_key_format: preserve.then(preserve_case),
        ..Default::default()
    })
}

fn preserve_case() -> core::http1_protocol_options::HeaderKeyFormat {
    use core::http1_protocol_options::header_key_format::HeaderFormat;
    let formatter = core::TypedExtensionConfig {
        name: "preserve_case".into(),
        typed_config: Some(Any::pack(&PreserveCaseFormatterConfig::default())),
    };
    core::http1_protocol_options::HeaderKeyFormat {
        header_format: Some(HeaderFormat::StatefulFormatter(formatter)),
    }
}

/// The `server` header: Istio's word towards callers of the workload and of gateways.
fn set_server(head: &mut HttpConnectionManager, inputs: &HttpInputs) {
    if inputs.class != Class::SidecarOutbound {
        head.server_name = "istio-envoy".into();
    }
    match &inputs.headers.server {
        Some((true, _)) => {
            head.server_name = String::new();
            head.server_header_transformation = manager::ServerHeaderTransformation::PassThrough as i32;
        }
        Some((false, value)) if !value.is_empty() => head.server_name = value.to_string(),
        _ => {}
    }
}

fn set_client_certificate(head: &mut HttpConnectionManager, inputs: &HttpInputs) {
    let (forward, details) = match inputs.class {
        Class::SidecarOutbound => return,
        Class::SidecarInbound => {
            let chosen = inputs.headers.forwarded_client_cert;
            let set = inputs.headers.set_current_client_cert;
            let details = manager::SetCurrentClientCertDetails {
                subject: Some(set.is_none_or(|set| set.subject)),
                uri: set.is_none_or(|set| set.uri),
                dns: set.is_none_or(|set| set.dns),
                cert: set.is_some_and(|set| set.cert),
                chain: set.is_some_and(|set| set.chain),
                ..Default::default()
            };
            (chosen.unwrap_or(ForwardClientCert::AppendForward), Some(details))
        }
        Class::Gateway => {
            let topology = inputs.topology.as_ref();
            head.xff_num_trusted_hops = topology.map_or(0, |topology| topology.num_trusted_proxies);
            let chosen = topology.and_then(|topology| topology.forward_client_cert);
            let forward = chosen.unwrap_or(ForwardClientCert::SanitizeSet);
            let details = manager::SetCurrentClientCertDetails {
                subject: Some(true),
                cert: true,
                dns: true,
                uri: true,
                ..Default::default()
            };
            let sets = matches!(forward, ForwardClientCert::SanitizeSet | ForwardClientCert::AppendForward);
            (forward, sets.then_some(details))
        }
    };
    head.forward_client_cert_details = forward_details(forward);
    head.set_current_client_cert_details = details;
}

fn forward_details(forward: ForwardClientCert) -> i32 {
    use manager::ForwardClientCertDetails as Details;
    let details = match forward {
        ForwardClientCert::Sanitize => Details::Sanitize,
        ForwardClientCert::ForwardOnly => Details::ForwardOnly,
        ForwardClientCert::AppendForward => Details::AppendForward,
        ForwardClientCert::SanitizeSet => Details::SanitizeSet,
        ForwardClientCert::AlwaysForwardOnly => Details::AlwaysForwardOnly,
    };
    details as i32
}

fn set_paths(head: &mut HttpConnectionManager, paths: PathNormalization) {
    use manager::PathWithEscapedSlashesAction as Slashes;
    let decodes = paths == PathNormalization::DecodeAndMergeSlashes;
    head.normalize_path = Some(paths != PathNormalization::None);
    head.merge_slashes = decodes || paths == PathNormalization::MergeSlashes;
    let slashes = if decodes { Slashes::UnescapeAndForward } else { Slashes::KeepUnchanged };
    head.path_with_escaped_slashes_action = slashes as i32;
}

/// A connection manager: what is decided about it beyond its class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hcm {
    /// What it shares with the other connection managers of its class.
    pub(crate) base: Shared<HttpBase>,
    /// Beginning of its statistics' names, with the `;` that ends it.
    pub(crate) stat_prefix: Text,
    /// Inbound, HTTP/2 ports get options for it; everywhere, gRPC-Web ports get its filter.
    pub(crate) protocol: Protocol,
    /// Its routes.
    pub(crate) routes: Routes,
    /// Everything that is usually not said.
    pub(crate) options: HcmOptions,
}

/// Where a connection manager's routes come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Routes {
    /// Asked for by this name.
    #[allow(dead_code, reason = "made by outbound listeners and gateways")]
    Discovered(Text),
    /// Sent inside the listener.
    Inline(Box<InboundInputs>),
    /// Sent inside the listener: to whatever name a request calls.
    AnyName(AnyNameInputs),
}

/// What is seldom said of a connection manager.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct HcmOptions {
    /// Requests name the whole URL: an explicit HTTP proxy.
    pub(crate) absolute_url: bool,
    /// HTTP/3 over QUIC.
    pub(crate) http3: bool,
    /// Names that requests call are resolved through these caches.
    pub(crate) forward_proxies: Vec<DnsCache>,
}

impl Hcm {
    /// The network filter that it is.
    pub(crate) fn filter(&self) -> Filter {
        filter("envoy.filters.network.http_connection_manager", Any::pack(&self.build()))
    }

    /// The name of its routes, if it asks for them.
    #[allow(dead_code, reason = "asked by outbound listeners and gateways")]
    pub(crate) fn route_name(&self) -> Option<&Text> {
        match &self.routes {
            Routes::Discovered(name) => Some(name),
            Routes::Inline(_) | Routes::AnyName(_) => None,
        }
    }

    fn build(&self) -> HttpConnectionManager {
        let base = &self.base;
        let mut message = base.head.clone();
        message.stat_prefix = self.stat_prefix.to_string();
        message.route_specifier = Some(specifier(&self.routes));
        message.http_filters = base.filters(&Extra {
            // The explicit proxy is the one place where istiod does not look at `metadataExchangeHeaders`.
            tells_all: self.options.absolute_url,
            grpc_web: self.protocol == Protocol::GrpcWeb,
            forward_proxies: &self.options.forward_proxies,
        });
        if base.filters.class == Class::SidecarInbound && self.protocol.is_http2() {
            message.http2_protocol_options.get_or_insert_default();
        }
        if self.options.absolute_url {
            message.use_remote_address = Some(false);
            message.http_protocol_options.get_or_insert_default().allow_absolute_url = Some(true);
        }
        if self.options.http3 {
            message.codec_type = manager::CodecType::Http3 as i32;
            message.http3_protocol_options = Some(core::Http3ProtocolOptions::default());
        }
        message
    }
}

fn specifier(routes: &Routes) -> manager::RouteSpecifier {
    match routes {
        Routes::Inline(routes) => manager::RouteSpecifier::RouteConfig(routes.build()),
        Routes::AnyName(routes) => manager::RouteSpecifier::RouteConfig(routes.build()),
        Routes::Discovered(name) => manager::RouteSpecifier::Rds(api::Rds {
            config_source: Some(ads()),
            route_config_name: name.to_string(),
        }),
    }
}
