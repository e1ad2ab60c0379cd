//! Istio's wire messages: what its clients and agents say over gRPC beside Envoy's own resources.

/// How workloads get certificates (`istio.v1.auth`).
pub mod auth {
    include!(concat!(env!("OUT_DIR"), "/istio.v1.auth.rs"));
}
