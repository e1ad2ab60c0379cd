//! `clusterz`, `inject`, `push_status`, `resourcesz`, `cachez`: what the process knows, keeps and has found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Kind;
use serde_json::{Map, Value, json};

use crate::State;
use crate::debug::{Query, Refusal, problems, proxy};
use crate::metrics::COUNTED;

/// The clusters that objects are read from; there is one.
pub(super) fn clusters(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let status = if snapshot.generation > 0 { "synced" } else { "syncing" };
    let id = &*snapshot.config.settings.cluster;
    Ok(json!([{"id": id, "secretName": "", "syncStatus": status}]))
}

/// The templates by name, where there is injection.
pub(super) fn templates(state: &State, _: &Query) -> Result<Value, Refusal> {
    let Some(templates) = &state.templates else {
        return Err(Refusal::NotFound("There is no injection here.\n".into()));
    };
    Ok(templates().into_iter().map(|(name, text)| (name, Value::from(text))).collect())
}

/// By metric and object, what was found in the newest state; istiod's metrics that count such findings.
pub(super) fn status(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let mut found: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (problem, _) in problems::all(&snapshot) {
        let counted = COUNTED.iter().filter(|(_, codes)| codes.contains(&problem.code));
        for (metric, _) in counted {
            let message = json!({"message": problem.to_string()});
            found.entry(metric.name).or_default().insert(problem.key.to_string(), message);
        }
    }
    Ok(found.into_iter().map(|(metric, objects)| (metric.to_owned(), Value::Object(objects))).collect())
}

/// The kinds of configuration that are read.
const READ: [(&str, &str, Kind); 8] = [
    ("networking.istio.io", "v1", Kind::DestinationRule),
    ("networking.istio.io", "v1", Kind::Gateway),
    ("security.istio.io", "v1", Kind::PeerAuthentication),
    ("networking.istio.io", "v1beta1", Kind::ProxyConfig),
    ("networking.istio.io", "v1", Kind::ServiceEntry),
    ("networking.istio.io", "v1", Kind::Sidecar),
    ("networking.istio.io", "v1", Kind::VirtualService),
    ("networking.istio.io", "v1", Kind::WorkloadEntry),
];

/// The kinds of configuration that are read, with their group and version.
pub(super) fn kinds(_: &State, _: &Query) -> Result<Value, Refusal> {
    let one = |(group, version, kind): &(&str, &str, Kind)| json!({"group": group, "version": version, "kind": kind.as_str()});
    Ok(READ.iter().map(one).collect())
}

/// By type, the names of the resources that connected proxies are served, each once however many share it; with
/// `sizes` the bytes of them.
pub(super) fn kept(state: &State, query: &Query) -> Result<Value, Refusal> {
    let mut seen = BTreeSet::new();
    let mut names: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for connection in proxy::seen(state, query) {
        for (url, view) in &connection.view.types {
            for resource in view.iter().filter(|resource| seen.insert(Arc::as_ptr(resource).addr())) {
                names.entry(url.to_string()).or_default().push(Value::from(&*resource.name));
                *sizes.entry(url.to_string()).or_default() += resource.body.len();
            }
        }
    }
    if query.get("sizes").is_none() {
        return Ok(names.into_iter().map(|(url, names)| (url, Value::from(names))).collect());
    }
    let total = sizes.values().sum();
    sizes.insert("total".into(), total);
    Ok(sizes.into_iter().map(|(url, bytes)| (url, Value::from(in_words(bytes)))).collect())
}

/// `999B`, `1.2kB`: powers of a thousand with one place after the point.
fn in_words(bytes: usize) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_istiods() {
        assert_eq!([0, 999, 1000, 1_250, 2_000_000].map(in_words), ["0B", "999B", "1.0kB", "1.2kB", "2.0MB"]);
    }
}
