//! Messages as canonical proto3 JSON and back, by descriptor.
//!
//! Field names are camelCase, 64-bit numbers and durations strings, default-valued scalars absent, an `Any` inline
//! with `@type`. An `Any` of an unknown type is kept as its bytes, never an error: proxies and users send types
//! that no descriptor of ours knows.

mod parse;
mod render;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

use crate::any::Any;
use crate::reflect;

/// The message under this type URL, without an `@type` of its own; as [`any`] renders it if its type is unknown
/// or its bytes are malformed.
pub fn resource(type_url: &str, bytes: &[u8]) -> Value {
    match render::known(type_url, bytes) {
        Some(message) => render::message(&message),
        None => render::opaque(type_url, bytes),
    }
}

/// An `Any` with its `@type`.
pub fn any(any: &Any) -> Value {
    render::any(&any.type_url, &any.value)
}

/// A dynamic message.
pub fn message(message: &DynamicMessage) -> Value {
    render::message(message)
}

/// The encoding of the message of this full name, or type URL, that `json` describes; unknown fields are an error.
pub fn parse(full_name: &str, json: &Value) -> Result<Bytes, Error> {
    let descriptor = reflect::descriptor(full_name).ok_or_else(|| Error::new("unknown message type"))?;
    Ok(reflect::encode(&parse_as(&descriptor, json, UnknownFields::Refuse)?))
}

/// The message of this type that `json` describes. Field names may also be the proto's own (snake_case).
pub fn parse_as(
    descriptor: &MessageDescriptor,
    json: &Value,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    parse::message(descriptor, json, unknown)
}

/// What to do about a field that the message type does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    /// It is an error.
    Refuse,
    /// It is left out, as istiod does with an `EnvoyFilter` from a newer API.
    Skip,
}

/// JSON that is not the message: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    path: String,
    problem: String,
}

impl Error {
    fn new(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: problem.into() }
    }

    /// The same error seen from one level further out.
    fn within(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

impl std::error::Error for Error {}
