//! From JSON to a dynamic message.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};
use serde_json::{Map, Value as Json};

use super::{Error, UnknownFields};
use crate::any::Any;
use crate::reflect;

pub(super) fn message(
    descriptor: &MessageDescriptor,
    json: &Json,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    if let Some(name) = special_name(descriptor) {
        return special(descriptor, name, json, unknown);
    }
    fields(descriptor, object(json)?.iter(), unknown)
}

/// The name of a message that has a JSON form of its own.
fn special_name(descriptor: &MessageDescriptor) -> Option<&str> {
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    let special =
        matches!(name, "Any" | "Duration" | "Timestamp" | "Struct" | "Empty") || name.ends_with("Value");
    special.then_some(name)
}

fn special(
    descriptor: &MessageDescriptor,
    name: &str,
    json: &Json,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    match name {
        "Any" => typed(descriptor, &any(object(json)?, unknown)?),
        "Duration" => {
            typed(descriptor, &from_text::<prost_types::Duration>(json, "a duration such as \"1.5s\"")?)
        }
        "Timestamp" => typed(descriptor, &from_text::<prost_types::Timestamp>(json, "an RFC 3339 time")?),
        "Struct" => typed(descriptor, &plain_struct(object(json)?)),
        "Value" => typed(descriptor, &plain(json)),
        "ListValue" => {
            typed(descriptor, &plain_list(json.as_array().ok_or_else(|| Error::new("not a list"))?))
        }
        "Empty" => Ok(DynamicMessage::new(descriptor.clone())),
        _ => fields(descriptor, [(&"value".to_owned(), json)].into_iter(), unknown),
    }
}

/// A typed message as a dynamic one.
fn typed(descriptor: &MessageDescriptor, message: &impl prost::Message) -> Result<DynamicMessage, Error> {
    let mut dynamic = DynamicMessage::new(descriptor.clone());
    dynamic.transcode_from(message).map_err(|error| Error::new(error.to_string()))?;
    Ok(dynamic)
}

fn any(json: &Map<String, Json>, unknown: UnknownFields) -> Result<Any, Error> {
    let Some(type_url) = json.get("@type").and_then(Json::as_str) else {
        return if json.is_empty() { Ok(Any::default()) } else { Err(Error::new("no @type")) };
    };
    let value = match reflect::descriptor(type_url) {
        Some(inner) if special_name(&inner).is_some() => {
            let value = json.get("value").ok_or_else(|| Error::new("no value"))?;
            reflect::encode(&message(&inner, value, unknown).map_err(|error| error.within("value"))?)
        }
        Some(inner) => {
            let rest = json.iter().filter(|(name, _)| *name != "@type");
            reflect::encode(&fields(&inner, rest, unknown)?)
        }
        None => opaque(json)?,
    };
    Ok(Any { type_url: type_url.to_owned(), value })
}

/// The bytes of a message whose type is not known.
fn opaque(json: &Map<String, Json>) -> Result<Bytes, Error> {
    if json.keys().any(|name| name != "@type" && name != "value") {
        return Err(Error::new("unknown message type"));
    }
    json.get("value").map_or(Ok(Bytes::new()), bytes)
}

fn fields<'a>(
    descriptor: &MessageDescriptor,
    json: impl Iterator<Item = (&'a String, &'a Json)>,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, json) in json {
        let field = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
        let Some(field) = field else {
            if unknown == UnknownFields::Skip {
                continue;
            }
            return Err(Error::new(format!("no such field in {}", descriptor.full_name())).within(name));
        };
        if let Some(value) = field_value(&field, json, unknown).map_err(|error| error.within(name))? {
            message
                .try_set_field(&field, value)
                .map_err(|error| Error::new(error.to_string()).within(name))?;
        }
    }
    Ok(message)
}

/// The value of a field, or nothing if it is null, which means that it is not set.
fn field_value(field: &FieldDescriptor, json: &Json, unknown: UnknownFields) -> Result<Option<Value>, Error> {
    let kind = field.kind();
    if json.is_null() && !takes_null(&kind) {
        return Ok(None);
    }
    let value = match &kind {
        Kind::Message(entry) if field.is_map() => map(entry, object(json)?, unknown)?,
        _ if field.is_list() => list(&kind, json, unknown)?,
        kind => single(kind, json, unknown)?,
    };
    Ok(Some(value))
}

fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(item) => item.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn list(kind: &Kind, json: &Json, unknown: UnknownFields) -> Result<Value, Error> {
    let items = json.as_array().ok_or_else(|| Error::new("not a list"))?.iter().enumerate();
    let values = items
        .map(|(at, item)| single(kind, item, unknown).map_err(|error| error.within(&format!("[{at}]"))))
        .collect::<Result<_, _>>()?;
    Ok(Value::List(values))
}

fn map(entry: &MessageDescriptor, json: &Map<String, Json>, unknown: UnknownFields) -> Result<Value, Error> {
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let entries = json.iter().map(|(key, value)| {
        let value = single(&value_kind, value, unknown).map_err(|error| error.within(key))?;
        Ok((map_key(&key_kind, key)?, value))
    });
    Ok(Value::Map(entries.collect::<Result<_, Error>>()?))
}

fn map_key(kind: &Kind, key: &str) -> Result<MapKey, Error> {
    let json = match kind {
        Kind::Bool => Json::from(key == "true"),
        _ => key.into(),
    };
    single(kind, &json, UnknownFields::Refuse)?.into_map_key().ok_or_else(|| Error::new("not a map key"))
}

/// One value, that is, not a list or map.
fn single(kind: &Kind, json: &Json, unknown: UnknownFields) -> Result<Value, Error> {
    let value = match kind {
        Kind::Double => Value::F64(float(json)?),
        Kind::Float => Value::F32(float(json)? as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(integer(json)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(integer(json)?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(integer(json)?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(integer(json)?),
        Kind::Bool => Value::Bool(json.as_bool().ok_or_else(|| Error::new("not true or false"))?),
        Kind::String => Value::String(text(json)?.to_owned()),
        Kind::Bytes => Value::Bytes(bytes(json)?),
        Kind::Message(descriptor) => Value::Message(message(descriptor, json, unknown)?),
        Kind::Enum(descriptor) => Value::EnumNumber(enum_number(descriptor, json)?),
    };
    Ok(value)
}

fn enum_number(descriptor: &EnumDescriptor, json: &Json) -> Result<i32, Error> {
    match json {
        Json::Null => Ok(0),
        Json::String(name) => match descriptor.get_value_by_name(name) {
            Some(value) => Ok(value.number()),
            None => Err(Error::new(format!("no value {name} in {}", descriptor.full_name()))),
        },
        number => integer(number),
    }
}

/// A whole number, also as a string or written with a fraction of zero.
fn integer<T: TryFrom<i128>>(json: &Json) -> Result<T, Error> {
    let number = match json {
        Json::Number(number) if number.is_f64() => {
            number.as_f64().filter(|n| n.fract() == 0.0).map(|n| n as i128)
        }
        Json::Number(number) => number.as_i128(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| Error::new("not an integer in range"))
}

fn float(json: &Json) -> Result<f64, Error> {
    let number = match json {
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        json => json.as_f64(),
    };
    number.ok_or_else(|| Error::new("not a number"))
}

fn bytes(json: &Json) -> Result<Bytes, Error> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text(json)?;
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let decoded = GeneralPurpose::new(alphabet, config).decode(text);
    decoded.map(Bytes::from).map_err(|_| Error::new("not base64"))
}

fn from_text<T: std::str::FromStr>(json: &Json, what: &str) -> Result<T, Error> {
    text(json)?.parse().map_err(|_| Error::new(format!("not {what}")))
}

fn text(json: &Json) -> Result<&str, Error> {
    json.as_str().ok_or_else(|| Error::new("not a string"))
}

fn object(json: &Json) -> Result<&Map<String, Json>, Error> {
    json.as_object().ok_or_else(|| Error::new("not an object"))
}

fn plain_struct(json: &Map<String, Json>) -> prost_types::Struct {
    prost_types::Struct { fields: json.iter().map(|(name, value)| (name.clone(), plain(value))).collect() }
}

fn plain_list(json: &[Json]) -> prost_types::ListValue {
    prost_types::ListValue { values: json.iter().map(plain).collect() }
}

fn plain(json: &Json) -> prost_types::Value {
    use prost_types::value::Kind;

    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Json::String(value) => Kind::StringValue(value.clone()),
        Json::Array(values) => Kind::ListValue(plain_list(values)),
        Json::Object(fields) => Kind::StructValue(plain_struct(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}
