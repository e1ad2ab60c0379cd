//! `problems`: what is wrong with the configuration, one message each. This page is ours.

use model::{Origin, Problem};
use serde_json::{Map, Value};

use crate::State;
use crate::debug::{Query, Refusal};

/// All problems, in the order of their objects; with `namespace` those of one.
pub(super) fn show(state: &State, query: &Query) -> Result<Value, Refusal> {
    let namespace = query.get("namespace");
    let snapshot = state.snapshot();
    let all = all(&snapshot).into_iter().filter(|(problem, _)| {
        let of = &*problem.key.namespace;
        namespace.is_none_or(|namespace| namespace == of)
    });
    Ok(all.map(|(problem, origin)| one(&problem, origin)).collect())
}

/// Problems with the origins of their objects: those of the objects themselves, and those between objects.
pub(crate) fn all(snapshot: &mesh::Snapshot) -> Vec<(Problem, Option<&Origin>)> {
    let origins = &snapshot.config.origins;
    let own = origins
        .values()
        .flat_map(|record| record.problems.iter().map(|problem| (problem.clone(), Some(&*record.origin))));
    let found = snapshot.problems();
    let between = found.iter().cloned().map(|problem| {
        let record = origins.get(&problem.key);
        (problem, record.map(|record| &*record.origin))
    });
    let mut all: Vec<_> = own.chain(between).collect();
    all.sort_by(|(one, _), (two, _)| one.cmp(two));
    all
}

fn one(problem: &Problem, origin: Option<&Origin>) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            shown.insert(key.to_owned(), value.into());
        }
    };
    put("severity", problem.severity.as_str());
    put("code", problem.code);
    put("kind", problem.key.kind.as_str());
    put("namespace", &problem.key.namespace);
    put("name", &problem.key.name);
    let own = problem.file.as_deref();
    put("file", own.unwrap_or_else(|| origin.map_or("", |origin| &origin.file)));
    put("field", &problem.field);
    put("cause", &problem.detail);
    put("outcome", problem.outcome.as_deref().unwrap_or_default());
    put("message", &problem.to_string());
    let line = if problem.line > 0 { problem.line } else { origin.map_or(0, |origin| origin.line) };
    if line > 0 {
        shown.insert("line".into(), line.into());
    }
    Value::Object(shown)
}
