//! Whose pod it is: the workload that people know it by.

use serde_json::Value as Json;

use crate::parts::{self, text};

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// The workload behind a pod, as its metadata lets one guess: a ReplicaSet of a Deployment or Rollout is named
/// after it and the hash of its template, a Job of a CronJob after it and a time.
pub(crate) fn owner(pod: &Json) -> Owner {
    let metadata = pod.get("metadata").unwrap_or(&Json::Null);
    let mut owner = Owner {
        api_version: "v1".into(),
        kind: "Pod".into(),
        name: text(metadata, "name").into(),
        namespace: text(metadata, "namespace").into(),
    };
    let references = metadata.get("ownerReferences").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let controller =
        references.iter().find(|reference| reference.get("controller").and_then(Json::as_bool) == Some(true));
    let (false, Some(controller)) = (text(metadata, "generateName").is_empty(), controller) else {
        return owner;
    };
    owner.api_version = text(controller, "apiVersion").into();
    owner.kind = text(controller, "kind").into();
    let name = text(controller, "name");
    owner.name = name.into();
    match owner.kind.as_str() {
        "ReplicaSet" => {
            if let Some(above) = before_hash(pod, name, "pod-template-hash") {
                (owner.kind, owner.name) = ("Deployment".into(), above);
            } else if let Some(above) = before_hash(pod, name, "rollouts-pod-template-hash") {
                (owner.kind, owner.name) = ("Rollout".into(), above);
                owner.api_version = "v1alpha1".into();
            }
        }
        "ReplicationController" => {
            let config = parts::meta_text(pod, "labels", "deploymentconfig").filter(|name| !name.is_empty());
            if let Some(name) = config {
                (owner.kind, owner.name) = ("DeploymentConfig".into(), name.into());
            }
        }
        "Job" => {
            if let Some(above) = before_time(name) {
                (owner.kind, owner.name) = ("CronJob".into(), above.into());
                owner.api_version = "batch/v1".into();
            }
        }
        _ => {}
    }
    owner
}

fn before_hash(pod: &Json, name: &str, label: &str) -> Option<String> {
    let hash = parts::meta_text(pod, "labels", label).filter(|hash| !hash.is_empty())?;
    let above = name.strip_suffix(hash)?;
    Some(above.strip_suffix('-').unwrap_or(name).to_owned())
}

/// The name before a time of eight to ten digits.
fn before_time(name: &str) -> Option<&str> {
    let (above, time) = name.rsplit_once('-')?;
    let is_time = (8..=10).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
    (is_time && !above.is_empty()).then_some(above)
}
