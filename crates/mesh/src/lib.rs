//! One immutable state of the mesh: config tables and the indexes derived from them.
//!
//! ```text
//!   Config ──> services ──┬──────────────> scope (namespace, Sidecar | gateway)
//!     │        endpoints ─┤ rules ─────────┤
//!     │        workloads  │ routes ────────┤
//!     └──────> authn      │ gateways ──────┴──> Member: what is known of one proxy
//! ```
//!
//! Every index is a function of the tables in its parameter list and keeps its handle when nothing in
//! it has changed. What proxies are sent is decided in `translate`, not here.

mod asks;
mod authn;
#[cfg(test)]
mod builders;
mod collectors;
mod config;
mod discovery;
mod endpoints;
mod gateways;
mod keys;
mod member;
mod problems;
mod profiles;
mod routes;
mod rules;
mod scope;
mod selectors;
mod services;
mod sidecars;
mod snapshot;
mod targets;
mod visibility;
mod workloads;

pub use authn::{AuthnIndex, Refusals, WorkloadAuthn};
pub use collectors::Collectors;
pub use config::{Config, Record};
pub use endpoints::{EndpointFacts, EndpointIndex, ServiceEndpoints};
pub use gateways::{GatewayIndex, GatewayServer, MergedGateway, MergedServer};
pub use member::{Member, ServiceTarget};
pub use profiles::{ClusterProfile, EndpointProfile, ListenerProfile, NameProfile, RouteProfile};
pub use routes::{MESH, RouteIndex};
pub use rules::{EffectivePolicy, MergedRule, RuleIndex};
pub use scope::{EgressScope, Scope, ScopeInputs, ScopedService};
pub use selectors::SelectorIndex;
pub use services::ServiceIndex;
pub use sidecars::SidecarIndex;
pub use snapshot::Snapshot;
pub use workloads::{Workload, WorkloadIndex};
