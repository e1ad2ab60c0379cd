//! Probes and life cycle calls go to the agent, which the kubelet can always reach, and the agent makes them
//! (istiod-surface 5.8).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::STATUS;
use crate::annotations::parse_bool;
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS, text};
use crate::{Injector, PROXY, shape};

const REWRITE: &str = "sidecar.istio.io/rewriteAppHTTPProbers";
const STATUS_PORT: &str = "status.sidecar.istio.io/port";
const ENVIRONMENT: &str = "ISTIO_KUBE_APP_PROBERS";

/// Probes of a container, and the last part of the agent's path for each.
const PROBES: [(&str, &str); 3] =
    [("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz")];
/// Life cycle calls of a container, likewise.
const CALLS: [(&str, &str); 2] = [("preStop", "prestopz"), ("postStart", "poststartz")];

/// What the agent is told to call, by the path at which it is asked.
pub(crate) type Probers = BTreeMap<String, Json>;

/// Whether probes are rewritten: the pod's annotation, or else the values.
pub(crate) fn is_on(annotations: &BTreeMap<String, String>, by_values: bool) -> bool {
    annotations.get(REWRITE).and_then(|value| parse_bool(value)).unwrap_or(by_values)
}

/// Rewrites the probes of all containers, if that is wanted and there is a proxy.
pub(super) fn apply(pod: &mut Json, injector: &Injector) {
    let annotations = parts::texts(pod, "annotations");
    if parts::proxy(pod).is_none() || !is_on(&annotations, injector.values.rewrites_probes()) {
        return;
    }
    let agent = injector.mesh.status_port();
    let probers = probers(pod, agent);
    if !probers.is_empty()
        && let Some(environment) = parts::proxy_mut(pod).and_then(parts::environment_mut)
    {
        tell(environment, probers, annotations.contains_key(STATUS));
    }
    // A port that is no number is zero, as in istiod, which says so.
    let port = annotations.get(STATUS_PORT).map_or(agent, |port| port.trim().parse().unwrap_or_default());
    for field in [CONTAINERS, INIT_CONTAINERS] {
        let containers = pod.get_mut("spec").and_then(|spec| spec.get_mut(field)?.as_array_mut());
        for container in containers.into_iter().flatten().filter(|container| text(container, "name") != PROXY)
        {
            redirect(container, port);
        }
    }
}

/// The probers of all containers but the proxy. `agent` is a port at which a probe is rewritten already.
pub(crate) fn probers(pod: &Json, agent: i64) -> Probers {
    let containers = parts::list(pod, INIT_CONTAINERS).iter().chain(parts::list(pod, CONTAINERS));
    let mut found = Probers::new();
    for container in containers.filter(|container| text(container, "name") != PROXY) {
        let name = text(container, "name");
        for (field, end) in PROBES {
            let probe = container.get(field).and_then(|probe| prober(probe, container, agent, true));
            found.extend(probe.map(|probe| (format!("/app-health/{name}/{end}"), probe)));
        }
        for (field, end) in CALLS {
            let call = container.get("lifecycle").and_then(|lifecycle| lifecycle.get(field));
            let call = call.and_then(|call| prober(call, container, agent, false));
            found.extend(call.map(|call| (format!("/app-lifecycle/{name}/{end}"), call)));
        }
    }
    found
}

/// What is called, and for how long; named ports are numbers then. `None` if the agent has nothing to do with it.
fn prober(probe: &Json, container: &Json, agent: i64, with_grpc: bool) -> Option<Json> {
    let (kind, action) = action(probe, with_grpc)?;
    let mut action = action.clone();
    let mut own = Map::new();
    if kind == "grpc" {
        // Go's pointer without `omitempty`: a service that is not given is null.
        action.as_object_mut()?.entry("service").or_insert(Json::Null);
    } else {
        let port = match action.get("port") {
            Some(Json::String(name)) => port_named(container, name)?,
            Some(Json::Number(number)) => number.as_i64().filter(|port| *port != agent)?,
            _ => 0,
        };
        action.as_object_mut()?.insert("port".into(), port.into());
    }
    own.insert(kind.into(), action);
    if let Some(timeout) = probe.get("timeoutSeconds").filter(|seconds| seconds.as_i64() != Some(0)) {
        own.insert("timeoutSeconds".into(), timeout.clone());
    }
    Some(Json::Object(own))
}

fn action(probe: &Json, with_grpc: bool) -> Option<(&'static str, &Json)> {
    let kinds: &[&'static str] =
        if with_grpc { &["httpGet", "tcpSocket", "grpc"] } else { &["httpGet", "tcpSocket"] };
    kinds.iter().find_map(|kind| Some((*kind, probe.get(*kind).filter(|action| action.is_object())?)))
}

fn port_named(container: &Json, name: &str) -> Option<i64> {
    let ports = container.get("ports")?.as_array()?;
    ports.iter().rev().find(|port| text(port, "name") == name)?.get("containerPort")?.as_i64()
}

/// Adds the probers to an environment. A pod that was injected before has some, which stay.
pub(crate) fn tell(environment: &mut Vec<Json>, mut probers: Probers, was_injected: bool) {
    let known = environment.iter_mut().find(|variable| text(variable, "name") == ENVIRONMENT);
    match known.filter(|_| was_injected) {
        Some(variable) => {
            let Ok(before) = serde_json::from_str::<Probers>(text(variable, "value")) else {
                tracing::error!(
                    "{ENVIRONMENT} of a pod that was injected before is no JSON; it is left as it is"
                );
                return;
            };
            probers.extend(before);
            *variable = variable_of(&probers);
        }
        None => environment.push(variable_of(&probers)),
    }
}

fn variable_of(probers: &Probers) -> Json {
    let entries = probers
        .iter()
        .map(|(path, prober)| format!("{}:{}", Json::from(path.as_str()), shape::go_text(prober)));
    json!({"name": ENVIRONMENT, "value": format!("{{{}}}", entries.collect::<Vec<_>>().join(","))})
}

/// Has the kubelet call the agent.
fn redirect(container: &mut Json, port: i64) {
    let name = text(container, "name").to_owned();
    for (field, end) in PROBES {
        if let Some(probe) = container.get_mut(field) {
            redirect_one(probe, &format!("/app-health/{name}/{end}"), port, true);
        }
    }
    for (field, end) in CALLS {
        if let Some(call) = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(field)) {
            redirect_one(call, &format!("/app-lifecycle/{name}/{end}"), port, false);
        }
    }
}

fn redirect_one(probe: &mut Json, path: &str, port: i64, with_grpc: bool) {
    let Some((kind, action)) = action(probe, with_grpc) else { return };
    let mut call =
        if kind == "httpGet" { action.as_object().cloned().unwrap_or_default() } else { Map::new() };
    call.insert("path".into(), path.into());
    call.insert("port".into(), port.into());
    if call.get("scheme").is_some_and(|scheme| scheme == "HTTPS") {
        // The agent speaks HTTP, and HTTPS to the application.
        call.insert("scheme".into(), "HTTP".into());
    }
    if let Some(fields) = probe.as_object_mut() {
        fields.remove(kind);
        fields.insert("httpGet".into(), Json::Object(call));
    }
}
