//! What the kubelet writes about a pod.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::{Value, json};

use super::spec::is_sidecar;
use crate::cluster::network::NODE;

/// How a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) is_running: bool,
    pub(super) is_ready: bool,
    pub(super) restarts: u32,
}

/// The time of every status: nothing here depends on it, and an unchanged status stays equal.
const TIME: &str = "2026-01-01T00:00:00Z";

/// A condition of a pod or node.
pub(super) fn condition(kind: &str, is_so: bool) -> Value {
    let status = if is_so { "True" } else { "False" };
    json!({"type": kind, "status": status, "reason": "Played", "message": "", "lastTransitionTime": TIME,
           "lastHeartbeatTime": TIME})
}

/// The status of a pod whose containers do as `of` says; none is known yet if it says so of none.
pub(super) fn pod(spec: &PodSpec, address: Ipv4Addr, of: impl Fn(&str) -> Option<Condition>) -> Value {
    let one = |container: &Container| container_status(container, of(&container.name));
    let init: Vec<Value> = spec.init_containers.iter().flatten().map(one).collect();
    let main: Vec<Value> = spec.containers.iter().map(one).collect();
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let mut all = spec.containers.iter().chain(sidecars);
    let is_ready = all.all(|container| of(&container.name).is_some_and(|condition| condition.is_ready));
    let is_started = spec.containers.iter().any(|container| of(&container.name).is_some());
    let mut conditions = vec![
        pod_condition("PodScheduled", true),
        pod_condition("Initialized", is_started),
        pod_condition("ContainersReady", is_ready),
        pod_condition("Ready", is_ready),
    ];
    conditions.push(pod_condition("PodReadyToStartContainers", true));
    json!({"status": {
        "phase": if is_started { "Running" } else { "Pending" },
        "podIP": address, "podIPs": [{"ip": address}],
        "hostIP": NODE, "hostIPs": [{"ip": NODE}],
        "startTime": TIME,
        "conditions": conditions,
        "initContainerStatuses": init,
        "containerStatuses": main,
    }})
}

fn pod_condition(kind: &str, is_so: bool) -> Value {
    let status = if is_so { "True" } else { "False" };
    json!({"type": kind, "status": status, "lastTransitionTime": TIME})
}

fn container_status(container: &Container, condition: Option<Condition>) -> Value {
    let is_over = condition.is_some_and(|condition| !condition.is_running);
    let condition = condition.unwrap_or_default();
    let id = format!("played://{}", container.name);
    let state = if condition.is_running {
        json!({"running": {"startedAt": TIME}})
    } else if is_over {
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": TIME, "finishedAt": TIME}})
    } else {
        json!({"waiting": {"reason": "PodInitializing"}})
    };
    json!({
        "name": container.name, "image": container.image, "imageID": "played", "containerID": id,
        "ready": condition.is_ready, "started": condition.is_running, "restartCount": condition.restarts,
        "state": state,
    })
}
