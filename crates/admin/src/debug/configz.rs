//! `configz`: configuration objects as they were read, in the version that istiod keeps them in.

use model::{Key, Kind};
use serde_json::Value;

use crate::State;
use crate::debug::{Query, Refusal};

/// All objects of configuration kinds, in the order of their keys.
pub(super) fn show(state: &State, _: &Query) -> Result<Value, Refusal> {
    let snapshot = state.snapshot();
    let records = snapshot.config.origins.iter().filter(|(key, _)| key.kind != Kind::MeshConfig);
    let objects = records.filter_map(|(key, record)| Some((key, record.origin.written()?)));
    Ok(objects.map(|(key, object)| one(key, object)).collect())
}

/// A namespace that was not written is there, and the version is the one that a cluster would give.
fn one(key: &Key, mut object: Value) -> Value {
    let group = object["apiVersion"].as_str().and_then(|text| text.split_once('/')).map(|(group, _)| group);
    if let Some(group) = group.filter(|group| group.ends_with(".istio.io")) {
        object["apiVersion"] = format!("{group}/{}", version(key.kind)).into();
    }
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata.filter(|_| !key.namespace.is_empty()) {
        metadata.entry("namespace").or_insert_with(|| (*key.namespace).into());
    }
    object
}

/// That of istiod's store.
fn version(kind: Kind) -> &'static str {
    match kind {
        Kind::ProxyConfig => "v1beta1",
        _ => "v1",
    }
}
