//! What is done with traffic to a host after routing: DestinationRule.

use std::sync::Arc;
use std::time::Duration;

use super::{ExportTo, Selector};
use crate::key::Meta;
use crate::{Decimal, Host, Labels, Text};

/// Policy and subsets of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRule {
    /// Identity and age.
    pub meta: Meta,
    /// The host, short name resolved.
    pub host: Host,
    /// The policy of all subsets.
    pub policy: Option<Arc<TrafficPolicy>>,
    /// Named subsets of the host's endpoints.
    pub subsets: Vec<Subset>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// The client workloads that it is for; always private to its namespace if set.
    pub selector: Selector,
}

/// A named subset of a host's endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subset {
    /// Its name.
    pub name: Text,
    /// Labels that its endpoints have.
    pub labels: Labels,
    /// Its own policy, over the rule's.
    pub policy: Option<Arc<TrafficPolicy>>,
}

/// How traffic is balanced, limited and secured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrafficPolicy {
    /// Load balancing.
    pub load_balancer: Option<LoadBalancer>,
    /// Connection limits.
    pub connection_pool: Option<ConnectionPool>,
    /// Ejection of endpoints that fail.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the endpoints.
    pub tls: Option<ClientTls>,
    /// Policies that replace the four above for one port each.
    pub port_levels: Vec<(u16, Arc<TrafficPolicy>)>,
    /// A tunnel through another proxy.
    pub tunnel: Option<Tunnel>,
    /// Version of the PROXY protocol spoken to the endpoints.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limit of retries in flight.
    pub retry_budget: Option<RetryBudget>,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the protocol's own version names")]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// Limit of retries in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// Percent of active requests, default 20.
    pub percent: Option<Decimal>,
    /// Retries that are always allowed, default 3.
    pub min_retry_concurrency: Option<u32>,
    /// The window that is looked at.
    pub budget_interval: Option<Duration>,
}

/// A tunnel through another proxy by CONNECT or POST.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Whether POST is used instead of CONNECT.
    pub use_post: bool,
    /// The host at the far end.
    pub target_host: Text,
    /// The port at the far end.
    pub target_port: u16,
}

/// Load balancing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LoadBalancer {
    /// A simple algorithm; `None` if not said.
    pub simple: Option<SimpleLb>,
    /// Consistent hashing, which wins over a simple algorithm.
    pub consistent_hash: Option<ConsistentHash>,
    /// Locality weights and failover.
    pub locality: Option<LocalityLb>,
    /// Zone-aware routing; wins over `locality`.
    pub zone_aware: Option<ZoneAware>,
    /// Slow start of new endpoints.
    pub warmup: Option<Warmup>,
}

/// A simple load balancing algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum SimpleLb {
    Unspecified,
    Random,
    Passthrough,
    RoundRobin,
    LeastRequest,
}

/// Zone-aware routing (`loadBalancer.zoneAwareLbSetting`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ZoneAware {
    /// Whether it is switched off by the user.
    pub disabled: bool,
    /// Fewest endpoints for it to work.
    pub min_cluster_size: Option<u64>,
    /// Failover between regions.
    pub failover: Vec<(Text, Text)>,
    /// Labels by which failover goes.
    pub failover_priority: Vec<Text>,
}

/// Slow start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Warmup {
    /// The window.
    pub duration: Duration,
    /// From the deprecated `warmupDurationSecs`, which sets only the window.
    pub legacy: bool,
    /// Fewest percent of the weight, default 10.
    pub minimum_percent: Option<Decimal>,
    /// Speed of the ramp, default 1.
    pub aggression: Option<Decimal>,
}

/// Consistent hashing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsistentHash {
    /// What is hashed; `None` if nothing was said.
    pub key: Option<HashKey>,
    /// The algorithm.
    pub algorithm: HashAlgorithm,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// A header.
    Header(Text),
    /// A cookie, made by the proxy if it has a time to live.
    Cookie {
        /// Its name.
        name: Text,
        /// Its path, may be empty.
        path: Text,
        /// Its time to live; `None` if not said.
        ttl: Option<Duration>,
        /// Attributes of the cookie that the proxy makes.
        attributes: Vec<(Text, Text)>,
    },
    /// The client's address.
    SourceIp,
    /// A query parameter.
    QueryParameter(Text),
}

/// The algorithm of consistent hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Nothing was said; the deprecated `minimumRingSize`.
    Unset {
        /// Fewest entries of the ring, default 1024.
        minimum_ring_size: Option<u64>,
    },
    /// A ring.
    RingHash {
        /// Fewest entries of the ring.
        minimum_ring_size: Option<u64>,
    },
    /// Maglev.
    Maglev {
        /// Size of the table.
        table_size: Option<u64>,
    },
}

/// Locality load balancing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalityLb {
    /// Whether it is on; `None` if not said (on).
    pub enabled: Option<bool>,
    /// Shares by the client's locality: (from, [(to, percent)]), `to` sorted.
    pub distribute: Vec<(Text, Vec<(Text, u32)>)>,
    /// Failover between regions: (from, to).
    pub failover: Vec<(Text, Text)>,
    /// Labels by which failover goes, most significant first.
    pub failover_priority: Vec<Text>,
}

/// Connection limits; zero and absent mean the mesh's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectionPool {
    /// `tcp`.
    pub tcp: Option<TcpPool>,
    /// `http`.
    pub http: Option<HttpPool>,
}

/// Limits of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpPool {
    /// Most connections.
    pub max_connections: Option<u32>,
    /// Time limit of connecting.
    pub connect_timeout: Option<Duration>,
    /// Keepalive.
    pub keepalive: Option<TcpKeepalive>,
    /// Longest life of a connection.
    pub max_connection_duration: Option<Duration>,
    /// Longest idle time.
    pub idle_timeout: Option<Duration>,
}

/// Keepalive of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpKeepalive {
    /// Probes without answer before a connection counts as dead; 0 for the system's.
    pub probes: u32,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
}

/// Limits of HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpPool {
    /// Most requests that wait for a connection.
    pub http1_max_pending_requests: Option<u32>,
    /// Most requests.
    pub http2_max_requests: Option<u32>,
    /// Most requests on a connection.
    pub max_requests_per_connection: Option<u32>,
    /// Most retries.
    pub max_retries: Option<u32>,
    /// Longest idle time.
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 is upgraded to HTTP/2.
    pub h2_upgrade: H2Upgrade,
    /// Whether the client's protocol is kept.
    pub use_client_protocol: bool,
    /// Most streams on a connection.
    pub max_concurrent_streams: Option<u32>,
    /// Keepalive of HTTP/2: (interval, timeout).
    pub http2_keepalive: Option<(Option<Duration>, Option<Duration>)>,
}

/// Whether HTTP/1.1 is upgraded to HTTP/2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum H2Upgrade {
    #[default]
    Default,
    DoNotUpgrade,
    Upgrade,
}

/// Ejection of endpoints that fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutlierDetection {
    /// Errors in a row (5xx).
    pub consecutive_5xx: Option<u32>,
    /// Gateway errors in a row.
    pub consecutive_gateway: Option<u32>,
    /// Errors of the connection itself in a row.
    pub consecutive_local_origin: Option<u32>,
    /// Whether both kinds are counted apart.
    pub split_external_local_origin: bool,
    /// Time between sweeps.
    pub interval: Option<Duration>,
    /// Shortest ejection.
    pub base_ejection_time: Option<Duration>,
    /// Most ejected, in percent; 0 for the default.
    pub max_ejection_percent: u32,
    /// Fewest healthy, in percent, for balancing to care.
    pub min_health_percent: u32,
    /// Statuses that count as errors; empty for the proxy's own choice.
    pub http_error_codes: Vec<u32>,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// The mode.
    pub mode: ClientTlsMode,
    /// File of the client's certificate, may be empty (so are the next two).
    pub client_certificate: Text,
    /// File of its key.
    pub private_key: Text,
    /// File of the roots.
    pub ca_certificates: Text,
    /// File of revoked certificates, may be empty.
    pub ca_crl: Text,
    /// Secret instead of files, may be empty.
    pub credential_name: Text,
    /// Names accepted of the server; `None` if not said.
    pub subject_alt_names: Option<Vec<Text>>,
    /// The server name sent, may be empty.
    pub sni: Text,
    /// Whether the server's certificate is not verified.
    pub insecure_skip_verify: bool,
}

/// Mode of TLS towards endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum ClientTlsMode {
    #[default]
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

impl ClientTlsMode {
    /// Whether it is TLS that is not Istio's own.
    pub fn is_foreign(self) -> bool {
        matches!(self, Self::Simple | Self::Mutual)
    }
}
