//! Family `small-tables`: single functions, each a table of inputs and what must come out.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    corpus::{self, Error},
    golden::compare,
    verdict::Verdict,
};

/// What comes out of a check (its name in the corpus) for these inputs, in the corpus's own form, or why nothing does;
/// `None` where the product has no function of that meaning.
///
/// The closure must ask the function that the product itself uses, through its public interface.
pub type Compute<'a> = dyn Fn(&str, &Value) -> Option<Result<Value, String>> + Sync + 'a;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// A verdict a case that could be judged.
    pub verdicts: Vec<Verdict>,
    /// Cases without a counterpart, by check.
    pub left_out: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    check: String,
    inputs: Value,
    expected: Value,
}

/// Judges every case whose check has a counterpart, or those of them whose id has `part` in it.
pub fn judge(root: &Path, part: Option<&str>, compute: &Compute<'_>) -> Result<Judged, Error> {
    let manifest: Manifest = corpus::json(&root.join("small-tables/manifest.json"))?;
    let mut judged = Judged::default();
    for case in manifest.cases.into_iter().filter(|case| part.is_none_or(|part| case.id.contains(part))) {
        match compute(&case.check, &case.inputs) {
            None => *judged.left_out.entry(case.check).or_default() += 1,
            Some(answer) => {
                judged.verdicts.push(Verdict { id: case.id, failure: failure(&case.expected, answer) });
            }
        }
    }
    Ok(judged)
}

fn failure(expected: &Value, answer: Result<Value, String>) -> Option<String> {
    let answer = match answer {
        Err(message) => return Some(format!("refused: {message}")),
        Ok(answer) => answer,
    };
    let differences = compare::differences(&plain(expected), &plain(&answer));
    let shown = differences
        .iter()
        .map(|one| format!("{}: expected {}, got {}", one.path, one.expected, one.actual))
        .collect::<Vec<_>>();
    (!shown.is_empty()).then(|| shown.join("; "))
}

/// The value without zero values in objects, which stand for absent ones, and with texts that hold an object or list in
/// JSON, or an object in YAML of several lines, as that.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(fields.filter(|(_, value)| !is_zero(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::String(text) => held(text).map_or_else(|| value.clone(), |inner| plain(&inner)),
        other => other.clone(),
    }
}

fn held(text: &str) -> Option<Value> {
    let json = serde_json::from_str::<Value>(text).ok();
    let json = json.filter(|inner| inner.is_object() || inner.is_array());
    let yaml = || text.contains('\n').then(|| serde_saphyr::from_str::<Value>(text).ok())?;
    json.or_else(|| yaml().filter(Value::is_object))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zero_values_are_absent_ones_and_nothing_else_is_overlooked() {
        let expected = json!({"out": true, "error": "", "list": [{"a": 1, "b": null}]});
        assert_eq!(failure(&expected, Ok(json!({"out": true, "list": [{"a": 1}]}))), None);
        assert!(failure(&json!({"out": false}), Ok(json!({"out": true}))).is_some());
        assert!(failure(&expected, Ok(json!({"out": true}))).is_some());
        assert!(failure(&expected, Err("no".to_owned())).is_some());
    }

    #[test]
    fn texts_that_hold_objects_are_compared_as_those() {
        assert_eq!(failure(&json!({"out": "a:\n  b: 1\n"}), Ok(json!({"out": {"a": {"b": 1}}}))), None);
        assert_eq!(failure(&json!({"out": "{\n \"a\": 1 }"}), Ok(json!({"out": "{\"a\":1}"}))), None);
        assert!(failure(&json!({"out": "{\"a\": 2}"}), Ok(json!({"out": "{\"a\":1}"}))).is_some());
    }
}
