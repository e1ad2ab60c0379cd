//! The encoding of a dynamic message that depends on nothing but its content.
//!
//! The library keeps maps in hash maps, so its own encoding changes from run to run. Here fields go by number (a
//! oneof where its first field would stand) and map entries by key, as in the generated types: a dynamic message
//! and its typed twin have the same bytes.

use bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

/// The message's bytes, the same for equal messages.
pub fn encode(message: &DynamicMessage) -> Bytes {
    let mut out = Vec::new();
    put_message(message, &mut out);
    out.into()
}

fn put_message(message: &DynamicMessage, out: &mut Vec<u8>) {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_cached_key(|(field, _)| position(field));
    for (field, value) in fields {
        match value {
            Value::List(values) if field.is_packed() => put_packed(&field, values, out),
            Value::List(values) => values.iter().for_each(|value| put_field(&field, value, out)),
            Value::Map(entries) => put_map(&field, entries.iter().collect(), out),
            value => put_field(&field, value, out),
        }
    }
    for unknown in message.unknown_fields() {
        unknown.encode(out);
    }
}

/// Where a field stands in its message.
fn position(field: &FieldDescriptor) -> u32 {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    oneof.and_then(|oneof| oneof.fields().map(|field| field.number()).min()).unwrap_or_else(|| field.number())
}

fn put_field(field: &FieldDescriptor, value: &Value, out: &mut Vec<u8>) {
    put_keyed(field.number(), &field.kind(), value, out);
}

fn put_keyed(number: u32, kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    encode_key(number, kind.wire_type(), out);
    match value {
        Value::String(text) => put_bytes(text.as_bytes(), out),
        Value::Bytes(bytes) => put_bytes(bytes, out),
        Value::Message(message) => put_bytes(&encode(message), out),
        scalar => put_scalar(kind, scalar, out),
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_packed(field: &FieldDescriptor, values: &[Value], out: &mut Vec<u8>) {
    let mut packed = Vec::new();
    values.iter().for_each(|value| put_scalar(&field.kind(), value, &mut packed));
    encode_key(field.number(), WireType::LengthDelimited, out);
    put_bytes(&packed, out);
}

/// Entries in the order of their keys, without a key or value that is the default one.
fn put_map(field: &FieldDescriptor, mut entries: Vec<(&MapKey, &Value)>, out: &mut Vec<u8>) {
    let Kind::Message(entry) = field.kind() else { return };
    let (key_kind, value_kind) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    entries.sort_by_key(|(key, _)| *key);
    for (key, value) in entries {
        let mut inner = Vec::new();
        let key = Value::from(key.clone());
        if !key.is_default(&key_kind) {
            put_keyed(1, &key_kind, &key, &mut inner);
        }
        if !value.is_default(&value_kind) {
            put_keyed(2, &value_kind, value, &mut inner);
        }
        encode_key(field.number(), WireType::LengthDelimited, out);
        put_bytes(&inner, out);
    }
}

/// A number or boolean without its key. The type of the field decides between the encodings of one Rust type.
fn put_scalar(kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    match (kind, value) {
        (_, Value::Bool(flag)) => encode_varint(u64::from(*flag), out),
        (_, Value::F32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (_, Value::F64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Fixed32, Value::U32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Fixed64, Value::U64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Sfixed32, Value::I32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Sfixed64, Value::I64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Sint32, Value::I32(number)) => encode_varint(zigzag(i64::from(*number)), out),
        (Kind::Sint64, Value::I64(number)) => encode_varint(zigzag(*number), out),
        (_, Value::U32(number)) => encode_varint(u64::from(*number), out),
        (_, Value::U64(number)) => encode_varint(*number, out),
        // Negative numbers take ten bytes, sign-extended.
        (_, Value::I32(number) | Value::EnumNumber(number)) => encode_varint(i64::from(*number) as u64, out),
        (_, Value::I64(number)) => encode_varint(*number as u64, out),
        (_, Value::String(_) | Value::Bytes(_) | Value::Message(_) | Value::List(_) | Value::Map(_)) => {}
    }
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}
