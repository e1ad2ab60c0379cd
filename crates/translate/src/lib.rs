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
pub mod cluster_mesh;
pub mod clusters;
pub mod endpoints;
pub mod gateways;
pub mod listeners;
pub mod name_table;
pub mod names;
pub mod routes;
mod tls;
mod wire;

/// How often one kind of derived value was made, and how often it was there.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// The family: `clusters`, `endpoints`, `listeners`, `routes` or `names`.
    pub family: &'static str,
    /// What is derived.
    pub what: &'static str,
    /// Whether it is an encoded resource or part; else it is planned.
    pub is_encoded: bool,
    /// The counters.
    pub counts: memo::Counts,
}

impl Count {
    fn planned(family: &'static str, what: &'static str, counts: memo::Counts) -> Self {
        Self { family, what, is_encoded: false, counts }
    }

    fn encoded(family: &'static str, what: &'static str, counts: memo::Counts) -> Self {
        Self { is_encoded: true, ..Self::planned(family, what, counts) }
    }
}

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
    /// Of name tables.
    pub names: name_table::Memos,
}

impl Memos {
    /// The counters of all families.
    pub fn counts(&self) -> Vec<Count> {
        let [assignments, localities, endpoints] = self.endpoints.counts().map(|(_, counts)| counts);
        let (hosts, encoded_hosts) = self.routes.counts();
        let mut counts = vec![
            Count::planned("clusters", "cluster", self.clusters.planned()),
            Count::encoded("clusters", "cluster", self.clusters.built()),
            Count::planned("endpoints", "assignment", assignments),
            Count::encoded("endpoints", "locality", localities),
            Count::encoded("endpoints", "endpoint", endpoints),
            Count::planned("routes", "virtual-host", hosts),
            Count::encoded("routes", "virtual-host", encoded_hosts),
            Count::encoded("routes", "route-table", self.routes.encoded()),
        ];
        counts.extend(self.listeners.counts());
        counts.extend(self.names.counts());
        counts
    }

    /// Lets go of what nobody holds and nobody has asked for of late; once per push.
    pub fn sweep(&self) {
        self.clusters.sweep();
        self.endpoints.sweep();
        self.listeners.sweep();
        self.routes.sweep();
        self.names.sweep();
    }
}
