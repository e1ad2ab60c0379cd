//! What the log says of failures: each once, and when it is over.

use std::collections::BTreeSet;
use std::fmt::Display;

/// The failures of one kind of work since it last went well.
pub(crate) struct Trouble {
    /// The work, as it is told: `the root certificates`.
    work: &'static str,
    told: BTreeSet<String>,
}

impl Trouble {
    pub(crate) fn new(work: &'static str) -> Self {
        Self { work, told: BTreeSet::new() }
    }

    /// It fails for this reason (the same for objects that fail alike); told unless that was told before.
    pub(crate) fn failed(&mut self, reason: &str, error: &dyn Display) {
        if self.told.insert(reason.to_owned()) {
            tracing::warn!("{}: {error}; it is tried again, and told when that has helped", self.work);
        }
    }

    /// It goes well, all of it.
    pub(crate) fn is_well(&mut self) {
        if !self.told.is_empty() {
            self.told.clear();
            tracing::info!("{}: all is well again", self.work);
        }
    }
}
