//! How names are resolved.

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::cluster::v3::{self as api, cluster::DnsLookupFamily};
use envoy_api::envoy::config::core::v3::TypedExtensionConfig;
use envoy_api::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
use model::proxy::IpMode;
use model::settings::Settings;

use crate::cluster_mesh::ClusterMesh;
use crate::wire;

/// How the names of a cluster's endpoints are resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DnsResolution {
    family: DnsLookupFamily,
    refresh: Duration,
    jitter: Duration,
    udp_max_queries: u32,
}

/// The addresses that a proxy can use. Both families only where dual stack is on, or where a proxy without
/// IPv4 may still reach IPv4 addresses.
pub(crate) fn family(mode: IpMode, settings: &Settings) -> DnsLookupFamily {
    match mode {
        IpMode::V4 => DnsLookupFamily::V4Only,
        IpMode::V6 if settings.ipv4_outbound_for_ipv6 => DnsLookupFamily::All,
        IpMode::V6 => DnsLookupFamily::V6Only,
        IpMode::Dual if settings.dual_stack => DnsLookupFamily::All,
        IpMode::Dual => DnsLookupFamily::V4Only,
    }
}

impl DnsResolution {
    /// Resolution for a proxy; a service whose addresses are raced needs them all.
    pub(super) fn plan(mode: IpMode, race: bool, mesh: &ClusterMesh, settings: &Settings) -> Self {
        Self {
            family: if race { DnsLookupFamily::All } else { family(mode, settings) },
            refresh: mesh.dns_refresh_rate,
            jitter: settings.dns_jitter,
            udp_max_queries: settings.cares_udp_max_queries,
        }
    }

    /// Puts resolution into the cluster.
    pub(super) fn apply(&self, cluster: &mut api::Cluster) {
        let cares = CaresDnsResolverConfig {
            udp_max_queries: Some(self.udp_max_queries),
            ..CaresDnsResolverConfig::default()
        };
        cluster.dns_lookup_family = self.family as i32;
        cluster.dns_refresh_rate = Some(wire::duration(self.refresh));
        cluster.dns_jitter = Some(wire::duration(self.jitter));
        cluster.respect_dns_ttl = true;
        cluster.typed_dns_resolver_config = Some(TypedExtensionConfig {
            name: "envoy.network.dns_resolver.cares".into(),
            typed_config: Some(Any::pack(&cares)),
        });
    }
}
