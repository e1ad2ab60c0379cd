//! The objects of a tag, made from those of the revision that it stands for.

use model::revision::{DEFAULT, INJECT, INJECTION, REVISION, TAG};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::store::{Resource, name};

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

/// The webhook with entries that select nothing, in istioctl's words, so that it can be put back.
pub(super) fn put_out_of_use(webhook: &Value) -> Value {
    let mut webhook = webhook.clone();
    for entry in webhook["webhooks"].as_array_mut().into_iter().flatten() {
        entry["namespaceSelector"] = never();
        entry["objectSelector"] = never();
    }
    webhook
}

/// The webhook of the default revision with the selectors that it is installed with (istiod-surface 3.2); nothing, if it was
/// not put out of use.
pub(super) fn put_back(place: &Place<'_>, webhook: &Value) -> Option<Value> {
    let installed = injector(place, webhook).ok()?;
    let selectors = |name: &Value| installed["webhooks"].as_array()?.iter().find(|one| one["name"] == *name);
    let mut back = webhook.clone();
    for entry in back["webhooks"].as_array_mut().into_iter().flatten() {
        if let Some(of) = selectors(&entry["name"]).filter(|_| entry["objectSelector"] == never()) {
            entry["namespaceSelector"] = of["namespaceSelector"].clone();
            entry["objectSelector"] = of["objectSelector"].clone();
        }
    }
    (back != *webhook).then_some(back)
}

fn never() -> Value {
    json!({"matchLabels": {"istio.io/deactivated": "never-match"}})
}

/// An object of a tag in the place of what is there: a Service keeps the address that it was given, an entry of a webhook
/// the certificate authority that it was given, unless the revision's own has one.
pub(super) fn in_place_of(current: Option<&Value>, object: &Value) -> Option<Value> {
    let mut object = object.clone();
    let Some(current) = current else { return Some(object) };
    if object["kind"] == Resource::SERVICE.kind {
        for field in ["clusterIP", "clusterIPs"] {
            if let Some(given) = current["spec"].get(field) {
                object["spec"][field] = given.clone();
            }
        }
    }
    let had: Vec<Value> = current["webhooks"].as_array().cloned().unwrap_or_default();
    for entry in object["webhooks"].as_array_mut().into_iter().flatten() {
        let is_empty = entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().is_empty();
        let before = had.iter().find(|one| one["name"] == entry["name"]);
        if let Some(bundle) = before.and_then(|one| one["clientConfig"].get("caBundle")).filter(|_| is_empty)
        {
            entry["clientConfig"]["caBundle"] = bundle.clone();
        }
    }
    Some(object)
}

impl Resource {
    /// The kind of an object of a tag.
    pub(super) fn of_tag(object: &Value) -> Self {
        match object["kind"].as_str() {
            Some("Service") => Self::SERVICE,
            Some("ValidatingWebhookConfiguration") => Self::VALIDATING,
            _ => Self::MUTATING,
        }
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
