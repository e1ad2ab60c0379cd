//! What clusters and their endpoints may read of the mesh's configuration, so that a change of anything
//! else plans none of them again.

use std::time::Duration;

use memo::{Memo, Shared};
use model::Text;
use model::mesh_config::{ClusterLocals, MeshConfig, TlsSettings};
use model::networking::{
    ClientTls, ConnectionPool, H2Upgrade, LocalityLb, TcpKeepalive, TrafficPolicy, ZoneAware,
};

/// The part of the mesh's configuration that clusters and their endpoints read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each field is described at MeshConfig")]
pub struct ClusterMesh {
    pub connect_timeout: Duration,
    pub tcp_keepalive: Option<TcpKeepalive>,
    pub default_traffic_policy: Option<TrafficPolicy>,
    pub outbound_cluster_stat_name: Text,
    pub h2_upgrade: H2Upgrade,
    pub locality_lb: Option<LocalityLb>,
    pub zone_aware: Option<ZoneAware>,
    pub dns_refresh_rate: Duration,
    pub trust_domain_aliases: Vec<Text>,
    pub enable_auto_mtls: bool,
    pub tls_defaults: TlsSettings,
    pub outbound_tls: Option<ClientTls>,
    pub cluster_locals: ClusterLocals,
}

impl ClusterMesh {
    /// The part of a configuration.
    pub fn of(mesh: &MeshConfig) -> Self {
        Self {
            connect_timeout: mesh.connect_timeout,
            tcp_keepalive: mesh.tcp_keepalive.clone(),
            default_traffic_policy: mesh.default_traffic_policy.clone(),
            outbound_cluster_stat_name: mesh.outbound_cluster_stat_name.clone(),
            h2_upgrade: mesh.h2_upgrade,
            locality_lb: mesh.locality_lb.clone(),
            zone_aware: mesh.zone_aware.clone(),
            dns_refresh_rate: mesh.dns_refresh_rate,
            trust_domain_aliases: mesh.trust_domain_aliases.clone(),
            enable_auto_mtls: mesh.enable_auto_mtls,
            tls_defaults: mesh.tls_defaults.clone(),
            outbound_tls: mesh.outbound_tls.clone(),
            cluster_locals: mesh.cluster_locals(),
        }
    }

    /// The connection pool of clusters whose rule says none.
    pub(crate) fn default_pool(&self) -> Option<&ConnectionPool> {
        self.default_traffic_policy.as_ref()?.connection_pool.as_ref()
    }
}

/// Parts under handles: configurations with equal parts have one.
#[derive(Default)]
pub(crate) struct ClusterMeshes {
    known: Memo<Shared<MeshConfig>, ClusterMesh>,
    equal: Memo<ClusterMesh, ClusterMesh>,
}

impl ClusterMeshes {
    /// The part of a configuration.
    pub(crate) fn get(&self, mesh: &Shared<MeshConfig>) -> Shared<ClusterMesh> {
        let part = |mesh: &Shared<MeshConfig>| self.equal.get(&ClusterMesh::of(mesh), Clone::clone);
        self.known.share(mesh, |mesh| Some(part(mesh))).unwrap_or_else(|| part(mesh))
    }

    pub(crate) fn sweep(&self) {
        self.known.sweep();
        self.equal.sweep();
    }
}
