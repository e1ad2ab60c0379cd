//! `configz`: configuration objects as they were read.

use serde_json::Value;

use crate::State;
use crate::debug::{Query, Refusal};

/// All objects of configuration kinds, in the order of their keys.
pub(super) fn show(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let objects = snapshot.config.origins.values().filter_map(|record| record.origin.object.as_deref());
    Ok(objects.cloned().collect())
}
