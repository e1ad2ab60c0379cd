//! Routes: VirtualService.

use std::sync::Arc;
use std::time::Duration;

use super::{ExportTo, StringMatch};
use crate::key::Meta;
use crate::{Host, Labels, Millionths, Text};

/// Routes for hosts, at the mesh's proxies (`mesh`) or at gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    /// Identity and age.
    pub meta: Meta,
    /// Hosts, short names resolved; empty for one that only others delegate to.
    pub hosts: Vec<Host>,
    /// `mesh` or `<namespace>/<name>` of gateways; never empty (`mesh` if nothing was said).
    pub gateways: Vec<Text>,
    /// HTTP routes in order of precedence; `Arc` so that a plan may hold one.
    pub http: Vec<Arc<HttpRoute>>,
    /// Routes by SNI for TLS that is not terminated.
    pub tls: Vec<TlsRoute>,
    /// Routes for bytes.
    pub tcp: Vec<TcpRoute>,
    /// Who may see it.
    pub export_to: ExportTo,
}

/// One HTTP rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpRoute {
    /// Its name, may be empty.
    pub name: Text,
    /// Any of them must match; empty matches everything.
    pub matches: Vec<HttpMatch>,
    /// Where to, with weights.
    pub routes: Vec<HttpDestination>,
    /// Redirect instead of a route.
    pub redirect: Option<Redirect>,
    /// An answer made by the proxy instead of a route.
    pub direct_response: Option<DirectResponse>,
    /// Another VirtualService that holds the routes: (name, namespace).
    pub delegate: Option<(Text, Text)>,
    /// Change of path or authority.
    pub rewrite: Option<Rewrite>,
    /// Total time limit; `None` if not said, zero for none.
    pub timeout: Option<Duration>,
    /// Retries; `None` if not said.
    pub retries: Option<Retry>,
    /// Injected delay and abort.
    pub fault: Option<Fault>,
    /// Where a copy of requests goes (`mirror`).
    pub mirror: Option<Destination>,
    /// Of how many requests (`mirrorPercentage`); also said without a `mirror`, for those of delegates.
    pub mirror_percentage: Option<Millionths>,
    /// Of how many requests (the deprecated `mirrorPercent`), if `mirror_percentage` says nothing.
    pub mirror_percent: Option<u32>,
    /// Where further copies go.
    pub mirrors: Vec<Mirror>,
    /// Cross-origin policy.
    pub cors: Option<Cors>,
    /// Header changes for the whole rule.
    pub headers: HeaderChanges,
}

impl HttpRoute {
    /// Where copies of requests go and of how many, in order: `mirror`, then `mirrors`.
    pub fn all_mirrors(&self) -> impl Iterator<Item = (&Destination, Share)> {
        let share = match (self.mirror_percentage, self.mirror_percent) {
            (Some(percentage), _) => Share::Fraction(percentage),
            (None, Some(percent)) => Share::Percent(percent),
            (None, None) => Share::Unset,
        };
        let single = self.mirror.iter().map(move |mirror| (mirror, share));
        single.chain(self.mirrors.iter().map(|mirror| (&mirror.destination, mirror.share)))
    }
}

/// A condition; all set fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpMatch {
    /// Its name, may be empty.
    pub name: Text,
    /// Path.
    pub uri: Option<StringMatch>,
    /// Whether the case of the path does not count.
    pub ignore_uri_case: bool,
    /// `:scheme`.
    pub scheme: Option<StringMatch>,
    /// `:method`.
    pub method: Option<StringMatch>,
    /// `:authority`.
    pub authority: Option<StringMatch>,
    /// Headers by name, sorted.
    pub headers: Vec<(Text, StringMatch)>,
    /// Headers that must not match, sorted by name.
    pub without_headers: Vec<(Text, StringMatch)>,
    /// Query parameters by name, sorted.
    pub query_params: Vec<(Text, StringMatch)>,
    /// The port that was called; 0 for any.
    pub port: u16,
    /// Labels that the client's workload must have.
    pub source_labels: Labels,
    /// Namespace that the client must be in, may be empty.
    pub source_namespace: Text,
    /// Gateways that the condition is for, as in [`VirtualService::gateways`]; empty for all.
    pub gateways: Vec<Text>,
    /// Prefix of the statistics of this route, may be empty.
    pub stat_prefix: Text,
}

/// A service, subset and port that traffic goes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The host, short name resolved; may be empty or lead nowhere.
    pub host: Host,
    /// The subset, may be empty.
    pub subset: Text,
    /// The port; `None` for the service's only port or that which was called.
    pub port: Option<u16>,
}

/// A destination with its share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share of the sum of weights.
    pub weight: u32,
    /// Header changes for this destination only.
    pub headers: HeaderChanges,
}

/// What is done to headers; names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderChanges {
    /// Changes on the way to the destination.
    pub request: HeaderOperations,
    /// Changes on the way back.
    pub response: HeaderOperations,
}

/// Set, add, remove; sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderOperations {
    /// Overwritten or added.
    pub set: Vec<(Text, Text)>,
    /// Appended.
    pub add: Vec<(Text, Text)>,
    /// Taken away, in the order written.
    pub remove: Vec<Text>,
}

/// A redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// New path (`uri`), may be empty.
    pub uri: Text,
    /// Whether `uri` replaces only the prefix that matched (written as `prefixRewrite`).
    pub uri_is_prefix: bool,
    /// New host, may be empty.
    pub authority: Text,
    /// New scheme, may be empty.
    pub scheme: Text,
    /// New port.
    pub port: RedirectPort,
    /// Status; 0 or 301, 302, 303, 307, 308.
    pub code: u32,
}

/// The port that a redirect names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RedirectPort {
    /// Nothing was said.
    #[default]
    Unset,
    /// This one.
    Port(u16),
    /// The scheme's own (`FROM_PROTOCOL_DEFAULT`).
    ProtocolDefault,
    /// That of the request (`FROM_REQUEST_PORT`).
    RequestPort,
}

/// An answer made by the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectResponse {
    /// The status.
    pub status: u32,
    /// The body, if any.
    pub body: Option<ResponseBody>,
}

/// The body of a direct response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResponseBody {
    /// Text.
    Text(Text),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Change of path or authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rewrite {
    /// The path or prefix that replaces what matched, may be empty.
    pub uri: Text,
    /// The authority, may be empty.
    pub authority: Text,
    /// Regular expression and its replacement.
    pub uri_regex: Option<(Text, Text)>,
}

/// Retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retry {
    /// How many; 0 or less switches retries off.
    pub attempts: i32,
    /// Time limit of each try.
    pub per_try_timeout: Option<Duration>,
    /// Conditions as written, may be empty.
    pub retry_on: Text,
    /// Whether other localities are tried.
    pub remote_localities: Option<bool>,
    /// Whether hosts tried before are left out.
    pub ignore_previous_hosts: Option<bool>,
    /// Base of the back-off.
    pub backoff: Option<Duration>,
}

/// Injected faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Delay.
    pub delay: Option<FaultDelay>,
    /// Abort.
    pub abort: Option<FaultAbort>,
}

/// A share as it was given, since the wire form follows the field that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// The field `percentage`.
    Fraction(Millionths),
    /// The deprecated integer `percent`.
    Percent(u32),
    /// Nothing was said.
    Unset,
}

/// An injected delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultDelay {
    /// How long; `None` if the delay is of a form that proxies do not know (exponential).
    pub fixed: Option<Duration>,
    /// Of how many requests.
    pub share: Share,
}

/// An injected error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FaultAbort {
    /// What is answered.
    pub error: FaultError,
    /// Of how many requests.
    pub share: Share,
}

/// The error of an injected abort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FaultError {
    /// HTTP status.
    Http(u32),
    /// gRPC status by name or number, as written.
    Grpc(Text),
    /// Nothing was said.
    Unset,
}

/// A copy of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mirror {
    /// Where to.
    pub destination: Destination,
    /// Of how many requests.
    pub share: Share,
}

/// Cross-origin policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cors {
    /// Origins (`allowOrigins`; the deprecated `allowOrigin` as exact matches).
    pub origins: Vec<StringMatch>,
    /// Methods.
    pub methods: Vec<Text>,
    /// Request headers.
    pub headers: Vec<Text>,
    /// Response headers.
    pub expose_headers: Vec<Text>,
    /// How long a preflight counts.
    pub max_age: Option<Duration>,
    /// Whether credentials may be sent.
    pub credentials: Option<bool>,
    /// Whether preflights that match nothing are forwarded; `None` if not said.
    pub forward_unmatched: Option<bool>,
}

/// A route by SNI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsRoute {
    /// Any of them must match.
    pub matches: Vec<TlsMatch>,
    /// Where to, with weights.
    pub routes: Vec<RouteDestination>,
}

/// A condition on a TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsMatch {
    /// Server names.
    pub sni_hosts: Vec<Text>,
    /// Destination addresses in CIDR form.
    pub destination_subnets: Vec<Text>,
    /// The port that was called; 0 for any.
    pub port: u16,
    /// Labels that the client's workload must have.
    pub source_labels: Labels,
    /// Gateways that the condition is for; empty for all.
    pub gateways: Vec<Text>,
    /// Namespace that the client must be in, may be empty.
    pub source_namespace: Text,
}

/// A route for bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpRoute {
    /// Any of them must match; empty matches everything.
    pub matches: Vec<L4Match>,
    /// Where to, with weights.
    pub routes: Vec<RouteDestination>,
}

/// A condition on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L4Match {
    /// Destination addresses in CIDR form.
    pub destination_subnets: Vec<Text>,
    /// The port that was called; 0 for any.
    pub port: u16,
    /// Labels that the client's workload must have.
    pub source_labels: Labels,
    /// Gateways that the condition is for; empty for all.
    pub gateways: Vec<Text>,
    /// Namespace that the client must be in, may be empty.
    pub source_namespace: Text,
}

/// A destination of a TLS or TCP route with its share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share of the sum of weights.
    pub weight: u32,
}
