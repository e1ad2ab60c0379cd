//! JSON into an API type, with unknown fields and wrong types told as problems.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Key, Problem};

/// How many wrong types of one object are told.
const WRONG: usize = 20;

/// `value` as the API type `T`; `at` is the path that field names in problems begin with, for instance `spec`.
///
/// An unknown field is a warning and ignored, a wrong type an error and no value.
pub fn decode<T: DeserializeOwned>(
    value: &Value,
    at: &str,
    key: &Key,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut unknown = BTreeSet::new();
    let mut read = |value: &Value| {
        let note = |path: serde_ignored::Path<'_>| {
            unknown.insert(join(at, &readable(&path.to_string())));
        };
        serde_ignored::deserialize::<_, _, T>(value, note)
    };
    let mut result = read(value);
    let mut wrong = Vec::new();
    let mut rest: Option<Value> = None;
    // What comes after a wrong field is seen once that field is out of the way.
    while let Err(error) = &result
        && wrong.len() < WRONG
    {
        let text = error.to_string();
        let (field, detail) = split(&text);
        let field_at = join(at, field);
        if wrong.last().is_some_and(|last: &Problem| *last.field == *field_at) {
            break;
        }
        wrong.push(Problem::error(key, "wrong-type", field_at, detail));
        let rest = rest.get_or_insert_with(|| value.clone());
        match remove(rest, field) {
            true => result = read(rest),
            false => break,
        }
    }
    for field in unknown {
        let detail = "no such field; it is ignored";
        problems.push(Problem::warning(key, "unknown-field", field, detail));
    }
    let is_whole = wrong.is_empty();
    problems.extend(wrong);
    result.ok().filter(|_| is_whole)
}

/// Empties the field at a path; whether there was anything.
fn remove(value: &mut Value, field: &str) -> bool {
    let mut place = value;
    for step in field.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let next = match place {
            Value::Object(fields) => fields.get_mut(step),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            _ => None,
        };
        let Some(next) = next else { return false };
        place = next;
    }
    !std::mem::take(place).is_null()
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

#[cfg(test)]
mod tests {
    use istio_api::networking::VirtualService;

    use super::*;
    use crate::Kind;

    #[test]
    fn a_wrong_type_does_not_hide_the_next_one() {
        let key =
            Key { cluster: "".into(), kind: Kind::VirtualService, namespace: "b".into(), name: "a".into() };
        let mut problems = Vec::new();
        let value = serde_json::json!({"hosts": 1, "nonsense": 1, "http": [
            {"route": [{"weight": "many", "destination": {"host": "a", "port": {"number": "eighty"}}}]},
            {"timeout": 5, "more": 1}]});
        assert!(decode::<VirtualService>(&value, "spec", &key, &mut problems).is_none());
        let told: Vec<_> = problems.iter().map(|problem| (problem.code, &*problem.field)).collect();
        assert_eq!(
            told,
            [
                ("unknown-field", "spec.http[1].more"),
                ("unknown-field", "spec.nonsense"),
                ("wrong-type", "spec.hosts"),
                ("wrong-type", "spec.http[0].route[0].destination.port.number"),
                ("wrong-type", "spec.http[0].route[0].weight"),
                ("wrong-type", "spec.http[1].timeout"),
            ]
        );
    }
}
