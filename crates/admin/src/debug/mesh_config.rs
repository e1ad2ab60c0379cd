//! `mesh`: the configuration of the mesh as it holds.

use model::Kind;
use serde_json::Value;

use crate::State;
use crate::debug::{Query, Refusal};

/// What was written over the built-in defaults, in the API's own form.
pub(super) fn show(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let record = snapshot.config.origins.iter().find(|(key, _)| key.kind == Kind::MeshConfig);
    let written = record.and_then(|(_, record)| record.origin.written());
    Ok(written.or_else(|| model::parse::mesh_as_json(&[])).unwrap_or_default())
}
