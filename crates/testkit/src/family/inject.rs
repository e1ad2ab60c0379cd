//! Family `inject`: workloads in, injected workloads out, by files and by AdmissionReviews.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::corpus::{self, Error};
use crate::golden::compare;
use crate::verdict::Verdict;

/// What injection is told in one case.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The `config` key of the injector's ConfigMap.
    pub config: String,
    /// The `values` key.
    pub values: String,
    /// MeshConfig.
    pub mesh: String,
    /// Environment variables of the process.
    pub env: BTreeMap<String, String>,
    /// Versions of the nodes' kubelets.
    pub nodes: Vec<String>,
    /// Namespaces with their annotations.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The revision.
    pub revision: String,
}

/// The product: as a program that injects into files, and as a webhook.
pub trait Inject: Sync {
    /// A file of documents into one of injected documents, with warnings; or why not.
    fn file(&self, setup: &Setup, input: &str) -> Result<(String, Vec<String>), String>;

    /// An AdmissionReview into its answer.
    fn review(&self, setup: &Setup, review: &Value) -> Result<Value, String>;
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// A verdict a case.
    pub verdicts: Vec<Verdict>,
    /// Of the files, how many there are and how many are equal byte by byte.
    pub files: (usize, usize),
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    input: String,
    modes: Vec<String>,
    settings: Settings,
    expected: Expected,
}

#[derive(Deserialize)]
struct Settings {
    injector_config: String,
    values: String,
    mesh: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    revision: String,
}

#[derive(Deserialize)]
struct Expected {
    file: Option<String>,
    error: Option<String>,
    log: Option<String>,
}

/// Judges every case of the family, or those whose id has `part` in it.
pub fn judge(root: &Path, part: Option<&str>, inject: &dyn Inject) -> Result<Judged, Error> {
    let family = root.join("inject");
    let manifest: Manifest = corpus::json(&family.join("manifest.json"))?;
    let namespaces = namespaces(&family)?;
    let mut judged = Judged::default();
    for case in manifest.cases.iter().filter(|case| part.is_none_or(|part| case.id.contains(part))) {
        let setup = Setup { namespaces: namespaces.clone(), ..setup(&family, &case.settings)? };
        let failure = failure(&family, case, &setup, inject, &mut judged.files)?;
        judged.verdicts.push(Verdict { id: case.id.clone(), failure });
    }
    Ok(judged)
}

fn setup(family: &Path, settings: &Settings) -> Result<Setup, Error> {
    Ok(Setup {
        config: corpus::text(&family.join(&settings.injector_config))?,
        values: corpus::text(&family.join(&settings.values))?,
        mesh: corpus::text(&family.join(&settings.mesh))?,
        env: settings.env.clone(),
        nodes: settings.nodes.clone(),
        revision: settings.revision.clone(),
        namespaces: BTreeMap::new(),
    })
}

fn namespaces(family: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let objects = corpus::yaml(&family.join("common/namespaces.yaml"))?;
    let named = objects.iter().map(|object| {
        let annotations = object.pointer("/metadata/annotations").cloned().unwrap_or_default();
        (text(object, "/metadata/name").to_owned(), serde_json::from_value(annotations).unwrap_or_default())
    });
    Ok(named.collect())
}

fn failure(
    family: &Path,
    case: &Case,
    setup: &Setup,
    inject: &dyn Inject,
    files: &mut (usize, usize),
) -> Result<Option<String>, Error> {
    let input = corpus::text(&family.join(&case.input))?;
    for mode in &case.modes {
        let wrong = match (mode.as_str(), &case.expected.file) {
            ("kube_inject", None) => {
                let wanted = case.expected.error.as_deref().unwrap_or_default();
                refused(inject.file(&offline(setup), &input), wanted)
            }
            ("kube_inject", Some(file)) => {
                let expected = family.join(file);
                let log = case.expected.log.as_deref();
                file_failure(&expected, inject.file(&offline(setup), &input), log, files)?
            }
            (_, Some(file)) => {
                let (input, expected) =
                    (corpus::yaml(&family.join(&case.input))?, corpus::yaml(&family.join(file))?);
                reviews_failure(&input, &expected, setup, inject)
            }
            (_, None) => None,
        };
        if let Some(wrong) = wrong {
            return Ok(Some(format!("{mode}: {wrong}")));
        }
    }
    Ok(None)
}

/// The program is told no revision.
fn offline(setup: &Setup) -> Setup {
    Setup { revision: String::new(), ..setup.clone() }
}

fn refused(answer: Result<(String, Vec<String>), String>, wanted: &str) -> Option<String> {
    match answer {
        Ok(_) => Some(format!("injected; an error with {wanted} is expected")),
        Err(error) if error.to_lowercase().contains(wanted) => None,
        Err(error) => Some(format!("refused without the word {wanted}: {error}")),
    }
}

fn file_failure(
    expected: &Path,
    answer: Result<(String, Vec<String>), String>,
    log: Option<&str>,
    files: &mut (usize, usize),
) -> Result<Option<String>, Error> {
    let (text, warnings) = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Some(format!("refused: {error}"))),
    };
    let wanted = corpus::text(expected)?;
    files.0 += 1;
    files.1 += usize::from(wanted.trim() == text.trim());
    if let Some(log) = log.filter(|log| !warnings.iter().any(|warning| warning.contains(log))) {
        return Ok(Some(format!("no warning says: {log}")));
    }
    let documents: Result<Vec<Value>, _> = serde_saphyr::from_multiple(&text);
    let documents = match documents {
        Ok(documents) => documents,
        Err(error) => return Ok(Some(format!("the output is no YAML: {error}"))),
    };
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    Ok(different(&Value::Array(corpus::yaml(expected)?), &Value::Array(documents)))
}

fn different(expected: &Value, actual: &Value) -> Option<String> {
    let differences = compare::differences(expected, actual);
    let shown = differences.iter().take(4).map(|difference| {
        format!("{}: expected {}, got {}", difference.path, difference.expected, difference.actual)
    });
    (!differences.is_empty()).then(|| shown.collect::<Vec<_>>().join("; "))
}

fn reviews_failure(
    input: &[Value],
    expected: &[Value],
    setup: &Setup,
    inject: &dyn Inject,
) -> Option<String> {
    let (input, expected) = (injectable(input), injectable(expected));
    if input.len() != expected.len() {
        return Some(format!("{} documents go in, {} are expected", input.len(), expected.len()));
    }
    input.iter().zip(&expected).find_map(|(input, expected)| {
        let namespace = text(input, "/metadata/namespace").to_owned();
        let first = reviewed(pod(input), &namespace, setup, inject);
        let once = match first {
            Ok(pod) => pod,
            Err(reason) => return Some(reason),
        };
        if let Some(wrong) = different(&typed(pod(expected)), &typed(once.clone())) {
            return Some(wrong);
        }
        // What a pod says of injected containers itself holds the first time only, in istiod too.
        if once.pointer("/metadata/annotations/proxy.istio.io~1overrides").is_some() {
            return None;
        }
        match reviewed(once.clone(), &namespace, setup, inject) {
            Ok(twice) => {
                different(&typed(once), &typed(twice)).map(|wrong| format!("injected twice: {wrong}"))
            }
            Err(reason) => Some(format!("injected twice: {reason}")),
        }
    })
}

/// Asks, and applies the patch that comes back.
fn reviewed(mut pod: Value, namespace: &str, setup: &Setup, inject: &dyn Inject) -> Result<Value, String> {
    let answer = inject.review(setup, &question(&pod, namespace))?;
    apply(&answer, &mut pod)?;
    Ok(pod)
}

/// What an API server asks about a new pod.
pub fn question(pod: &Value, namespace: &str) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1-2-3", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
        "namespace": namespace, "object": pod}})
}

/// Applies what an answer to a [`question`] says to the pod; an error where it denies or cannot be applied.
pub fn apply(answer: &Value, pod: &mut Value) -> Result<(), String> {
    if answer.pointer("/response/allowed") != Some(&Value::Bool(true)) {
        return Err(format!("denied: {}", text(answer, "/response/status/message")));
    }
    if text(answer, "/response/uid") != "1-2-3" {
        return Err("the answer has another uid".to_owned());
    }
    let patch = text(answer, "/response/patch");
    if !patch.is_empty() {
        use base64::Engine as _;
        let patch =
            base64::engine::general_purpose::STANDARD.decode(patch).map_err(|error| error.to_string())?;
        let patch: json_patch::Patch = serde_json::from_slice(&patch).map_err(|error| error.to_string())?;
        json_patch::patch(pod, &patch).map_err(|error| format!("the patch does not apply: {error}"))?;
    }
    Ok(())
}

fn injectable(documents: &[Value]) -> Vec<Value> {
    const KINDS: [&str; 9] = [
        "Deployment",
        "DaemonSet",
        "StatefulSet",
        "Job",
        "CronJob",
        "ReplicaSet",
        "ReplicationController",
        "DeploymentConfig",
        "Pod",
    ];
    let items = documents.iter().flat_map(|document| match document.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![document.clone()],
    });
    items.filter(|item| KINDS.contains(&text(item, "/kind"))).collect()
}

/// The pod that a controller makes for a workload (common/pod-conversion.md).
fn pod(document: &Value) -> Value {
    let kind = text(document, "/kind");
    let name = text(document, "/metadata/name").to_owned();
    let template = match kind {
        "Pod" => return document.clone(),
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    let template = document.pointer(template).cloned().unwrap_or_default();
    let mut metadata = template.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut owner =
        json!({"apiVersion": document["apiVersion"], "kind": kind, "name": name, "controller": true});
    let mut prefix = name.clone();
    if kind == "Deployment" {
        owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-fake"), "controller": true});
        prefix = format!("{name}-fake-");
        let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
        labels["pod-template-hash"] = "fake".into();
    }
    metadata.insert("generateName".into(), prefix.into());
    metadata.insert("ownerReferences".into(), Value::Array(vec![owner]));
    if kind != "Pod" {
        metadata.remove("name");
        metadata.remove("namespace");
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec").cloned().unwrap_or_default()})
}

/// What is left of a pod when Go's types have read it and the test has put what it ignores aside.
fn typed(mut pod: Value) -> Value {
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove("sidecar.istio.io/status");
    }
    if let Some(fields) = pod.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = pod.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
    settle(&mut pod);
    pod
}

fn settle(value: &mut Value) {
    const ZERO: [&str; 10] = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
        "hostPort",
        "hostNetwork",
        "readOnly",
        "stdin",
        "tty",
    ];
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::Object(amounts) if matches!(name.as_str(), "limits" | "requests") => {
                        amounts.values_mut().for_each(settle_amount);
                    }
                    Value::Object(_) if matches!(name.as_str(), "labels" | "annotations") => {}
                    value => settle(value),
                }
            }
            let maps = ["resources", "labels", "annotations", "limits", "requests"];
            fields.retain(|name, value| match value {
                Value::Null => false,
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !(fields.is_empty() && maps.contains(&name.as_str())),
                Value::String(text) => !(text.is_empty() && name == "value"),
                Value::Bool(false) => !ZERO.contains(&name.as_str()),
                Value::Number(number) => !(number.as_i64() == Some(0) && ZERO.contains(&name.as_str())),
                Value::Bool(true) => true,
            });
        }
        _ => {}
    }
}

/// A quantity as a number of thousandths, however it is written.
fn settle_amount(value: &mut Value) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "m" => 1.0,
        "" => 1e3,
        "k" => 1e6,
        "M" => 1e9,
        "G" => 1e12,
        "Ki" => 1024e3,
        "Mi" => 1024.0 * 1024e3,
        "Gi" => 1024.0 * 1024.0 * 1024e3,
        _ => return,
    };
    if let Ok(number) = number.parse::<f64>() {
        *value = (number * factor).into();
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
