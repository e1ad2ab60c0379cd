//! Which webhook the API server calls for a pod, by the selectors of webhook configurations.

use model::labels::{Condition, LabelSelector, Labels};
use serde_json::Value;

/// The webhooks (configuration and entry) that are called for a pod with these labels in such a namespace.
pub(crate) fn called(objects: &[Value], namespace: &Labels, pod: &Labels) -> Vec<(String, String)> {
    let mut called = Vec::new();
    for object in objects.iter().filter(|object| object["kind"] == "MutatingWebhookConfiguration") {
        for webhook in object["webhooks"].as_array().into_iter().flatten() {
            let selects = |field: &str, labels| selector(&webhook[field]).selects(labels);
            if selects("namespaceSelector", namespace) && selects("objectSelector", pod) {
                let service = &webhook["clientConfig"]["service"]["name"];
                called.push((text(service), text(&webhook["name"])));
            }
        }
    }
    called
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A label selector as it is written.
fn selector(value: &Value) -> LabelSelector {
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(|one| text(one).into()).collect();
    let condition = |one: &Value| {
        let key = text(&one["key"]).into();
        match one["operator"].as_str() {
            Some("In") => Condition::In(key, texts(&one["values"])),
            Some("NotIn") => Condition::NotIn(key, texts(&one["values"])),
            Some("Exists") => Condition::Exists(key),
            _ => Condition::Missing(key),
        }
    };
    let conditions = value["matchExpressions"].as_array().into_iter().flatten().map(condition).collect();
    let labels = value["matchLabels"].as_object().into_iter().flatten();
    LabelSelector { labels: labels.map(|(key, value)| (key.as_str(), text(value))).collect(), conditions }
}
