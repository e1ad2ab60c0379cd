//! Clusters that resolve the name that was called (`DYNAMIC_DNS`, `ALLOW_ANY_DYNAMIC_DNS`).

use envoy_api::Any;
use envoy_api::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, CustomClusterType, DnsLookupFamily,
};
use envoy_api::envoy::extensions::clusters::dynamic_forward_proxy::v3::{
    ClusterConfig, cluster_config::ClusterImplementationSpecifier,
};
use model::{Host, Protocol};

use crate::wire::DnsCache;

/// A cluster that resolves the name that was called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DynamicDns {
    /// Its cache, shared with the filters that fill it.
    pub(super) cache: DnsCache,
    /// Whether TLS may go without the name of the request, or there is no TLS to say so.
    pub(super) insecure: bool,
}

/// The cache of a service's names.
pub(crate) fn cache_of(host: &Host, family: DnsLookupFamily) -> DnsCache {
    DnsCache { name: format!("{host}_dfp_dns_cache").into(), family, max_hosts: None, by_agent: false }
}

/// The cache of names that no service has; `by_agent` where the agent resolves for the proxy.
pub(crate) fn cache_of_any(family: DnsLookupFamily, by_agent: bool) -> DnsCache {
    DnsCache { name: "allow_any_dfp_dns_cache".into(), family, max_hosts: Some(1024), by_agent }
}

/// Whether names can be resolved as they are called on a port of this protocol.
pub(crate) fn supports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http | Protocol::Tls | Protocol::Grpc | Protocol::Http2)
}

impl DynamicDns {
    /// The type of the cluster.
    pub(super) fn build(&self) -> ClusterDiscoveryType {
        let cache = ClusterImplementationSpecifier::DnsCacheConfig(self.cache.config());
        let config = ClusterConfig {
            allow_insecure_cluster_options: self.insecure,
            cluster_implementation_specifier: Some(cache),
            ..ClusterConfig::default()
        };
        ClusterDiscoveryType::ClusterType(CustomClusterType {
            name: "envoy.clusters.dynamic_forward_proxy".into(),
            typed_config: Some(Any::pack(&config)),
        })
    }
}
