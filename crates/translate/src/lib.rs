//! Scopes and profiles into plans, plans into Envoy resources.
//!
//! ```text
//!   Inputs (handles to the few things that matter) ──plan──> Plan (decisions) ──build──> Resource | Part
//! ```
//!
//! Each family has one entry that makes a whole set from its inputs; inside, every resource (or part of a
//! large one) is a memo entry keyed by its inputs, so that making a set again costs look-ups where nothing
//! has changed. `plan` and `build` of a feature stand in one file. What a proxy may see is decided in `mesh`.

mod addresses;
pub mod clusters;
pub mod endpoints;
pub mod gateways;
pub mod listeners;
pub mod names;
pub mod routes;
mod tls;
mod wire;

/// The memos of all families; one for the whole process.
#[derive(Default)]
pub struct Memos {
    /// Of clusters.
    pub clusters: clusters::Memos,
    /// Of endpoints.
    pub endpoints: endpoints::Memos,
    /// Of listeners.
    pub listeners: listeners::Memos,
    /// Of route configurations.
    pub routes: routes::Memos,
}

impl Memos {
    /// Lets go of what nobody holds and nobody has asked for of late; once per push.
    pub fn sweep(&self) {
        self.clusters.sweep();
        self.endpoints.sweep();
        self.listeners.sweep();
        self.routes.sweep();
    }
}
