//! The objects of a tag, made from those of the revision that it stands for.

use model::revision::{DEFAULT, INJECT, INJECTION, REVISION, TAG};
use serde_json::{Map, Value, json};

use super::error::Error;
use super::name;

/// How the Service of a tag is called, before the tag.
pub(super) const SERVICE: &str = "istiod-revision-tag-";
/// The webhook that validates what names no revision.
pub(super) const DEFAULT_VALIDATOR: &str = "istiod-default-validator";
/// How the webhook of a tag is called, before the tag.
const INJECTOR: &str = "istio-revision-tag-";
/// The namespace whose control planes have webhooks without its name.
const USUAL_NAMESPACE: &str = "istio-system";

/// Which tag, of what, where.
pub(super) struct Place<'a> {
    pub(super) tag: &'a str,
    pub(super) revision: &'a str,
    pub(super) namespace: &'a str,
}

/// The webhook that injects where the tag is asked for. It calls whom the revision's calls and trusts whom it trusts, so that
/// it works at once.
pub(super) fn injector(place: &Place<'_>, of_revision: &Value) -> Result<Value, Error> {
    let entry = entry(of_revision)?;
    let mut entries = vec![
        webhook(
            "rev.namespace",
            entry,
            [is(REVISION, place.tag), is_missing(INJECTION)],
            vec![is_not(INJECT, "false")],
        ),
        webhook(
            "rev.object",
            entry,
            [is_missing(REVISION), is_missing(INJECTION)],
            vec![is_not(INJECT, "false"), is(REVISION, place.tag)],
        ),
    ];
    if place.tag == DEFAULT {
        entries.push(webhook("namespace", entry, [is(INJECTION, "enabled")], vec![is_not(INJECT, "false")]));
        entries.push(webhook(
            "object",
            entry,
            [is_missing(INJECTION), is_missing(REVISION)],
            vec![is(INJECT, "true"), is_missing(REVISION)],
        ));
    }
    let mut name = format!("{INJECTOR}{}", place.tag);
    if place.namespace != USUAL_NAMESPACE {
        name = format!("{name}-{}", place.namespace);
    }
    Ok(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": labels(place, of_revision, "sidecar-injector")},
        "webhooks": entries,
    }))
}

/// The webhook that validates what names no revision, as istiod's chart `default` has it. What a control plane made
/// mandatory stays so.
pub(super) fn validator(
    place: &Place<'_>,
    of_revision: &Value,
    current: Option<&Value>,
) -> Result<Value, Error> {
    let mut client = entry(of_revision)?["clientConfig"].clone();
    if let Some(service) = client.get_mut("service") {
        service["path"] = "/validate".into();
    }
    if let Some(url) = client.get("url").and_then(Value::as_str) {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = host.split(['/', '?']).next().unwrap_or(host);
        client["url"] = format!("https://{host}/validate").into();
    }
    let policy =
        current.and_then(|current| current["webhooks"][0]["failurePolicy"].as_str()).unwrap_or("Ignore");
    let mut labels = labels(place, of_revision, "istiod");
    labels.insert("istio".to_owned(), "istiod".into());
    Ok(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": DEFAULT_VALIDATOR, "labels": labels},
        "webhooks": [{
            "name": "validation.istio.io",
            "clientConfig": client,
            "rules": [{
                "operations": ["CREATE", "UPDATE"],
                "apiGroups":
                    ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
                "apiVersions": ["*"],
                "resources": ["*"],
            }],
            "objectSelector": {"matchExpressions": [is_missing(REVISION)]},
            "failurePolicy": policy,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    }))
}

/// The Service that leads to the revision under the tag's name.
pub(super) fn service(place: &Place<'_>, of_revision: &Value) -> Value {
    let mut ports = of_revision["spec"]["ports"].clone();
    for port in ports.as_array_mut().into_iter().flatten() {
        port.as_object_mut().map(|port| port.remove("nodePort"));
    }
    let mut labels = labels(place, of_revision, "istiod");
    labels.insert("istio".to_owned(), "pilot".into());
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("{SERVICE}{}", place.tag), "namespace": place.namespace, "labels": labels},
        "spec": {"ports": ports, "selector": of_revision["spec"]["selector"]},
    })
}

/// Makes every entry of a webhook select nothing, in istioctl's words, so that it can be put back.
pub(super) fn put_out_of_use(webhook: &mut Value) {
    let never = json!({"matchLabels": {"istio.io/deactivated": "never-match"}});
    for entry in webhook["webhooks"].as_array_mut().into_iter().flatten() {
        entry["namespaceSelector"] = never.clone();
        entry["objectSelector"] = never.clone();
    }
}

/// The entry of a revision's webhook that injects.
fn entry(of_revision: &Value) -> Result<&Value, Error> {
    let entries = of_revision["webhooks"].as_array().into_iter().flatten();
    let injects = |entry: &&Value| {
        entry["name"].as_str().is_some_and(|name| name.ends_with("sidecar-injector.istio.io"))
    };
    let absent = || Error::NoInjector(name(of_revision).unwrap_or_default().to_owned());
    entries.clone().find(injects).ok_or_else(absent)
}

/// The labels of the revision's object without those by which an installer would take the tag away again.
fn labels(place: &Place<'_>, of_revision: &Value, app: &str) -> Map<String, Value> {
    let own = of_revision["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let mut labels: Map<String, Value> =
        own.into_iter().filter(|(key, _)| !key.contains("operator.istio.io")).collect();
    labels.insert("app".to_owned(), app.into());
    labels.insert(REVISION.to_owned(), place.revision.into());
    labels.insert(TAG.to_owned(), place.tag.into());
    labels
}

/// One entry, under the name that istioctl gives it.
fn webhook<const N: usize>(
    prefix: &str,
    of_revision: &Value,
    namespace: [Value; N],
    object: Vec<Value>,
) -> Value {
    json!({
        "name": format!("{prefix}.sidecar-injector.istio.io"),
        "clientConfig": of_revision["clientConfig"],
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "namespaceSelector": {"matchExpressions": namespace.to_vec()},
        "objectSelector": {"matchExpressions": object},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "reinvocationPolicy": of_revision["reinvocationPolicy"].as_str().unwrap_or("Never"),
        "admissionReviewVersions": ["v1"],
    })
}

fn is(key: &str, value: &str) -> Value {
    json!({"key": key, "operator": "In", "values": [value]})
}

fn is_not(key: &str, value: &str) -> Value {
    json!({"key": key, "operator": "NotIn", "values": [value]})
}

fn is_missing(key: &str) -> Value {
    json!({"key": key, "operator": "DoesNotExist"})
}
