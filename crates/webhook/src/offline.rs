//! Injection into files, as `istioctl kube-inject` does it.

use serde_json::{Map, Value as Json, json};

use crate::parts::{self, CONTAINERS, INIT_CONTAINERS, text};
use crate::pod::{self, Decision, Owner};
use crate::{Error, Injector, shape, yaml};

/// What came of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// All documents, injected or as they were, each with `---` behind it.
    pub text: String,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Injects into every workload of a text of YAML documents; what is no workload stays as it is.
pub fn inject_text(injector: &Injector, input: &str) -> Result<Output, Error> {
    let mut output = Output::default();
    for document in documents(input) {
        let Some(object) = workload(&document)? else {
            output.text.push_str(&document);
            if !document.is_empty() && !document.ends_with('\n') {
                output.text.push('\n');
            }
            output.text.push_str("---\n");
            continue;
        };
        let object = inject_object(injector, object, &mut output.warnings)?;
        output.text.push_str(&yaml::write(&object));
        output.text.push_str("---\n");
    }
    Ok(output)
}

/// Injects into one object: a pod, a workload or a list of them. What was skipped, and why, is told in `warnings`.
pub fn inject_object(
    injector: &Injector,
    mut object: Json,
    warnings: &mut Vec<String>,
) -> Result<Json, Error> {
    if text(&object, "kind") == "List" {
        add(&mut object, json!({"metadata": {}}));
        let items = match object.get_mut("items") {
            Some(Json::Array(items)) => items.as_mut_slice(),
            None | Some(Json::Null) => &mut [],
            Some(other) => return Err(Error::Pod(format!("List: items: {}", expected("a list", other)))),
        };
        for item in items.iter_mut().filter(|item| is_workload(item)) {
            *item = inject_object(injector, item.take(), warnings)?;
        }
        return Ok(object);
    }
    check(&object).map_err(|what| Error::Pod(format!("{}: {what}", called(&object))))?;
    shape::settle(&mut object);
    fill(&mut object);
    inject_workload(injector, &mut object, warnings)?;
    Ok(object)
}

fn documents(input: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in input.split_inclusive('\n') {
        let is_mark = line.strip_prefix("---").is_some_and(|rest| rest.trim().is_empty());
        match documents.last_mut() {
            Some(document) if !is_mark => document.push_str(line),
            Some(document) if document.is_empty() => {}
            _ => documents.push(String::new()),
        }
    }
    documents.retain(|document| !document.is_empty());
    documents
}

/// The object of a document, if it is one that can be injected into.
fn workload(document: &str) -> Result<Option<Json>, Error> {
    let object =
        yaml::read(document).map_err(|reason| Error::Pod(format!("a document is no YAML: {reason}")))?;
    Ok(Some(object).filter(is_workload))
}

fn is_workload(object: &Json) -> bool {
    let version = text(object, "apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match text(object, "kind") {
        "Pod" | "ReplicationController" | "List" => group.is_empty(),
        "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" => matches!(group, "apps" | "extensions"),
        "Job" | "CronJob" => group == "batch",
        "DeploymentConfig" => group == "apps.openshift.io" || version == "v1",
        _ => false,
    }
}

/// Where a workload has the metadata and the specification of its pods.
fn places(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "Pod" => ("/metadata", "/spec"),
        "CronJob" => ("/spec/jobTemplate/metadata", "/spec/jobTemplate/spec/template/spec"),
        _ => ("/spec/template/metadata", "/spec/template/spec"),
    }
}

/// An object for people: its kind, and its namespace and name as far as it has them.
fn called(object: &Json) -> String {
    let metadata = object.get("metadata").unwrap_or(&Json::Null);
    let parts = [text(metadata, "namespace"), text(metadata, "name")];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    format!("{} {name}", text(object, "kind")).trim_end().to_owned()
}

/// Whether there is a pod in a workload; an error is the field that is missing or of a wrong type, and the cause.
fn check(object: &Json) -> Result<(), String> {
    let (metadata, spec) = places(text(object, "kind"));
    let mut pod = json!({"metadata": part(object, metadata)?, "spec": part(object, spec)?});
    pod::read(&mut pod, |field| {
        let (first, rest) = field.split_at(field.find('.').unwrap_or(field.len()));
        let place = if first == "spec" { spec } else { metadata };
        format!("{}{rest}", dotted(place))
    })
}

/// What stands at a path below objects; nothing is null.
fn part(object: &Json, path: &str) -> Result<Json, String> {
    for parent in path.match_indices('/').skip(1).filter_map(|(end, _)| path.get(..end)) {
        match object.pointer(parent) {
            Some(Json::Object(_)) => {}
            None | Some(Json::Null) => return Err(format!("{} is required", dotted(parent))),
            Some(other) => return Err(format!("{}: {}", dotted(parent), expected("an object", other))),
        }
    }
    Ok(object.pointer(path).cloned().unwrap_or_default())
}

fn dotted(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".")
}

fn expected(what: &str, found: &Json) -> String {
    let found = match found {
        Json::Object(_) => "a map".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        plain => plain.to_string(),
    };
    format!("{what} is expected, not {found}")
}

fn inject_workload(injector: &Injector, object: &mut Json, warnings: &mut Vec<String>) -> Result<(), Error> {
    let kind = text(object, "kind").to_owned();
    let (metadata, spec) = places(&kind);
    let part = |path: &str| object.pointer(path).cloned().unwrap_or_else(|| json!({}));
    let mut pod = json!({"metadata": part(metadata), "spec": part(spec)});
    let owner = if kind == "Pod" { pod::owner(&pod) } else { owner_of(object) };
    let name = parts::text(pod.get("metadata").unwrap_or(&Json::Null), "name");
    let name = if name.is_empty() { owner.name.clone() } else { name.to_owned() };
    let name = if owner.namespace.is_empty() { name } else { format!("{}/{name}", owner.namespace) };
    let why = match pod::decide(&injector.configuration, &pod) {
        Decision::Inject => None,
        Decision::HostNetwork => Some("host networking enabled"),
        Decision::Skip => Some("sidecar injection disabled"),
    };
    if let Some(why) = why {
        warnings.push(format!("===> Skipping injection because {kind} \"{name}\" has {why}"));
        return Ok(());
    }
    let mut injected = injector.inject_template(&pod, owner)?;
    add(&mut injected, json!({"spec": {CONTAINERS: []}}));
    fill_containers(injected.pointer_mut("/spec"));
    pod = injected;
    for (path, part) in [(metadata, "metadata"), (spec, "spec")] {
        if let (Some(place), Some(value)) = (object.pointer_mut(path), pod.get_mut(part)) {
            *place = value.take();
        }
    }
    Ok(())
}

fn owner_of(object: &Json) -> Owner {
    let metadata = object.get("metadata").unwrap_or(&Json::Null);
    Owner {
        api_version: text(object, "apiVersion").into(),
        kind: text(object, "kind").into(),
        name: text(metadata, "name").into(),
        namespace: text(metadata, "namespace").into(),
    }
}

/// What Go writes of an object though it is not given.
fn fill(object: &mut Json) {
    let (at_top, of_spec) = match text(object, "kind") {
        "Deployment" => (json!({"status": {}}), json!({"strategy": {}, "selector": null})),
        "DaemonSet" => (
            json!({"status": {"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0,
                "numberReady": 0}}),
            json!({"updateStrategy": {}, "selector": null}),
        ),
        "StatefulSet" => (
            json!({"status": {"replicas": 0, "availableReplicas": 0}}),
            json!({"updateStrategy": {}, "selector": null, "serviceName": ""}),
        ),
        "ReplicaSet" => (json!({"status": {"replicas": 0}}), json!({"selector": null})),
        "ReplicationController" => (json!({"status": {"replicas": 0}}), json!({})),
        "CronJob" => (json!({"status": {}}), json!({"schedule": ""})),
        "DeploymentConfig" => (
            json!({"status": {"latestVersion": 0, "observedGeneration": 0, "replicas": 0, "updatedReplicas": 0,
                "availableReplicas": 0, "unavailableReplicas": 0}}),
            json!({"strategy": {"resources": {}}, "triggers": null, "replicas": 0, "test": false}),
        ),
        _ => (json!({"status": {}, "metadata": {}}), json!({})),
    };
    add(object, at_top);
    if let Some(spec) = object.get_mut("spec") {
        add(spec, of_spec);
    }
    let (metadata, spec) = places(text(object, "kind"));
    for (parent, field) in [metadata, spec].iter().filter_map(|path| path.rsplit_once('/')) {
        if let Some(parent) = object.pointer_mut(parent).and_then(Json::as_object_mut) {
            parent.entry(field).or_insert_with(|| Json::Object(Map::new()));
        }
    }
    if let Some(template) =
        object.pointer_mut("/spec/jobTemplate/spec/template").and_then(Json::as_object_mut)
    {
        template.entry("metadata").or_insert_with(|| json!({}));
    }
    fill_containers(object.pointer_mut(spec));
}

fn add(object: &mut Json, more: Json) {
    let (Some(object), Json::Object(more)) = (object.as_object_mut(), more) else { return };
    for (name, value) in more {
        match (object.get_mut(&name), value) {
            (Some(present @ Json::Object(_)), value @ Json::Object(_)) => add(present, value),
            (Some(_), _) => {}
            (None, value) => drop(object.insert(name, value)),
        }
    }
}

/// Every container has resources, and a specification has containers.
fn fill_containers(spec: Option<&mut Json>) {
    let Some(spec) = spec.and_then(Json::as_object_mut) else { return };
    spec.entry(CONTAINERS).or_insert(Json::Null);
    for field in [CONTAINERS, INIT_CONTAINERS] {
        let containers = spec.get_mut(field).and_then(Json::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Json::as_object_mut) {
            container.entry("resources").or_insert_with(|| json!({}));
        }
    }
}
