//! Reading proto3 JSON, where an absent field has its zero value.

use serde_json::Value;

/// The text at a JSON pointer; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The truth at a JSON pointer; false if there is none.
pub(super) fn is(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The number at a JSON pointer; 0 if there is none.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// Whether a filter's configuration is of a message of this name, in any package.
pub(super) fn has_type(filter: &Value, message: &str) -> bool {
    text(filter, "/typedConfig/@type").rsplit('.').next() == Some(message)
}
