//! From a dynamic message to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde_json::{Map, Number, Value as Json};

use crate::reflect;

/// The message, if its type is known and the bytes are of that type.
pub(super) fn known(type_url: &str, bytes: &[u8]) -> Option<DynamicMessage> {
    DynamicMessage::decode(reflect::descriptor(type_url)?, bytes).ok()
}

pub(super) fn message(message: &DynamicMessage) -> Json {
    special(message).unwrap_or_else(|| Json::Object(object(message)))
}

/// A message of any type with its type beside it.
pub(super) fn any(type_url: &str, bytes: &[u8]) -> Json {
    let Some(inner) = known(type_url, bytes) else { return opaque(type_url, bytes) };
    let mut fields = match special(&inner) {
        Some(value) => Map::from_iter([("value".to_owned(), value)]),
        None => object(&inner),
    };
    fields.insert("@type".into(), type_url.into());
    fields.into()
}

/// A message that cannot be read: its type and its bytes.
pub(super) fn opaque(type_url: &str, bytes: &[u8]) -> Json {
    if type_url.is_empty() && bytes.is_empty() {
        return Json::Object(Map::new());
    }
    let fields = [("@type".to_owned(), type_url.into()), ("value".to_owned(), STANDARD.encode(bytes).into())];
    Json::Object(Map::from_iter(fields))
}

/// The messages that have a JSON form of their own.
fn special(message: &DynamicMessage) -> Option<Json> {
    let descriptor = message.descriptor();
    let json = match descriptor.full_name().strip_prefix("google.protobuf.")? {
        "Any" => {
            let (url, value) = (message.get_field_by_name("type_url")?, message.get_field_by_name("value")?);
            any(url.as_str()?, value.as_bytes()?)
        }
        "Duration" => message.transcode_to::<prost_types::Duration>().ok()?.to_string().into(),
        "Timestamp" => message.transcode_to::<prost_types::Timestamp>().ok()?.to_string().into(),
        "Struct" => Json::Object(plain_struct(message.transcode_to().ok()?)),
        "Value" => plain(message.transcode_to().ok()?),
        "ListValue" => plain_list(message.transcode_to().ok()?),
        "Empty" => Json::Object(Map::new()),
        wrapper if wrapper.ends_with("Value") => {
            let field = descriptor.get_field_by_name("value")?;
            scalar(&field.kind(), &message.get_field(&field))
        }
        _ => return None,
    };
    Some(json)
}

fn object(message: &DynamicMessage) -> Map<String, Json> {
    message
        .fields()
        .map(|(field, value)| (field.json_name().to_owned(), field_value(&field, value)))
        .collect()
}

fn field_value(field: &FieldDescriptor, value: &Value) -> Json {
    let kind = field.kind();
    match value {
        Value::List(values) => values.iter().map(|value| scalar(&kind, value)).collect(),
        Value::Map(entries) => {
            let Kind::Message(entry) = kind else { return Json::Null };
            let kind = entry.map_entry_value_field().kind();
            let entries = entries.iter().map(|(key, value)| (map_key(key), scalar(&kind, value)));
            Json::Object(entries.collect())
        }
        value => scalar(&kind, value),
    }
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// One value, that is, not a list or map.
fn scalar(kind: &Kind, value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I32(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::I64(value) => value.to_string().into(),
        Value::U64(value) => value.to_string().into(),
        // By way of its own shortest text, or 0.1 would become 0.10000000149011612.
        Value::F32(value) => number(value.to_string().parse().unwrap_or(f64::from(*value))),
        Value::F64(value) => number(*value),
        Value::String(value) => value.as_str().into(),
        Value::Bytes(value) => STANDARD.encode(value).into(),
        Value::EnumNumber(value) => enum_value(kind, *value),
        Value::Message(value) => message(value),
        Value::List(_) | Value::Map(_) => Json::Null,
    }
}

/// An enum value by name, or by number if it has none here.
fn enum_value(kind: &Kind, value: i32) -> Json {
    let Some(descriptor) = kind.as_enum() else { return value.into() };
    match descriptor.get_value(value) {
        _ if descriptor.full_name() == "google.protobuf.NullValue" => Json::Null,
        Some(known) => known.name().into(),
        None => value.into(),
    }
}

/// A whole number is written without a fraction, as other implementations do.
fn number(value: f64) -> Json {
    let whole = value as i64;
    if whole as f64 == value && whole.unsigned_abs() < 1 << 53 {
        return whole.into();
    }
    match Number::from_f64(value) {
        Some(number) => number.into(),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

fn plain_struct(value: prost_types::Struct) -> Map<String, Json> {
    value.fields.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

fn plain_list(value: prost_types::ListValue) -> Json {
    value.values.into_iter().map(plain).collect()
}

fn plain(value: prost_types::Value) -> Json {
    use prost_types::value::Kind;

    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StructValue(value)) => Json::Object(plain_struct(value)),
        Some(Kind::ListValue(value)) => plain_list(value),
    }
}
