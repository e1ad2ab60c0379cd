//! Readiness, metrics and debug pages: the state as it is, rendered for people and tools.
//!
//! ```text
//!   push::Handle (snapshot, counters, memos) ─┐                ┌─> HTTP: /ready /version /metrics /debug/…
//!   xds::Connections, xds::Stats ─────────────┴─> State ───────┴─> xDS: istio.io/debug, …/syncz, …/config_dump
//! ```
//!
//! There is no state here and nothing is changed from here. Names, labels and JSON are istiod's, so that
//! dashboards, istioctl and Kiali read them; what is ours has names that begin with `pilothouse`.

mod access;
mod debug;
mod http;
mod metrics;
mod parts;
mod question;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use http::router;
pub use metrics::names;
pub use parts::{Number, Part, Report};
pub use question::answer;
pub use state::{Build, State};
