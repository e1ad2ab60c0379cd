//! Whether a pod is injected at all (istiod-surface 5.3).

use model::{Labels, Text};
use serde_json::Value as Json;

use crate::configuration::{Configuration, Policy};
use crate::parts;

const INJECT: &str = "sidecar.istio.io/inject";

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is injected.
    Inject,
    /// It is left as it is: it is on the host's network, where capturing traffic would capture the host's.
    HostNetwork,
    /// It is left as it is: namespace, pod or configuration say so.
    Skip,
}

/// Namespaces in which nothing is injected, whoever asks.
pub fn is_system_namespace(namespace: &str) -> bool {
    matches!(namespace, "kube-system" | "kube-public" | "kube-node-lease" | "local-path-storage")
}

/// Decides for a pod with its namespace.
pub(crate) fn decide(configuration: &Configuration, pod: &Json) -> Decision {
    if pod.get("spec").and_then(|spec| spec.get("hostNetwork")?.as_bool()) == Some(true) {
        return Decision::HostNetwork;
    }
    let namespace = pod.get("metadata").map_or("", |metadata| parts::text(metadata, "namespace"));
    let is_wanted = !is_system_namespace(namespace)
        && match configuration.policy {
            Policy::Illegal => {
                tracing::error!("the injection policy is neither enabled nor disabled: nothing is injected");
                false
            }
            Policy::Enabled => wish(configuration, pod).unwrap_or(true),
            Policy::Disabled => wish(configuration, pod).unwrap_or(false),
        };
    if is_wanted { Decision::Inject } else { Decision::Skip }
}

/// What the pod says, or else the selectors.
fn wish(configuration: &Configuration, pod: &Json) -> Option<bool> {
    let label = parts::meta_text(pod, "labels", INJECT);
    match label.or_else(|| parts::annotation(pod, INJECT)).unwrap_or_default() {
        "true" => return Some(true),
        "false" => return Some(false),
        "" => {}
        other => {
            let pod = parts::name_for_people(pod);
            tracing::warn!(pod, value = other, "{INJECT} is neither true nor false; the policy decides");
        }
    }
    let labels = labels(pod);
    let any = |selectors: &[model::labels::LabelSelector]| {
        selectors.iter().any(|selector| selector.selects(&labels))
    };
    if any(&configuration.never) {
        return Some(false);
    }
    any(&configuration.always).then_some(true)
}

/// A pod's labels in the model's form.
pub(crate) fn labels(pod: &Json) -> Labels {
    let labels = parts::texts(pod, "labels");
    labels.iter().map(|(name, value)| (Text::from(name.as_str()), Text::from(value.as_str()))).collect()
}
