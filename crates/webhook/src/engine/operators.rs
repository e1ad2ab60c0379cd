//! Go's own operators where values from JSON need more care than the engine's give.

use gtmpl_ng::{Value, funcs};

use super::value::fields;
use super::{Answer, Table, argument};

pub(super) const TABLE: &Table = &[("index", index)];

/// `index`: a key that a map of text does not have is empty text, as Go's zero values are.
fn index(arguments: &[Value]) -> Answer {
    if let [collection, Value::String(key)] = arguments
        && let Some(entries) = fields(collection)
    {
        return Ok(match entries.get(key) {
            Some(found) => found.clone(),
            None if entries.values().all(|value| matches!(value, Value::String(_))) => Value::from(""),
            None => Value::NoValue,
        });
    }
    if matches!(argument(arguments, 0)?, Value::NoValue | Value::Nil) {
        return Err(super::wrong("index of untyped nil"));
    }
    funcs::index(arguments)
}
