//! Functions from values to text of some form, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gtmpl_ng::Value;

use super::value::{from_json, to_json};
use super::{Answer, Table, argument, text_at, wrong};
use crate::{fields, yaml};

pub(super) const TABLE: &Table = &[
    ("toJson", to_json_text),
    ("mustToJson", to_json_text),
    ("toRawJson", to_json_text),
    ("toPrettyJson", to_pretty_json),
    ("fromJson", from_json_text),
    ("mustFromJson", from_json_text),
    ("fromJSON", from_json_or_braces),
    ("toYaml", to_yaml),
    ("toJSON", to_json_text_of_map),
    ("structToJSON", struct_to_json),
    ("protoToJSON", struct_to_json),
    ("b64enc", b64enc),
    ("b64dec", b64dec),
];

fn to_json_text(arguments: &[Value]) -> Answer {
    Ok(Value::from(to_json(argument(arguments, 0)?).to_string()))
}

fn to_pretty_json(arguments: &[Value]) -> Answer {
    let pretty = serde_json::to_string_pretty(&to_json(argument(arguments, 0)?));
    pretty.map(Value::from).map_err(|error| wrong(error.to_string()))
}

fn from_json_text(arguments: &[Value]) -> Answer {
    Ok(serde_json::from_str(text_at(arguments, 0)?).map_or(Value::from(""), |json| from_json(&json)))
}

/// Istio's `fromJSON`: what cannot be read is the text `{}`.
fn from_json_or_braces(arguments: &[Value]) -> Answer {
    Ok(serde_json::from_str(text_at(arguments, 0)?).map_or(Value::from("{}"), |json| from_json(&json)))
}

fn to_yaml(arguments: &[Value]) -> Answer {
    Ok(Value::from(yaml::write(&fields::to_api(argument(arguments, 0)?))))
}

fn to_json_text_of_map(arguments: &[Value]) -> Answer {
    match argument(arguments, 0)? {
        Value::Nil | Value::NoValue => Ok(Value::from("{}")),
        map => Ok(Value::from(to_json(map).to_string())),
    }
}

/// Istio's `structToJSON` and `protoToJSON`: an API object as its JSON.
fn struct_to_json(arguments: &[Value]) -> Answer {
    match argument(arguments, 0)? {
        Value::Nil | Value::NoValue => Ok(Value::from("{}")),
        value => Ok(Value::from(fields::api_text(value))),
    }
}

fn b64enc(arguments: &[Value]) -> Answer {
    Ok(Value::from(STANDARD.encode(text_at(arguments, 0)?)))
}

fn b64dec(arguments: &[Value]) -> Answer {
    let decoded = STANDARD.decode(text_at(arguments, 0)?).map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(decoded).map(Value::from).map_err(|error| wrong(error.to_string()))
}
