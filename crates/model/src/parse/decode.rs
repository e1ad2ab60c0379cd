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
        let (field, detail) = match split(&text) {
            // Istio's types say where it is, Kubernetes' do not.
            ("", detail) => (place::<T>(rest.as_ref().unwrap_or(value)), detail),
            (field, detail) => (field.to_owned(), detail),
        };
        let field = field.as_str();
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

/// The path of the field at which a value cannot be read as this type; empty for the value as a whole.
fn place<T: DeserializeOwned>(value: &Value) -> String {
    let read: Result<T, _> = serde_path_to_error::deserialize(value);
    let path = read.err().map(|error| error.path().to_string());
    path.filter(|path| path != ".").unwrap_or_default()
}

/// Takes the field at a path away, or empties the element; whether there was anything.
fn remove(value: &mut Value, field: &str) -> bool {
    let mut place = value;
    let mut steps = field.split(['.', '[', ']']).filter(|step| !step.is_empty()).peekable();
    while let Some(step) = steps.next() {
        let next = match place {
            Value::Object(fields) if steps.peek().is_none() => return fields.remove(step).is_some(),
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
    use k8s_openapi::api::core::v1 as core;
    use k8s_openapi::api::discovery::v1 as discovery;

    use super::*;
    use crate::Kind;

    #[test]
    fn wrong_types_of_kubernetes_kinds_have_their_fields() {
        fn wrong<T: DeserializeOwned>(value: &Value) -> Vec<String> {
            let key = Key { cluster: "".into(), kind: Kind::Pod, namespace: "b".into(), name: "a".into() };
            let mut problems = Vec::new();
            assert!(decode::<T>(value, "", &key, &mut problems).is_none());
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.detail)).collect()
        }
        let service = serde_json::json!({"metadata": {"name": "a", "labels": {"app": 1}}, "spec": {
            "ports": [{"port": 80}, {"port": "many"}], "selector": ["a"]}});
        assert_eq!(
            wrong::<core::Service>(&service),
            [
                "metadata.labels.app: invalid type: integer `1`, expected a string",
                "spec.ports[1].port: invalid type: string \"many\", expected i32",
                "spec.selector: invalid type: sequence, expected a map",
            ]
        );
        let slice = serde_json::json!({"addressType": "IPv4", "endpoints": [{"addresses": "1.1.1.1"}]});
        assert_eq!(
            wrong::<discovery::EndpointSlice>(&slice),
            ["endpoints[0].addresses: invalid type: string \"1.1.1.1\", expected a sequence"]
        );
        assert_eq!(wrong::<core::Pod>(&serde_json::json!(1)).len(), 1);
    }

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
