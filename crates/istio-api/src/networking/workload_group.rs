//! WorkloadGroup: the template of workload entries, and readiness probes.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use super::WorkloadEntry;
use crate::leniency::messages;

messages! {
    /// The spec of a WorkloadGroup.
    pub struct WorkloadGroup {
        pub metadata: Option<ObjectMeta>,
        pub template: Option<WorkloadEntry>,
        pub probe: Option<ReadinessProbe>,
    }

    /// Labels and annotations of the entries.
    pub struct ObjectMeta {
        pub labels: BTreeMap<String, String>,
        pub annotations: BTreeMap<String, String>,
    }

    /// How the agent finds out that its workload is ready.
    pub struct ReadinessProbe {
        pub initial_delay_seconds: i32,
        pub timeout_seconds: i32,
        pub period_seconds: i32,
        pub success_threshold: i32,
        pub failure_threshold: i32,
        /// One of the four methods.
        pub http_get: Option<HttpHealthCheckConfig>,
        pub tcp_socket: Option<TcpHealthCheckConfig>,
        pub exec: Option<ExecHealthCheckConfig>,
        pub grpc: Option<GrpcHealthCheckConfig>,
    }

    /// A probe by HTTP request.
    pub struct HttpHealthCheckConfig {
        pub path: String,
        pub port: u32,
        pub host: String,
        pub scheme: String,
        pub http_headers: Vec<ProbeHeader>,
    }

    /// A probe by gRPC health check.
    pub struct GrpcHealthCheckConfig {
        pub port: u32,
        pub service: String,
    }

    /// A header of the probe.
    pub struct ProbeHeader {
        pub name: String,
        pub value: String,
    }

    /// A probe by connection.
    pub struct TcpHealthCheckConfig {
        pub host: String,
        pub port: u32,
    }

    /// A probe by command.
    pub struct ExecHealthCheckConfig {
        pub command: Vec<String>,
    }
}
