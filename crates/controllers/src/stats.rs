//! What controllers count, by istiod's names (istiod-surface 10.3).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// `webhook_patch_attempts_total`, by `name`: webhooks that inject and had to be put right.
    PatchAttempts,
    /// `webhook_patch_retries_total`, by `name`: of these, those that had failed before.
    PatchRetries,
    /// `webhook_patch_failures_total`, by `name` and `reason`.
    PatchFailures,
    /// `galley_validation_config_updates`: webhooks that validate and were put right.
    ValidationUpdates,
    /// `galley_validation_config_update_error`, by `reason`.
    ValidationUpdateErrors,
}

/// Names and values of a counter's labels.
pub type Labels = Vec<(&'static str, String)>;

/// Counters of what controllers did.
#[derive(Debug, Default)]
pub struct Stats(Mutex<BTreeMap<(Counted, Labels), u64>>);

impl Stats {
    /// All counters so far.
    pub fn counts(&self) -> Vec<(Counted, Labels, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((counted, labels), count)| (*counted, labels.clone(), *count)).collect()
    }

    pub(crate) fn count(&self, counted: Counted, labels: Labels) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((counted, labels)).or_default() += 1;
    }
}
