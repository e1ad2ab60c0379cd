//! Parts of a pod by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::PROXY;

pub(crate) const CONTAINERS: &str = "containers";
pub(crate) const INIT_CONTAINERS: &str = "initContainers";

/// The text of a field, empty if there is none.
pub(crate) fn text<'a>(object: &'a Json, field: &str) -> &'a str {
    object.get(field).and_then(Json::as_str).unwrap_or_default()
}

/// The items of a list of a pod's specification.
pub(crate) fn list<'a>(pod: &'a Json, field: &str) -> &'a [Json] {
    pod.get("spec").and_then(|spec| spec.get(field)?.as_array()).map_or(&[], Vec::as_slice)
}

/// The same, made if it is not there; `None` if the pod has something else in its place.
pub(crate) fn list_mut<'a>(pod: &'a mut Json, field: &str) -> Option<&'a mut Vec<Json>> {
    let spec = pod.as_object_mut()?.entry("spec").or_insert_with(|| Json::Object(Map::new()));
    spec.as_object_mut()?.entry(field).or_insert_with(|| Json::Array(Vec::new())).as_array_mut()
}

/// A container of a list.
pub(crate) fn named<'a>(containers: &'a [Json], name: &str) -> Option<&'a Json> {
    containers.iter().find(|container| text(container, "name") == name)
}

/// The proxy, among containers or else among init containers.
pub(crate) fn proxy(pod: &Json) -> Option<&Json> {
    container(pod, PROXY)
}

/// A container, among containers or else among init containers.
pub(crate) fn container<'a>(pod: &'a Json, name: &str) -> Option<&'a Json> {
    named(list(pod, CONTAINERS), name).or_else(|| named(list(pod, INIT_CONTAINERS), name))
}

/// The proxy, to be changed.
pub(crate) fn proxy_mut(pod: &mut Json) -> Option<&mut Json> {
    let field = if named(list(pod, CONTAINERS), PROXY).is_some() { CONTAINERS } else { INIT_CONTAINERS };
    let containers = pod.get_mut("spec")?.get_mut(field)?.as_array_mut()?;
    containers.iter_mut().find(|container| text(container, "name") == PROXY)
}

/// The environment of a container, to be changed.
pub(crate) fn environment_mut(container: &mut Json) -> Option<&mut Vec<Json>> {
    container.as_object_mut()?.entry("env").or_insert_with(|| Json::Array(Vec::new())).as_array_mut()
}

/// Labels or annotations.
pub(crate) fn texts(pod: &Json, field: &str) -> BTreeMap<String, String> {
    let map = pod.get("metadata").and_then(|metadata| metadata.get(field)?.as_object());
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// One label or annotation.
pub(crate) fn meta_text<'a>(pod: &'a Json, field: &str, name: &str) -> Option<&'a str> {
    pod.get("metadata")?.get(field)?.get(name)?.as_str()
}

/// One annotation.
pub(crate) fn annotation<'a>(pod: &'a Json, name: &str) -> Option<&'a str> {
    meta_text(pod, "annotations", name)
}

/// Labels or annotations, to be changed; made if they are not there.
pub(crate) fn texts_mut<'a>(pod: &'a mut Json, field: &str) -> Option<&'a mut Map<String, Json>> {
    let metadata = pod.as_object_mut()?.entry("metadata").or_insert_with(|| Json::Object(Map::new()));
    let map = metadata.as_object_mut()?.entry(field).or_insert_with(|| Json::Object(Map::new()));
    if map.is_null() {
        *map = Json::Object(Map::new());
    }
    map.as_object_mut()
}

/// The name of a pod for people, who may see it before it has one.
pub(crate) fn name_for_people(pod: &Json) -> String {
    let metadata = pod.get("metadata").unwrap_or(&Json::Null);
    let namespace = text(metadata, "namespace");
    match (text(metadata, "name"), text(metadata, "generateName")) {
        ("", "") => format!("{namespace}/"),
        ("", prefix) => format!("{namespace}/{prefix}*****"),
        (name, _) => format!("{namespace}/{name}"),
    }
}
