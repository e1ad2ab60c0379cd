//! A proxy whose user is the pod's own choice: what captures traffic must leave that user's alone.

use istio_api::mesh::InboundInterceptionMode;
use serde_json::{Value as Json, json};

use crate::parts::{self, INIT_CONTAINERS, text};

const INTERCEPTION: &str = "sidecar.istio.io/interceptionMode";

/// Makes init containers follow the user and group that the pod gives its proxy. With TPROXY the proxy must be
/// root, whatever the pod says.
pub(super) fn adjust(merged: &mut Json, original: &Json, mode: InboundInterceptionMode) {
    let own = parts::proxy(original).and_then(|proxy| proxy.get("securityContext"));
    let number = |field: &str| own.and_then(|own| own.get(field)?.as_i64());
    let (user, group) = (number("runAsUser"), number("runAsGroup"));
    if user.is_none() && group.is_none() {
        return;
    }
    let is_tproxy =
        mode == InboundInterceptionMode::Tproxy || parts::annotation(merged, INTERCEPTION) == Some("TPROXY");
    if is_tproxy && user.is_some() {
        set(parts::proxy_mut(merged), "runAsUser", Some(0));
    }
    let Some(init) = init_container(merged) else {
        tracing::warn!("there is neither istio-init nor istio-validation to follow the proxy's own user");
        return;
    };
    if !is_tproxy && text(init, "name") == "istio-validation" {
        set(Some(init), "runAsUser", user);
        set(Some(init), "runAsGroup", group);
    }
    if let Some(user) = user.filter(|user| *user != 0) {
        exempt(init, user);
    }
}

fn init_container(pod: &mut Json) -> Option<&mut Json> {
    let list = parts::list_mut(pod, INIT_CONTAINERS)?;
    let place = |name: &str| list.iter().position(|container| text(container, "name") == name);
    let at = place("istio-init").or_else(|| place("istio-validation"))?;
    list.get_mut(at)
}

fn set(container: Option<&mut Json>, field: &str, value: Option<i64>) {
    let (Some(container), Some(value)) = (container.and_then(Json::as_object_mut), value) else { return };
    let context = container.entry("securityContext").or_insert_with(|| json!({}));
    if let Some(context) = context.as_object_mut() {
        context.insert(field.into(), value.into());
    }
}

/// The user whose traffic is not captured stands behind `-u`.
fn exempt(init: &mut Json, user: i64) {
    let Some(arguments) = init.get_mut("args").and_then(Json::as_array_mut) else { return };
    let at = arguments.iter().position(|argument| argument == "-u");
    if let Some(value) = at.and_then(|at| arguments.get_mut(at + 1)) {
        *value = Json::String(user.to_string());
    }
}
