//! What a pod's own text means: fields, resources, variables.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::Value;

use crate::cluster::network::NODE;

/// Variables by name.
pub(super) type Environment = BTreeMap<String, String>;

/// The pod's specification; an API server holds no pod without one.
pub(super) fn of(pod: &Pod) -> PodSpec {
    pod.spec.clone().unwrap_or_default()
}

/// The value of a downward field; nothing for one that is not there.
pub(super) fn field(pod: &Pod, path: &str) -> String {
    if path == "status.hostIP" {
        return NODE.to_string();
    }
    let pod = serde_json::to_value(pod).unwrap_or_default();
    let keyed = path.strip_suffix("']").and_then(|path| path.split_once("['"));
    let (path, key) = keyed.map_or((path, None), |(path, key)| (path, Some(key)));
    let found = path.split('.').try_fold(&pod, |value, name| value.get(name));
    let found = key.map_or(found, |key| found.and_then(|value| value.get(key)));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(entries)) => {
            entries.iter().fold(String::new(), |text, (name, value)| format!("{text}{name}={value}\n"))
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The value of a resource, as if every container had half a machine: no limit is enforced here.
pub(super) fn resource(name: &str) -> String {
    let value: u64 = match name {
        "limits.cpu" => 2,
        "requests.cpu" => 1,
        "limits.memory" => 2 << 30,
        "requests.memory" => 1 << 30,
        _ => 0,
    };
    value.to_string()
}

/// A text with `$(NAME)` replaced where the name is known; `$$` stands for one dollar.
pub(super) fn expand(text: &str, variables: &Environment) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            whole.push('$');
            rest = after;
            continue;
        }
        let name = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        let known = name.and_then(|(name, after)| Some((variables.get(name)?, after)));
        rest = known.map_or(after, |(_, after)| after);
        whole.push_str(known.map_or("$", |(value, _)| value));
    }
    whole + rest
}

/// The user and the group that a container runs as, if its pod says so.
pub(super) fn user(spec: &PodSpec, container: &Container) -> (Option<i64>, Option<i64>) {
    let own = container.security_context.as_ref();
    let pods = spec.security_context.as_ref();
    let user = own.and_then(|own| own.run_as_user).or(pods.and_then(|pods| pods.run_as_user));
    let group = own.and_then(|own| own.run_as_group).or(pods.and_then(|pods| pods.run_as_group));
    (user, group)
}

/// Whether an init container stays: a native sidecar.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// How long a container goes on after its pod was deleted, before it is asked to end.
pub(super) fn pause(container: &Container) -> Duration {
    let before = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let sleep = before.and_then(|before| before.sleep.as_ref()).map_or(0, |sleep| sleep.seconds);
    Duration::from_secs(u64::try_from(sleep).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn fields_of_a_pod() {
        let pod: Pod = from_value(json!({
            "metadata": {"name": "a", "labels": {"app": "x", "b/c": "y"}},
            "spec": {"containers": [], "serviceAccountName": "s"},
            "status": {"podIP": "198.18.0.1"},
        }))
        .unwrap();
        assert_eq!(field(&pod, "metadata.name"), "a");
        assert_eq!(field(&pod, "metadata.labels['b/c']"), "y");
        assert_eq!(field(&pod, "metadata.labels"), "app=\"x\"\nb/c=\"y\"\n");
        assert_eq!(field(&pod, "metadata.annotations['none']"), "");
        assert_eq!(field(&pod, "spec.serviceAccountName"), "s");
        assert_eq!(field(&pod, "status.podIP"), "198.18.0.1");
    }

    #[test]
    fn variables_are_expanded_once_known() {
        let variables: Environment = [("A".to_owned(), "1".to_owned())].into();
        for (text, wanted) in [("x$(A)y", "x1y"), ("$(B)$", "$(B)$"), ("$$(A)", "$(A)"), ("plain", "plain")] {
            assert_eq!(expand(text, &variables), wanted);
        }
    }
}
