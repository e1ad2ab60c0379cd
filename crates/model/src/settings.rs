//! Mesh-wide switches: istiod's environment variables that change what proxies are sent.

use std::time::Duration;

use crate::{Decimal, Text};

/// The switches, by the names of istiod's environment variables; defaults as istiod's.
///
/// The table from which they are read, with a sentence on each, is the binary's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is a variable of the binary's table, where it is described")]
pub struct Settings {
    /// The DNS suffix of Kubernetes services (`--domain`).
    pub domain: Text,
    /// The id of the local cluster (`--clusterID`).
    pub cluster: Text,
    pub alpn_filter: bool,
    pub metadata_exchange: bool,
    pub disable_mx_alpn: bool,
    pub mx_labels: Vec<Text>,
    pub telemetry_label: bool,
    pub endpoint_telemetry_label: bool,
    pub auto_send_unhealthy: bool,
    pub send_unhealthy: bool,
    pub enhanced_rule_merge: bool,
    pub unified_sidecar_scope: bool,
    pub pick_best_service_namespace: bool,
    pub route_collapse: bool,
    pub absolute_fqdn_domain: bool,
    pub filter_gateway_clusters: bool,
    pub scope_gateway_to_namespace: bool,
    pub dual_stack: bool,
    pub disable_shadow_host_suffix: bool,
    pub ip_autoallocate: bool,
    pub mongo_filter: bool,
    pub mysql_filter: bool,
    pub redis_filter: bool,
    pub eds_for_headless: bool,
    pub multicluster_headless: bool,
    pub continue_100: bool,
    pub sidecar_use_remote_address: bool,
    pub persistent_session_filter: bool,
    pub quic_listeners: bool,
    pub locality_weighted_lb: bool,
    pub max_connections_per_event_loop: u32,
    pub prefer_rule_tls_for_external: bool,
    pub trace_sampling: Decimal,
    pub http10: bool,
    pub skip_validate_trust_domain: bool,
    pub tls_on_sidecar_ingress: bool,
    pub sidecar_service_inbound_merge: bool,
    pub headless_filter_chain_listener: bool,
    pub disable_track_remaining: bool,
    pub cares_udp_max_queries: u32,
    pub dns_jitter: Duration,
    pub transport_socket_connect_timeout: Duration,
    pub select_pods: bool,
    pub select_workload_entries: bool,
    pub ipv4_outbound_for_ipv6: bool,
    pub compliance: Compliance,
}

/// A regulation that TLS of proxies has to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compliance {
    /// None.
    #[default]
    None,
    /// `fips-140-2`.
    Fips1402,
    /// `fips-140-3`.
    Fips1403,
    /// `pqc`: key agreement that outlives quantum computers.
    Pqc,
}

impl Compliance {
    /// From its name in istiod's environment.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "" => Self::None,
            "fips-140-2" => Self::Fips1402,
            "fips-140-3" => Self::Fips1403,
            "pqc" => Self::Pqc,
            _ => return None,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domain: "cluster.local".into(),
            cluster: "Kubernetes".into(),
            alpn_filter: true,
            metadata_exchange: true,
            disable_mx_alpn: false,
            mx_labels: Vec::new(),
            telemetry_label: true,
            endpoint_telemetry_label: true,
            auto_send_unhealthy: true,
            send_unhealthy: false,
            enhanced_rule_merge: true,
            unified_sidecar_scope: true,
            pick_best_service_namespace: true,
            route_collapse: true,
            absolute_fqdn_domain: true,
            filter_gateway_clusters: false,
            scope_gateway_to_namespace: false,
            dual_stack: false,
            disable_shadow_host_suffix: true,
            ip_autoallocate: true,
            mongo_filter: true,
            mysql_filter: false,
            redis_filter: false,
            eds_for_headless: false,
            multicluster_headless: true,
            continue_100: true,
            sidecar_use_remote_address: false,
            persistent_session_filter: false,
            quic_listeners: false,
            locality_weighted_lb: false,
            max_connections_per_event_loop: 1,
            prefer_rule_tls_for_external: true,
            trace_sampling: Decimal::new(1.0),
            http10: false,
            skip_validate_trust_domain: false,
            tls_on_sidecar_ingress: false,
            sidecar_service_inbound_merge: false,
            headless_filter_chain_listener: false,
            disable_track_remaining: true,
            cares_udp_max_queries: 100,
            dns_jitter: Duration::from_millis(100),
            transport_socket_connect_timeout: Duration::from_secs(15),
            select_pods: true,
            select_workload_entries: true,
            ipv4_outbound_for_ipv6: false,
            compliance: Compliance::None,
        }
    }
}
