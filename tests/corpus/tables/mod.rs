//! The small tables: one arm for each check that has a counterpart in Pilothouse.

mod injection;
mod mesh;
mod names;
mod pods;
mod services;

use serde_json::Value;

/// What Pilothouse makes of a check's inputs; `None` where it has no such function, or none for these inputs.
pub(crate) fn compute(check: &str, inputs: &Value) -> Option<Result<Value, String>> {
    names::compute(check, inputs)
        .map(Ok)
        .or_else(|| mesh::compute(check, inputs))
        .or_else(|| services::compute(check, inputs))
        .or_else(|| injection::compute(check, inputs))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// A map of texts in the model's form.
fn labels(value: &Value, field: &str) -> model::Labels {
    let map = value.get(field).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}
