//! Limits of connections, requests and retries, and keepalive.

use std::time::Duration;

use envoy_api::envoy::config::cluster::v3::{self as api, circuit_breakers};
use envoy_api::envoy::config::core::v3 as core;
use model::Decimal;
use model::networking::{ConnectionPool, RetryBudget, TcpKeepalive};
use model::settings::Settings;

use crate::cluster_mesh::ClusterMesh;
use crate::wire;

/// Limits of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Limits {
    connections: u32,
    pending_requests: u32,
    requests: u32,
    retries: u32,
    retry_budget: Option<RetryBudget>,
    track_remaining: bool,
    keepalive: Option<TcpKeepalive>,
}

impl Limits {
    /// The limits that a pool says; what it leaves out, or sets to 0, is unlimited, since Envoy's own
    /// defaults are too low for a mesh.
    pub(super) fn plan(
        pool: Option<&ConnectionPool>,
        retry_budget: Option<RetryBudget>,
        mesh: &ClusterMesh,
        settings: &Settings,
    ) -> Self {
        let tcp = pool.and_then(|pool| pool.tcp.as_ref());
        let http = pool.and_then(|pool| pool.http.as_ref());
        let limit = |value: Option<u32>| value.filter(|value| *value > 0).unwrap_or(u32::MAX);
        Self {
            connections: limit(tcp.and_then(|tcp| tcp.max_connections)),
            pending_requests: limit(http.and_then(|http| http.http1_max_pending_requests)),
            requests: limit(http.and_then(|http| http.http2_max_requests)),
            retries: limit(http.and_then(|http| http.max_retries)),
            retry_budget,
            track_remaining: !settings.disable_track_remaining,
            keepalive: keepalive(mesh.tcp_keepalive.as_ref(), tcp.and_then(|tcp| tcp.keepalive.as_ref())),
        }
    }

    /// Puts the limits into the cluster.
    pub(super) fn apply(&self, cluster: &mut api::Cluster) {
        let thresholds = circuit_breakers::Thresholds {
            max_connections: Some(self.connections),
            max_pending_requests: Some(self.pending_requests),
            max_requests: Some(self.requests),
            max_retries: Some(self.retries),
            retry_budget: self.retry_budget.as_ref().map(build_budget),
            track_remaining: self.track_remaining,
            ..Default::default()
        };
        let breakers = api::CircuitBreakers { thresholds: vec![thresholds], ..Default::default() };
        cluster.circuit_breakers = Some(breakers);
        cluster.upstream_connection_options =
            self.keepalive.as_ref().map(|keepalive| api::UpstreamConnectionOptions {
                tcp_keepalive: Some(build_keepalive(keepalive)),
                ..Default::default()
            });
    }
}

/// The time limit of connecting: the pool's, else the mesh's.
pub(super) fn connect_timeout(pool: Option<&ConnectionPool>, mesh: &ClusterMesh) -> Duration {
    let own = pool.and_then(|pool| pool.tcp.as_ref()).and_then(|tcp| tcp.connect_timeout);
    own.unwrap_or(mesh.connect_timeout)
}

/// Field by field the pool's over the mesh's; an empty block switches keepalive on too.
fn keepalive(mesh: Option<&TcpKeepalive>, pool: Option<&TcpKeepalive>) -> Option<TcpKeepalive> {
    let (Some(below), Some(above)) = (mesh, pool) else { return mesh.or(pool).cloned() };
    Some(TcpKeepalive {
        probes: if above.probes > 0 { above.probes } else { below.probes },
        time: above.time.or(below.time),
        interval: above.interval.or(below.interval),
    })
}

fn build_keepalive(keepalive: &TcpKeepalive) -> core::TcpKeepalive {
    let seconds = |time: Option<Duration>| time.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    core::TcpKeepalive {
        keepalive_probes: Some(keepalive.probes).filter(|probes| *probes > 0),
        keepalive_time: seconds(keepalive.time),
        keepalive_interval: seconds(keepalive.interval),
    }
}

fn build_budget(budget: &RetryBudget) -> circuit_breakers::thresholds::RetryBudget {
    let percent = budget.percent.map_or(20.0, Decimal::get);
    let concurrency = budget.min_retry_concurrency.filter(|least| *least > 0).unwrap_or(3);
    circuit_breakers::thresholds::RetryBudget {
        budget_percent: Some(wire::percent(percent)),
        min_retry_concurrency: Some(concurrency),
        budget_interval: budget.budget_interval.map(wire::duration),
    }
}
