//! Readiness, metrics and debug pages: the state as it is, rendered for people and tools.
//!
//! ```text
//!   push::Handle (snapshot, counters, memos) ─┐                ┌─> HTTP: /ready /version /metrics /debug/…
//!   xds::Connections, xds::Stats ─────────────┴─> State ───────┴─> xDS: istio.io/debug, …/syncz, …/config_dump
//! ```
//!
//! There is no state here and nothing is changed from here but the levels of log lines (ControlZ). Names, labels and JSON are istiod's, so that
//! dashboards, istioctl and Kiali read them; what is ours has names that begin with `pilothouse`.

mod access;
#[cfg(test)]
mod callers;
mod control;
mod debug;
mod http;
#[cfg(test)]
mod kiali;
mod metrics;
mod parts;
mod question;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use control::{Control, LEVELS, Scope, Scopes, control_router};
pub use http::router;
pub use metrics::names;
pub use parts::{Number, Part, Report};
pub use question::answer;
pub use state::{Build, State, Templates};
