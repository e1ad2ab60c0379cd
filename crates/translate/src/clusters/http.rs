//! What is spoken to endpoints: protocol options of HTTP clusters.

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::cluster::v3 as api;
use envoy_api::envoy::config::common::matcher::v3::{self as matching, match_predicate};
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::config::route::v3::{HeaderMatcher, header_matcher};
use envoy_api::envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig;
use envoy_api::envoy::extensions::upstreams::http::v3::{self as http, http_protocol_options as options};
use envoy_api::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use model::networking::{ConnectionPool, H2Upgrade, HttpPool};
use model::{Protocol, ProxyKind};

use crate::wire;

const KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Protocol options of a cluster; the default sends none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HttpOptions {
    /// The protocol.
    pub(super) upstream: Upstream,
    /// Limits that hold for every version.
    pub(super) common: Option<Common>,
    /// Whether the server name of TLS is that of the request.
    pub(super) auto_sni: bool,
    /// Whether the server's certificate must have that name.
    pub(super) auto_san_validation: bool,
    /// Response codes that count as failures of an endpoint; empty for 5xx.
    pub(super) error_codes: Vec<u32>,
}

/// The protocol spoken to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Upstream {
    /// Nothing is said, which is HTTP/1.1 if it is HTTP.
    #[default]
    Unset,
    /// HTTP/1.1 with the case of headers kept.
    PreserveCase,
    /// HTTP/2.
    Http2(Http2),
    /// That of the client; whether the case of HTTP/1.1 headers is kept.
    Downstream(bool),
}

/// Limits of HTTP/2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Http2 {
    max_concurrent_streams: Option<u32>,
    keepalive: Option<(Option<Duration>, Option<Duration>)>,
}

/// Limits that hold for every version of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Common {
    idle_timeout: Option<Duration>,
    max_connection_duration: Option<Duration>,
    max_requests_per_connection: Option<u32>,
}

impl Upstream {
    /// The protocol that a port's protocol asks for. Gateways never take over the client's: it would be
    /// HTTP/2 wherever they offer it, which an endpoint may not speak.
    pub(super) fn of(protocol: Protocol, kind: ProxyKind, preserve_case: bool) -> Self {
        if protocol.is_http2() {
            return Self::Http2(Http2::default());
        }
        if protocol.is_auto() && kind == ProxyKind::Sidecar {
            return Self::Downstream(preserve_case);
        }
        if preserve_case && (protocol.is_http() || protocol.is_auto()) {
            return Self::PreserveCase;
        }
        Self::Unset
    }

    /// Whether endpoints are spoken HTTP/2 to, whatever the client speaks.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }
}

impl HttpOptions {
    /// Options of special clusters, for whatever clients speak; idle connections end after five minutes.
    pub(super) fn passthrough(preserve_case: bool) -> Self {
        let common = Common { idle_timeout: Some(Duration::from_secs(300)), ..Common::default() };
        Self { upstream: Upstream::Downstream(preserve_case), common: Some(common), ..Self::default() }
    }

    /// Upgrades HTTP/1.1 to HTTP/2 if the pool or, for ports declared as HTTP, the mesh says so.
    pub(super) fn upgrade(&mut self, pool: Option<&ConnectionPool>, mesh: H2Upgrade, protocol: Protocol) {
        let http = pool.and_then(|pool| pool.http.as_ref());
        let upgrades = match http {
            Some(http) if http.use_client_protocol => false,
            Some(HttpPool { h2_upgrade: H2Upgrade::Upgrade, .. }) => true,
            Some(HttpPool { h2_upgrade: H2Upgrade::DoNotUpgrade, .. }) => false,
            _ => protocol.is_http() && mesh == H2Upgrade::Upgrade,
        };
        if upgrades && self.upstream == Upstream::Unset {
            self.upstream = Upstream::Http2(Http2::default());
        }
    }

    /// Takes over what a pool says of connections.
    pub(super) fn limit(&mut self, pool: Option<&ConnectionPool>) {
        let tcp = pool.and_then(|pool| pool.tcp.as_ref());
        let http = pool.and_then(|pool| pool.http.as_ref());
        let some = |value: Option<u32>| value.filter(|value| *value > 0);
        let common = Common {
            idle_timeout: http
                .and_then(|http| http.idle_timeout)
                .or_else(|| tcp.and_then(|tcp| tcp.idle_timeout)),
            max_connection_duration: tcp.and_then(|tcp| tcp.max_connection_duration),
            max_requests_per_connection: some(http.and_then(|http| http.max_requests_per_connection)),
        };
        let http2 = Http2 {
            max_concurrent_streams: some(http.and_then(|http| http.max_concurrent_streams)),
            keepalive: http.and_then(|http| http.http2_keepalive),
        };
        if common != Common::default() || http2 != Http2::default() {
            self.common = Some(common);
        }
        if let Upstream::Http2(own) = &mut self.upstream {
            *own = http2;
        }
        if http.is_some_and(|http| http.use_client_protocol) {
            // Where the client's protocol was taken over already, istiod forgets the case of headers.
            self.upstream = Upstream::Downstream(self.upstream == Upstream::PreserveCase);
        }
    }

    /// Puts the options into the cluster, if there are any.
    pub(super) fn apply(&self, cluster: &mut api::Cluster) {
        if *self != Self::default() {
            cluster.typed_extension_protocol_options.insert(KEY.into(), Any::pack(&self.build()));
        }
    }

    fn build(&self) -> http::HttpProtocolOptions {
        let sni = self.auto_sni || self.auto_san_validation;
        http::HttpProtocolOptions {
            common_http_protocol_options: self.common.as_ref().map(Common::build),
            upstream_http_protocol_options: sni.then(|| core::UpstreamHttpProtocolOptions {
                auto_sni: self.auto_sni,
                auto_san_validation: self.auto_san_validation,
                ..Default::default()
            }),
            outlier_detection: error_matcher(&self.error_codes)
                .map(|matcher| options::OutlierDetection { error_matcher: Some(matcher) }),
            upstream_protocol_options: Some(self.upstream.build()),
            ..Default::default()
        }
    }
}

impl Common {
    fn build(&self) -> core::HttpProtocolOptions {
        core::HttpProtocolOptions {
            idle_timeout: self.idle_timeout.map(wire::duration),
            max_connection_duration: self.max_connection_duration.map(wire::duration),
            max_requests_per_connection: self.max_requests_per_connection,
            ..Default::default()
        }
    }
}

impl Upstream {
    fn build(&self) -> options::UpstreamProtocolOptions {
        use options::explicit_http_config::ProtocolConfig;
        let config = match self {
            Self::Downstream(preserve_case) => {
                return options::UpstreamProtocolOptions::UseDownstreamProtocolConfig(
                    options::UseDownstreamHttpConfig {
                        http_protocol_options: Some(http1(*preserve_case)),
                        http2_protocol_options: Some(core::Http2ProtocolOptions::default()),
                        ..Default::default()
                    },
                );
            }
            Self::Unset => ProtocolConfig::HttpProtocolOptions(http1(false)),
            Self::PreserveCase => ProtocolConfig::HttpProtocolOptions(http1(true)),
            Self::Http2(http2) => ProtocolConfig::Http2ProtocolOptions(http2.build()),
        };
        let explicit = options::ExplicitHttpConfig { protocol_config: Some(config) };
        options::UpstreamProtocolOptions::ExplicitHttpConfig(explicit)
    }
}

impl Http2 {
    fn build(&self) -> core::Http2ProtocolOptions {
        let keepalive = |(interval, timeout): (Option<Duration>, Option<Duration>)| core::KeepaliveSettings {
            interval: interval.map(wire::duration),
            timeout: timeout.map(wire::duration),
            ..Default::default()
        };
        core::Http2ProtocolOptions {
            max_concurrent_streams: self.max_concurrent_streams,
            connection_keepalive: self.keepalive.map(keepalive),
            ..Default::default()
        }
    }
}

/// Options of HTTP/1.1; the case of headers is kept on request.
fn http1(preserve_case: bool) -> core::Http1ProtocolOptions {
    use core::http1_protocol_options::{HeaderKeyFormat, header_key_format::HeaderFormat};
    let formatter = || HeaderKeyFormat {
        header_format: Some(HeaderFormat::StatefulFormatter(core::TypedExtensionConfig {
            name: "preserve_case".into(),
            typed_config: Some(Any::pack(&PreserveCaseFormatterConfig::default())),
        })),
    };
    core::Http1ProtocolOptions { header_key_format: preserve_case.then(formatter), ..Default::default() }
}

/// Responses with one of these codes.
fn error_matcher(codes: &[u32]) -> Option<matching::MatchPredicate> {
    let status = |code: &u32| {
        let exact = StringMatcher {
            match_pattern: Some(MatchPattern::Exact(code.to_string())),
            ..StringMatcher::default()
        };
        let header = HeaderMatcher {
            name: ":status".into(),
            header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::StringMatch(exact)),
            ..HeaderMatcher::default()
        };
        let headers = matching::HttpHeadersMatch { headers: vec![header] };
        predicate(match_predicate::Rule::HttpResponseHeadersMatch(headers))
    };
    let mut rules: Vec<_> = codes.iter().map(status).collect();
    if rules.len() <= 1 {
        return rules.pop();
    }
    Some(predicate(match_predicate::Rule::OrMatch(match_predicate::MatchSet { rules })))
}

fn predicate(rule: match_predicate::Rule) -> matching::MatchPredicate {
    matching::MatchPredicate { rule: Some(rule) }
}
