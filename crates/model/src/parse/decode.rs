//! JSON into an API type, with unknown fields and wrong types told as problems.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Key, Problem};

/// `value` as the API type `T`; `at` is the path that field names in problems begin with, for instance `spec`.
///
/// An unknown field is a warning and ignored, a wrong type an error and no value.
pub fn decode<T: DeserializeOwned>(
    value: &Value,
    at: &str,
    key: &Key,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut unknown = Vec::new();
    let result =
        serde_ignored::deserialize(value, |path| unknown.push(join(at, &readable(&path.to_string()))));
    for field in unknown {
        let detail = "no such field; it is ignored";
        problems.push(Problem::warning(key, "unknown-field", field, detail));
    }
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let text = error.to_string();
            let (field, detail) = split(&text);
            problems.push(Problem::error(key, "wrong-type", join(at, field), detail));
            None
        }
    }
}

/// An error that begins with a field's path is split from it.
fn split(text: &str) -> (&str, &str) {
    match text.split_once(": ") {
        Some((field, detail)) if !field.contains(' ') => (field, detail),
        _ => ("", text),
    }
}

fn join(at: &str, field: &str) -> String {
    match (at, field) {
        ("", field) => field.into(),
        (at, "") => at.into(),
        (at, field) if field.starts_with('[') => format!("{at}{field}"),
        (at, field) => format!("{at}.{field}"),
    }
}

/// `http.0.?.name` as people write it: `http[0].name`.
fn readable(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}
