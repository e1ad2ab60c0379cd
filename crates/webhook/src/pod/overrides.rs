//! What users say themselves of containers that templates define: it holds over the template, now and when the
//! pod is injected again.

use serde_json::{Map, Value as Json, json};

use super::STATUS;
use crate::merge::{self, Schema};
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS, text};
use crate::{Error, shape};

const OVERRIDES: &str = "proxy.istio.io/overrides";
/// An image that must be written, since the API wants one, and stands for the template's.
const AUTO: &str = "auto";

/// Puts the containers of the annotation back into a pod from which injected ones were taken.
pub(super) fn put_back(pod: &mut Json) -> Result<(), Error> {
    let saved = saved(pod)?;
    for field in [CONTAINERS, INIT_CONTAINERS] {
        for container in saved.get(field).and_then(Json::as_array).into_iter().flatten() {
            let name = text(container, "name");
            if parts::named(parts::list(pod, field), name).is_none()
                && let Some(list) = parts::list_mut(pod, field)
            {
                list.push(container.clone());
            }
        }
    }
    Ok(())
}

fn saved(pod: &Json) -> Result<Json, Error> {
    let Some(written) = parts::annotation(pod, OVERRIDES) else { return Ok(Json::Null) };
    let read = serde_json::from_str::<Json>(written).map_err(|error| error.to_string());
    let checked = read.and_then(|json| if json.is_object() { Ok(json) } else { Err("no object".to_owned()) });
    checked.map_err(|reason| Error::Annotation(OVERRIDES, reason))
}

/// Names in a status.
pub(super) fn names<'a>(status: &'a Json, field: &str) -> Vec<&'a str> {
    status.get(field).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect()
}

/// Lays the user's containers over those of the templates. `original` is the pod as it came, `template` what the
/// templates alone give.
pub(super) fn reapply(merged: &mut Json, original: &Json, template: &Json) -> Result<(), Error> {
    let saved = saved(original)?;
    let status = parts::annotation(original, STATUS);
    let before = status.and_then(|text| serde_json::from_str::<Json>(text).ok()).unwrap_or_default();
    let mut kept = Map::new();
    for field in [CONTAINERS, INIT_CONTAINERS] {
        for container in parts::list(template, field) {
            let name = text(container, "name");
            // What was injected before is no wish of the user's; the new template holds.
            if names(&before, field).contains(&name) {
                continue;
            }
            let known = saved.get(field).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
            let Some(own) = parts::named(known, name).or_else(|| in_pod(original, field, name)) else {
                continue;
            };
            let own = without_auto_image(own.clone());
            merge::overlay(merged, json!({"spec": {field: [own.clone()]}}), Schema::Pod)?;
            if let Json::Array(list) = kept.entry(field).or_insert_with(|| json!([])) {
                list.push(with_resources(own));
            }
        }
    }
    if status.is_none()
        && !kept.is_empty()
        && let Some(annotations) = parts::texts_mut(merged, "annotations")
    {
        annotations.insert(OVERRIDES.into(), Json::String(shape::go_text(&Json::Object(kept))));
    }
    Ok(())
}

/// A template's init container may be a plain one of the user's, as the proxy is.
fn in_pod<'a>(pod: &'a Json, field: &str, name: &str) -> Option<&'a Json> {
    if field == CONTAINERS {
        parts::named(parts::list(pod, field), name)
    } else {
        parts::container(pod, name)
    }
}

fn without_auto_image(mut container: Json) -> Json {
    if text(&container, "image") == AUTO
        && let Some(fields) = container.as_object_mut()
    {
        fields.remove("image");
    }
    container
}

/// Go writes resources even if there are none.
fn with_resources(mut container: Json) -> Json {
    if let Some(fields) = container.as_object_mut() {
        fields.entry("resources").or_insert_with(|| json!({}));
    }
    container
}
