//! Load balancing settings of a DestinationRule and of the mesh.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::{Duration, enumerations, messages};

messages! {
    /// How an endpoint is chosen.
    pub struct LoadBalancerSettings {
        /// Excludes `consistent_hash`.
        pub simple: Option<SimpleLb>,
        pub consistent_hash: Option<ConsistentHashLb>,
        pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
        pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
        /// Deprecated in favour of `warmup`.
        pub warmup_duration_secs: Option<Duration>,
        pub warmup: Option<WarmupConfiguration>,
    }

    /// Choice by a hash over a property of the request.
    pub struct ConsistentHashLb {
        /// One of `http_header_name`, `http_cookie`, `use_source_ip` and `http_query_parameter_name`.
        pub http_header_name: Option<String>,
        pub http_cookie: Option<HttpCookie>,
        pub use_source_ip: Option<bool>,
        pub http_query_parameter_name: Option<String>,
        /// Excludes `maglev`.
        pub ring_hash: Option<RingHash>,
        pub maglev: Option<MagLev>,
        /// Deprecated in favour of `ring_hash`.
        pub minimum_ring_size: u64,
    }

    /// Settings of the ring hash.
    pub struct RingHash {
        pub minimum_ring_size: u64,
    }

    /// Settings of Maglev.
    pub struct MagLev {
        pub table_size: u64,
    }

    /// The cookie whose value is hashed.
    pub struct HttpCookie {
        pub name: String,
        pub path: String,
        pub ttl: Option<Duration>,
        pub attributes: Vec<HttpCookieAttribute>,
    }

    /// A further attribute of the cookie.
    pub struct HttpCookieAttribute {
        pub name: String,
        pub value: String,
    }

    /// How the share of a new endpoint grows.
    pub struct WarmupConfiguration {
        pub duration: Option<Duration>,
        pub minimum_percent: Option<f64>,
        pub aggression: Option<f64>,
    }

    /// Shares and failover between localities.
    pub struct LocalityLoadBalancerSetting {
        pub distribute: Vec<LocalityDistribute>,
        pub failover: Vec<LocalityFailover>,
        pub failover_priority: Vec<String>,
        pub enabled: Option<bool>,
    }

    /// Where the traffic of a locality goes, in shares.
    pub struct LocalityDistribute {
        pub from: String,
        /// Percentages by locality.
        pub to: BTreeMap<String, u32>,
    }

    /// Where the traffic of a region goes when it fails.
    pub struct LocalityFailover {
        pub from: String,
        pub to: String,
    }

    /// Preference for endpoints of the same zone.
    pub struct ZoneAwareLoadBalancerSetting {
        pub enabled: Option<bool>,
        pub failover: Vec<ZoneFailover>,
        pub failover_priority: Vec<String>,
        pub min_cluster_size: Option<u64>,
    }

    /// Where the traffic of a zone goes when it fails.
    pub struct ZoneFailover {
        pub from: String,
        pub to: String,
    }
}

enumerations! {
    /// Algorithms without settings.
    pub enum SimpleLb {
        Unspecified "UNSPECIFIED" = 0,
        LeastConn "LEAST_CONN" = 1,
        Random "RANDOM" = 2,
        Passthrough "PASSTHROUGH" = 3,
        RoundRobin "ROUND_ROBIN" = 4,
        LeastRequest "LEAST_REQUEST" = 5,
    }
}
