//! The HTTP filters of a connection manager, in their order (xds-semantics, HTTP filter order).

use envoy_api::Any;
use envoy_api::envoy::extensions::filters::http::cors::v3::Cors;
use envoy_api::envoy::extensions::filters::http::dynamic_forward_proxy::v3 as forward;
use envoy_api::envoy::extensions::filters::http::fault::v3::HttpFault;
use envoy_api::envoy::extensions::filters::http::grpc_stats::v3 as grpc_stats;
use envoy_api::envoy::extensions::filters::http::grpc_web::v3::GrpcWeb;
use envoy_api::envoy::extensions::filters::http::router::v3::Router;
use envoy_api::envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType;
use envoy_api::istio::envoy::config::filter::http::alpn::v2alpha1 as alpn;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use super::base::Exchange;
use super::{Class, stats};
use crate::wire::{DnsCache, fields, typed_struct};

/// Which HTTP filters the connection managers of a class have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HttpFilters {
    pub(super) class: Class,
    /// Peers' metadata in headers; the flag sends one's own only to peers of the mesh.
    pub(super) exchange: Option<(Exchange, bool)>,
    /// Offers endpoints the protocols that Istio's proxies know each other by.
    pub(super) alpn: bool,
    pub(super) stats: Vec<stats::Stats>,
    /// A filter that routes turn into sticky sessions.
    pub(super) session: bool,
    /// Leaves `x-envoy-*` headers out.
    pub(super) suppress_envoy_headers: bool,
}

/// What one connection manager adds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Extra<'a> {
    /// Peers outside the mesh are told of the workload too, whatever the proxy's headers say.
    pub(super) tells_all: bool,
    pub(super) grpc_web: bool,
    pub(super) forward_proxies: &'a [DnsCache],
}

impl HttpFilters {
    /// The filters in order; the last one is the router.
    ///
    /// Filters of policies (external authorization, tokens, RBAC) and of extensions stand between metadata
    /// exchange, which has to come first so that they know the peer, and those that every proxy has.
    pub(super) fn build(&self, extra: &Extra<'_>) -> Vec<HttpFilter> {
        let mut list = Vec::with_capacity(10);
        let in_mesh = |only: bool| only && !extra.tells_all;
        let exchange = self.exchange.as_ref();
        list.extend(exchange.map(|(exchange, only)| metadata_exchange(self.class, exchange, in_mesh(*only))));
        if extra.grpc_web {
            list.push(filter("envoy.filters.http.grpc_web", Any::pack(&GrpcWeb {})));
        }
        list.push(grpc_statistics());
        if self.alpn {
            list.push(filter("istio.alpn", Any::pack(&overrides())));
        }
        list.push(filter("envoy.filters.http.fault", Any::pack(&HttpFault::default())));
        list.push(filter("envoy.filters.http.cors", Any::pack(&Cors {})));
        list.extend(self.stats.iter().map(|stats| filter(stats::NAME, stats.config())));
        if self.session {
            list.push(filter("envoy.filters.http.stateful_session", Any::pack(&StatefulSession::default())));
        }
        list.extend(extra.forward_proxies.iter().map(forward_proxy));
        let router = Router { suppress_envoy_headers: self.suppress_envoy_headers, ..Router::default() };
        list.push(filter("envoy.filters.http.router", Any::pack(&router)));
        list
    }
}

/// An HTTP filter of this name.
pub(crate) fn filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() }
}

fn metadata_exchange(class: Class, exchange: &Exchange, in_mesh: bool) -> HttpFilter {
    let own = if in_mesh { vec![("skip_external_clusters", Kind::BoolValue(true))] } else { Vec::new() };
    let own = fields(own.into_iter().map(|(key, kind)| (key, Value { kind: Some(kind) })));
    let methods = |list: Vec<(&'static str, Struct)>| {
        let one = |(name, config)| Kind::StructValue(fields([(name, kind(Kind::StructValue(config)))]));
        kind(Kind::ListValue(ListValue { values: list.into_iter().map(one).map(kind).collect() }))
    };
    let discovery =
        methods(vec![("istio_headers", Struct::default()), ("workload_discovery", Struct::default())]);
    let (discovery_key, propagation_key) = match class {
        Class::SidecarInbound => ("downstream_discovery", "downstream_propagation"),
        Class::SidecarOutbound | Class::Gateway => ("upstream_discovery", "upstream_propagation"),
    };
    let methods = [(discovery_key, discovery), (propagation_key, methods(vec![("istio_headers", own)]))];
    let config = fields(methods.into_iter().chain(exchange.field()));
    filter(
        "istio.metadata_exchange",
        typed_struct("type.googleapis.com/io.istio.http.peer_metadata.Config", config),
    )
}

fn kind(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn grpc_statistics() -> HttpFilter {
    let config = grpc_stats::FilterConfig {
        emit_filter_state: true,
        per_method_stat_specifier: Some(
            grpc_stats::filter_config::PerMethodStatSpecifier::StatsForAllMethods(false),
        ),
        ..Default::default()
    };
    filter("envoy.filters.http.grpc_stats", Any::pack(&config))
}

/// What is offered to endpoints by the protocol that is spoken with them.
fn overrides() -> alpn::FilterConfig {
    use alpn::filter_config::{AlpnOverride, Protocol};
    let one = |protocol: Protocol, offers: [&str; 3]| AlpnOverride {
        upstream_protocol: protocol as i32,
        alpn_override: offers.map(str::to_owned).into(),
    };
    alpn::FilterConfig {
        alpn_override: vec![
            one(Protocol::Http10, ["istio-http/1.0", "istio", "http/1.0"]),
            one(Protocol::Http11, ["istio-http/1.1", "istio", "http/1.1"]),
            one(Protocol::Http2, ["istio-h2", "istio", "h2"]),
        ],
    }
}

fn forward_proxy(cache: &DnsCache) -> HttpFilter {
    let config = forward::FilterConfig {
        implementation_specifier: Some(forward::filter_config::ImplementationSpecifier::DnsCacheConfig(
            cache.config(),
        )),
        ..Default::default()
    };
    filter("envoy.filters.http.dynamic_forward_proxy", Any::pack(&config))
}
