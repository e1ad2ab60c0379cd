//! Family `istioctl-consumers`: the dumps that istioctl reads of proxies and of a control plane are understood whole.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    corpus::{self, Error},
    golden::compare,
    verdict::Verdict,
};

/// Decodes a message of this full name, encodes it, and gives back what these bytes say; or why it cannot. A field
/// that the message does not have is a reason.
pub type Recode<'a> = dyn Fn(&str, &Value) -> Result<Value, String> + Sync + 'a;

/// What a dump of a proxy or a control plane is.
const CONFIG_DUMP: &str = "envoy.admin.v3.ConfigDump";
/// Its part with the proxy's own bootstrap, which may stand alone.
const BOOTSTRAP_DUMP: &str = "envoy.admin.v3.BootstrapConfigDump";

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    refs: Vec<String>,
}

/// Judges every case that holds a dump, or those of them whose id has `part` in it; says how many hold none.
pub fn judge(root: &Path, part: Option<&str>, recode: &Recode<'_>) -> Result<(Vec<Verdict>, usize), Error> {
    let family = root.join("istioctl-consumers");
    let manifest: Manifest = corpus::json(&family.join("manifest.json"))?;
    let (mut verdicts, mut left_out) = (Vec::new(), 0);
    for case in manifest.cases.into_iter().filter(|case| part.is_none_or(|part| case.id.contains(part))) {
        let mut dumps = Vec::new();
        for file in case.refs.iter().filter(|file| file.ends_with(".json")) {
            let json: Value = corpus::json(&family.join(file))?;
            dumps.extend(message(&json).map(|name| failure(name, &json, recode)));
        }
        match dumps.is_empty() {
            true => left_out += 1,
            false => verdicts.push(Verdict { id: case.id, failure: dumps.into_iter().flatten().next() }),
        }
    }
    Ok((verdicts, left_out))
}

/// Which message a file holds, if it is a dump; the others are what istioctl prints.
fn message(json: &Value) -> Option<&'static str> {
    match (json.get("configs"), json.get("bootstrap")) {
        (Some(_), _) => Some(CONFIG_DUMP),
        (_, Some(_)) => Some(BOOTSTRAP_DUMP),
        _ => None,
    }
}

fn failure(name: &str, json: &Value, recode: &Recode<'_>) -> Option<String> {
    let again = match recode(name, json) {
        Err(message) => return Some(format!("refused: {message}")),
        Ok(again) => again,
    };
    let differences = compare::differences(&plain(json), &plain(&again));
    let shown = differences.iter().take(4);
    let shown = shown.map(|one| format!("{}: expected {}, got {}", one.path, one.expected, one.actual));
    (!differences.is_empty()).then(|| shown.collect::<Vec<_>>().join("; "))
}

/// Of the ways in which JSON may say a message one: names in camelCase, numbers as texts, durations without zeros at
/// their end, nothing of what is empty or zero.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| (camel(name), plain(value)));
            Value::Object(fields.filter(|(_, value)| !is_nothing(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Number(number) => number.as_f64().map_or(Value::Null, |number| number.to_string().into()),
        Value::String(text) => duration(text).unwrap_or_else(|| value.clone()),
        other => other.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

fn duration(text: &str) -> Option<Value> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Some(format!("{seconds}s").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ways_to_say_the_same_are_equal_and_what_is_lost_is_told() {
        let said = json!({"configs": [{"time_out": "0.250s", "n": 5, "off": false, "rest": "x"}]});
        let same = json!({"configs": [{"timeOut": "0.25s", "n": "5", "rest": "x"}]});
        let less = json!({"configs": [{"timeOut": "0.25s", "n": "5"}]});
        let name = message(&said).expect("a dump");
        assert_eq!(failure(name, &said, &|_, _| Ok(same.clone())), None);
        assert!(failure(name, &said, &|_, _| Ok(less.clone())).is_some());
        assert!(failure(name, &said, &|_, _| Err("no".to_owned())).is_some());
        assert_eq!(message(&json!([])), None);
    }
}
