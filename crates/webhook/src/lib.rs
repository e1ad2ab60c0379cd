//! Injection and admission.
//!
//! ```text
//!   ConfigMap, MeshConfig, ProxyConfig, nodes ──> Injector ──watch──> router: /inject/…  /validate/…
//!                                                    │                    │ AdmissionReview in and out
//!                                                    └─ inject ──> templates, merge, probes, metrics ──> patch
//! ```
//!
//! A pod is injected whole or refused. There is no Kubernetes client here: whoever wires this crate feeds it, and
//! the same functions inject files (`offline`).

mod annotations;
mod configuration;
mod duration;
mod engine;
mod error;
mod fields;
mod http;
mod injector;
mod merge;
mod mesh;
pub mod offline;
mod openshift;
mod parts;
mod path;
mod pod;
mod quantity;
mod review;
mod shape;
mod stats;
mod validation;
mod values;
mod yaml;

pub use configuration::Configuration;
pub use engine::Environment;
pub use error::Error;
pub use http::{State, admission, injection, router};
pub use injector::{Injected, Injector, Outcome, Settings, Surroundings};
pub use mesh::Mesh;
pub use pod::{Decision, NativeSidecars, Nodes, is_system_namespace};
pub use stats::Stats;
pub use validation::{Context, Verdict, check};
pub use values::Values;

/// The container that is the proxy.
const PROXY: &str = "istio-proxy";
