//! The engine's values: from JSON, to JSON, and as Go prints them.

use std::collections::HashMap;

use gtmpl_ng::{Number, NumberKind, Value};
use serde_json::{Map, Value as Json};

/// The key under which a value may carry the JSON that it came from; no field has such a name.
pub(crate) const ORIGIN: &str = "\0json";

/// JSON as the engine sees it; maps keep their keys.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(is) => Value::Bool(*is),
        Json::Number(number) => Value::Number(from_number(number)),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(fields) => {
            Value::Map(fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
        }
    }
}

fn from_number(number: &serde_json::Number) -> Number {
    if let Some(whole) = number.as_i64() {
        Number::signed(whole)
    } else if let Some(whole) = number.as_u64() {
        Number::unsigned(whole)
    } else {
        Number::float(number.as_f64().unwrap_or_default())
    }
}

/// A value as JSON. What came from a JSON that it still carries is that JSON.
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::NoValue | Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(is) => Json::Bool(*is),
        Value::Number(number) => match number.kind() {
            NumberKind::Signed(whole) => whole.into(),
            NumberKind::Unsigned(whole) => whole.into(),
            NumberKind::Float(fraction) => fraction.into(),
        },
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(fields) | Value::Object(fields) => object(fields),
    }
}

fn object(fields: &HashMap<String, Value>) -> Json {
    if let Some(Value::String(origin)) = fields.get(ORIGIN) {
        return serde_json::from_str(origin).unwrap_or_default();
    }
    Json::Object(fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect::<Map<_, _>>())
}

/// A value as Go's `%v` prints it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::NoValue => Value::Nil.to_string(),
        other => other.to_string(),
    }
}

/// Whether a value counts as not given (sprig's `empty`).
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::NoValue | Value::Nil => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64().is_some_and(|number| number == 0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Map(fields) | Value::Object(fields) => fields.is_empty(),
        Value::Function(_) => false,
    }
}

/// What kind of value it is, for messages and `kindOf`.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::NoValue | Value::Nil => "nothing",
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Object(_) => "struct",
        Value::Map(_) => "map",
        Value::Array(_) => "slice",
        Value::Function(_) => "func",
        Value::Number(number) => match number.kind() {
            NumberKind::Float(_) => "float64",
            NumberKind::Signed(_) | NumberKind::Unsigned(_) => "int",
        },
    }
}

/// The fields of a map or struct.
pub(super) fn fields(value: &Value) -> Option<&HashMap<String, Value>> {
    match value {
        Value::Map(fields) | Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// One text of a map.
pub(super) fn field_text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    match fields(value)?.get(name)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
