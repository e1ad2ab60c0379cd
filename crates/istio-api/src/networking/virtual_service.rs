//! VirtualService: how requests to hosts are routed.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::{Blob, Duration, enumerations, messages};

messages! {
    /// The spec of a VirtualService.
    pub struct VirtualService {
        pub hosts: Vec<String>,
        pub gateways: Vec<String>,
        pub http: Vec<HttpRoute>,
        pub tls: Vec<TlsRoute>,
        pub tcp: Vec<TcpRoute>,
        pub export_to: Vec<String>,
    }

    /// A host, and which subset and port of it.
    pub struct Destination {
        /// May be a short name, which the namespace of the rule completes.
        pub host: String,
        pub subset: String,
        pub port: Option<PortSelector>,
    }

    /// One HTTP rule: what it matches and what happens then.
    pub struct HttpRoute {
        pub name: String,
        pub r#match as "match": Vec<HttpMatchRequest>,
        pub route: Vec<HttpRouteDestination>,
        pub redirect: Option<HttpRedirect>,
        pub direct_response: Option<HttpDirectResponse>,
        pub delegate: Option<Delegate>,
        pub rewrite: Option<HttpRewrite>,
        pub timeout: Option<Duration>,
        pub retries: Option<HttpRetry>,
        pub fault: Option<HttpFaultInjection>,
        pub mirror: Option<Destination>,
        pub mirrors: Vec<HttpMirrorPolicy>,
        /// Deprecated in favour of `mirror_percentage`.
        pub mirror_percent: Option<u32>,
        pub mirror_percentage: Option<Percent>,
        pub cors_policy: Option<CorsPolicy>,
        pub headers: Option<Headers>,
    }

    /// The VirtualService that continues a rule.
    pub struct Delegate {
        pub name: String,
        pub namespace: String,
    }

    /// Changes to the headers of requests and responses.
    pub struct Headers {
        pub request: Option<HeaderOperations>,
        pub response: Option<HeaderOperations>,
    }

    /// Headers to set, to add and to remove.
    pub struct HeaderOperations {
        pub set: BTreeMap<String, String>,
        pub add: BTreeMap<String, String>,
        pub remove: Vec<String>,
    }

    /// One rule for TLS connections that are passed through.
    pub struct TlsRoute {
        pub r#match as "match": Vec<TlsMatchAttributes>,
        pub route: Vec<RouteDestination>,
    }

    /// One rule for TCP connections.
    pub struct TcpRoute {
        pub r#match as "match": Vec<L4MatchAttributes>,
        pub route: Vec<RouteDestination>,
    }

    /// Conditions on a request, all of which must hold.
    pub struct HttpMatchRequest {
        pub name: String,
        pub uri: Option<StringMatch>,
        pub scheme: Option<StringMatch>,
        pub method: Option<StringMatch>,
        pub authority: Option<StringMatch>,
        pub headers: BTreeMap<String, StringMatch>,
        pub port: u32,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub query_params: BTreeMap<String, StringMatch>,
        pub ignore_uri_case: bool,
        pub without_headers: BTreeMap<String, StringMatch>,
        pub source_namespace: String,
        pub stat_prefix: String,
    }

    /// A destination of HTTP requests and its share.
    pub struct HttpRouteDestination {
        pub destination: Option<Destination>,
        /// Relative; a single destination may leave it at 0.
        pub weight: i32,
        pub headers: Option<Headers>,
    }

    /// A destination of connections and its share.
    pub struct RouteDestination {
        pub destination: Option<Destination>,
        pub weight: i32,
    }

    /// Conditions on a TCP connection, all of which must hold.
    pub struct L4MatchAttributes {
        pub destination_subnets: Vec<String>,
        pub port: u32,
        pub source_subnet: String,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub source_namespace: String,
    }

    /// Conditions on a TLS connection, all of which must hold.
    pub struct TlsMatchAttributes {
        pub sni_hosts: Vec<String>,
        pub destination_subnets: Vec<String>,
        pub port: u32,
        pub source_labels: BTreeMap<String, String>,
        pub gateways: Vec<String>,
        pub source_namespace: String,
    }

    /// An answer that sends the client elsewhere.
    pub struct HttpRedirect {
        pub uri: String,
        pub authority: String,
        /// Excludes `derive_port`.
        pub port: Option<u32>,
        pub derive_port: Option<RedirectPortSelection>,
        pub scheme: String,
        pub redirect_code: u32,
        pub prefix_rewrite: String,
    }

    /// An answer that the proxy gives itself.
    pub struct HttpDirectResponse {
        pub status: u32,
        pub body: Option<HttpBody>,
    }

    /// The body of such an answer.
    pub struct HttpBody {
        /// Excludes `bytes`.
        pub string: Option<String>,
        pub bytes: Option<Blob>,
    }

    /// Changes to path and authority before forwarding.
    pub struct HttpRewrite {
        pub uri: String,
        pub authority: String,
        pub uri_regex_rewrite: Option<RegexRewrite>,
    }

    /// A path rewritten by a regular expression.
    pub struct RegexRewrite {
        pub r#match as "match": String,
        pub rewrite: String,
    }

    /// A condition on text.
    pub struct StringMatch {
        /// One of `exact`, `prefix` and `regex`; none matches whatever is present.
        pub exact: Option<String>,
        pub prefix: Option<String>,
        pub regex: Option<String>,
    }

    /// How often and when a request is tried again.
    pub struct HttpRetry {
        pub attempts: i32,
        pub per_try_timeout: Option<Duration>,
        pub retry_on: String,
        pub retry_remote_localities: Option<bool>,
        pub retry_ignore_previous_hosts: Option<bool>,
        pub backoff: Option<Duration>,
    }

    /// Answers to cross-origin requests.
    pub struct CorsPolicy {
        /// Deprecated in favour of `allow_origins`.
        pub allow_origin: Vec<String>,
        pub allow_origins: Vec<StringMatch>,
        pub allow_methods: Vec<String>,
        pub allow_headers: Vec<String>,
        pub expose_headers: Vec<String>,
        pub max_age: Option<Duration>,
        pub allow_credentials: Option<bool>,
        pub unmatched_preflights: UnmatchedPreflights,
    }

    /// Delays and failures made on purpose.
    pub struct HttpFaultInjection {
        pub delay: Option<FaultDelay>,
        pub abort: Option<FaultAbort>,
    }

    /// A delay and the share of requests that it befalls.
    pub struct FaultDelay {
        /// Deprecated in favour of `percentage`.
        pub percent: i32,
        pub fixed_delay: Option<Duration>,
        pub exponential_delay: Option<Duration>,
        pub percentage: Option<Percent>,
    }

    /// A failure and the share of requests that it befalls.
    pub struct FaultAbort {
        /// One of `http_status`, `grpc_status` and `http2_error`.
        pub http_status: Option<i32>,
        pub grpc_status: Option<String>,
        pub http2_error: Option<String>,
        pub percentage: Option<Percent>,
    }

    /// A second destination that gets a copy of a share of requests.
    pub struct HttpMirrorPolicy {
        pub destination: Option<Destination>,
        pub percentage: Option<Percent>,
    }

    /// A port, by number.
    pub struct PortSelector {
        pub number: u32,
    }

    /// A share from 0.0 to 100.0.
    pub struct Percent {
        pub value: f64,
    }
}

enumerations! {
    /// Where a redirect takes its port from.
    pub enum RedirectPortSelection {
        FromProtocolDefault "FROM_PROTOCOL_DEFAULT" = 0,
        FromRequestPort "FROM_REQUEST_PORT" = 1,
    }

    /// What happens to a preflight from an origin that is not allowed.
    pub enum UnmatchedPreflights {
        Unspecified "UNSPECIFIED" = 0,
        Forward "FORWARD" = 1,
        Ignore "IGNORE" = 2,
    }
}
