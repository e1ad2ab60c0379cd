//! The facts of a proxy that one family of resources may read, and nothing more.
//!
//! A new fact about proxies is a field here, or it cannot be read. Labels are no such facts: what they
//! select enters as handles, or narrowed to the keys that some rule mentions.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::proxy::{Capabilities, CertFiles, Interception, IpMode, IstioVersion, ProxyKind};
use model::proxy_config::{ProxyConfig, ProxyHeaders};
use model::{Host, Labels, Text};

use crate::Member;

/// What clusters may read of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at model::Proxy")]
pub struct ClusterProfile {
    pub kind: ProxyKind,
    pub ip_mode: IpMode,
    pub cluster: Text,
    pub network: Text,
    pub network_view: Vec<Text>,
    pub locality: Text,
    /// The proxy's labels narrowed to those by which failover of services goes whose endpoints' names are
    /// resolved; usually empty.
    pub name_labels: Labels,
    pub capabilities: Capabilities,
    pub client_files: CertFiles,
    pub external_sds: bool,
    pub file_credentials: bool,
    pub preserve_header_case: bool,
    pub auto_addresses: bool,
    pub dns_capture: bool,
    /// Whether it is a gateway that passes mutual TLS through by server name (`AUTO_PASSTHROUGH`).
    pub passes_server_names: bool,
    /// The hosts whose clusters it gets; `None` for all (`PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`).
    pub hosts: Option<Arc<BTreeSet<Host>>>,
}

impl ClusterProfile {
    /// The profile of a proxy.
    pub fn of(member: &Member) -> Self {
        let proxy = &member.proxy;
        Self {
            kind: proxy.kind,
            ip_mode: proxy.ip_mode(),
            cluster: proxy.cluster.clone(),
            network: proxy.network.clone(),
            network_view: proxy.network_view.clone(),
            locality: member.locality.clone(),
            name_labels: member.name_labels(),
            capabilities: proxy.capabilities,
            client_files: proxy.client_files.clone(),
            external_sds: proxy.external_sds,
            file_credentials: proxy.file_credentials,
            preserve_header_case: member.config.headers.preserve_case.unwrap_or_default(),
            auto_addresses: member.auto_addresses,
            dns_capture: proxy.dns_capture,
            passes_server_names: member.gateway.as_ref().is_some_and(|it| !it.auto_passthrough.is_empty()),
            hosts: member.cluster_hosts.clone(),
        }
    }
}

/// What endpoints may read of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at model::Proxy")]
pub struct EndpointProfile {
    pub kind: ProxyKind,
    pub ip_mode: IpMode,
    pub cluster: Text,
    pub network: Text,
    pub network_view: Vec<Text>,
    pub locality: Text,
    /// The proxy's machine, only where some service is local to nodes; empty otherwise.
    pub node: Text,
    /// The proxy's labels narrowed to those by which some failover goes; usually empty.
    pub failover_labels: Labels,
    /// Whether it forwards connections by server name (`AUTO_PASSTHROUGH`).
    pub server_name_clusters: bool,
}

impl EndpointProfile {
    /// The profile of a proxy, with node and labels only as far as its scope's services and rules ask.
    pub fn of(member: &Member) -> Self {
        let proxy = &member.proxy;
        Self {
            kind: proxy.kind,
            ip_mode: proxy.ip_mode(),
            cluster: proxy.cluster.clone(),
            network: proxy.network.clone(),
            network_view: proxy.network_view.clone(),
            locality: member.locality.clone(),
            node: member.endpoint_node(),
            failover_labels: member.failover_labels(),
            server_name_clusters: member.forwards_by_server_name(),
        }
    }
}

/// What routes may read of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at model::Proxy")]
pub struct RouteProfile {
    pub kind: ProxyKind,
    pub ip_mode: IpMode,
    pub namespace: Text,
    pub dns_domain: Text,
    pub cluster: Text,
    pub auto_addresses: bool,
    pub headers: ProxyHeaders,
    /// The proxy's labels narrowed to those that some visible route's `sourceLabels` mentions.
    pub source_labels: Labels,
    pub version: IstioVersion,
}

impl RouteProfile {
    /// The profile of a proxy.
    pub fn of(member: &Member) -> Self {
        let proxy = &member.proxy;
        Self {
            kind: proxy.kind,
            ip_mode: proxy.ip_mode(),
            namespace: proxy.namespace.clone(),
            dns_domain: proxy.dns_domain.clone(),
            cluster: proxy.cluster.clone(),
            auto_addresses: member.auto_addresses,
            headers: member.config.headers.clone(),
            source_labels: member.source_labels(),
            version: proxy.version,
        }
    }
}

/// What a name table may read of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at model::Proxy")]
pub struct NameProfile {
    pub ip_mode: IpMode,
    pub cluster: Text,
    pub network: Text,
    pub auto_addresses: bool,
}

impl NameProfile {
    /// The profile of a proxy.
    pub fn of(member: &Member) -> Self {
        let proxy = &member.proxy;
        Self {
            ip_mode: proxy.ip_mode(),
            cluster: proxy.cluster.clone(),
            network: proxy.network.clone(),
            auto_addresses: member.auto_addresses,
        }
    }
}

/// What listeners (and inbound clusters) may read of a proxy: nearly everything, since they carry the
/// workload's tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at model::Proxy")]
pub struct ListenerProfile {
    pub kind: ProxyKind,
    /// Own addresses: headless listeners skip them, Sidecar listeners bind to them.
    pub ips: Vec<IpAddr>,
    pub ip_mode: IpMode,
    pub namespace: Text,
    pub labels: Labels,
    /// The labels narrowed to those that some visible route's `sourceLabels` mentions.
    pub source_labels: Labels,
    pub dns_domain: Text,
    pub cluster: Text,
    pub network: Text,
    pub mesh_id: Text,
    pub service_cluster: Text,
    pub workload_name: Text,
    pub version: IstioVersion,
    pub capabilities: Capabilities,
    pub interception: Interception,
    pub config: ProxyConfig,
    pub http_proxy_port: u16,
    pub idle_timeout: Option<Duration>,
    pub http10: bool,
    pub auto_addresses: bool,
    pub dns_capture: bool,
    pub unprivileged: bool,
    pub reserved_ports: Vec<u16>,
    pub server_files: CertFiles,
    pub client_files: CertFiles,
    pub inbound_exact_balance: bool,
    pub outbound_exact_balance: bool,
    pub external_sds: bool,
    pub file_credentials: bool,
}

impl ListenerProfile {
    /// The profile of a proxy.
    pub fn of(member: &Member) -> Self {
        let proxy = &member.proxy;
        Self {
            kind: proxy.kind,
            ips: proxy.ips.clone(),
            ip_mode: proxy.ip_mode(),
            namespace: proxy.namespace.clone(),
            labels: member.labels.clone(),
            source_labels: member.source_labels(),
            dns_domain: proxy.dns_domain.clone(),
            cluster: proxy.cluster.clone(),
            network: proxy.network.clone(),
            mesh_id: proxy.mesh_id.clone(),
            service_cluster: proxy.service_cluster.clone(),
            workload_name: proxy.workload_name.clone(),
            version: proxy.version,
            capabilities: proxy.capabilities,
            interception: proxy.interception,
            config: (*member.config).clone(),
            http_proxy_port: proxy.http_proxy_port,
            idle_timeout: proxy.idle_timeout,
            http10: proxy.http10,
            auto_addresses: member.auto_addresses,
            dns_capture: proxy.dns_capture,
            unprivileged: proxy.unprivileged,
            reserved_ports: proxy.reserved_ports.clone(),
            server_files: proxy.server_files.clone(),
            client_files: proxy.client_files.clone(),
            inbound_exact_balance: proxy.inbound_exact_balance,
            outbound_exact_balance: proxy.outbound_exact_balance,
            external_sds: proxy.external_sds,
            file_credentials: proxy.file_credentials,
        }
    }
}
