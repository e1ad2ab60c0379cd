//! One API object: which kind it is, its metadata, and the parser it goes to.

use serde_json::Value as Json;

use super::{Context, kube, networking};
use crate::key::Meta;
use crate::spelling::is_close;
use crate::{Created, Key, Kind, Labels, Problem, Text, Value};

/// What came of one API object.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Which object it is.
    pub key: Key,
    /// Its value; `None` if it is of no use.
    pub value: Option<Value>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Groups and kinds that are read; `apiVersion` without a group is Kubernetes' core.
const KINDS: [(&str, &str, Kind); 13] = [
    ("", "Namespace", Kind::Namespace),
    ("", "Node", Kind::Node),
    ("", "Service", Kind::Service),
    ("", "Pod", Kind::Pod),
    ("discovery.k8s.io", "EndpointSlice", Kind::EndpointSlice),
    ("networking.istio.io", "ServiceEntry", Kind::ServiceEntry),
    ("networking.istio.io", "WorkloadEntry", Kind::WorkloadEntry),
    ("networking.istio.io", "Sidecar", Kind::Sidecar),
    ("networking.istio.io", "Gateway", Kind::Gateway),
    ("networking.istio.io", "VirtualService", Kind::VirtualService),
    ("networking.istio.io", "DestinationRule", Kind::DestinationRule),
    ("networking.istio.io", "ProxyConfig", Kind::ProxyConfig),
    ("security.istio.io", "PeerAuthentication", Kind::PeerAuthentication),
];

/// Further kinds of the groups that are read. Those of Istio do nothing here, which their author should know.
const NOT_READ: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "Binding",
            "ComponentStatus",
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "ServiceAccount",
        ],
    ),
    ("discovery.k8s.io", &[]),
    ("networking.istio.io", &["EnvoyFilter", "WorkloadGroup"]),
    ("security.istio.io", &["AuthorizationPolicy", "RequestAuthentication"]),
    ("telemetry.istio.io", &["Telemetry"]),
    ("extensions.istio.io", &["WasmPlugin", "TrafficExtension"]),
];

/// The versions of the groups that are read.
const VERSIONS: [(&str, &[&str]); 4] = [
    ("", &["v1"]),
    ("discovery.k8s.io", &["v1", "v1beta1"]),
    ("networking.istio.io", &["v1", "v1beta1", "v1alpha3"]),
    ("security.istio.io", &["v1", "v1beta1"]),
];

/// An API object into the model; `None` if nothing is read from it: see [`unread`].
pub fn parse_object(object: &Json, context: &Context) -> Option<Parsed> {
    let (group, name) = group_and_kind(object);
    let kind = known(group, name).filter(|_| is_named(object))?;
    let meta = meta(object, kind, context);
    let mut problems = Vec::new();
    let value = match group {
        _ if text(object, "apiVersion").is_empty() => {
            let detail = format!("an object of kind {name} needs an apiVersion, which is text, such as v1");
            problems.push(Problem::error(&meta.key, "no-version", "apiVersion", detail));
            None
        }
        _ if !is_version_known(object) => {
            problems.push(unknown_version(object, name, &meta.key));
            None
        }
        "networking.istio.io" | "security.istio.io" => {
            tell_metadata(object, &meta.key, &mut problems);
            networking::parse(&meta, object, context, &mut problems)
        }
        _ => kube::parse(&meta, object, &mut problems),
    };
    problems.sort();
    problems.dedup();
    Some(Parsed { key: meta.key, value, problems })
}

/// Why nothing is read from a document, if its author should know: it is no object, has no name, or its kind is
/// unknown to a group that is read, or its group is nearly one of these. Gateway API, which Istio reads elsewhere, is
/// told too. Kinds of other groups are nobody's mistake.
///
/// `file` stands for the object in the message. An error means that it cannot be told which object was meant.
pub fn unread(document: &Json, file: &Key) -> Option<Problem> {
    let error = |code, field: &str, detail: String| Some(Problem::error(file, code, field, detail));
    let (group, kind) = group_and_kind(document);
    let Some((_, others)) = NOT_READ.iter().find(|(known, _)| *known == group) else {
        return unread_group(group, kind, file);
    };
    if !document.is_object() {
        return error("no-object", "", "this is no object with apiVersion, kind and metadata".into());
    }
    if kind.is_empty() || text(document, "apiVersion").is_empty() && known(group, kind).is_none() {
        return error("no-kind", "", "an object needs apiVersion and kind, which are text".into());
    }
    if known(group, kind).is_some() {
        let detail = format!("an object of kind {kind} needs a name, which is text");
        return error("no-name", "metadata.name", detail);
    }
    if others.contains(&kind) {
        let detail = format!("objects of kind {kind} are not read; this one does nothing");
        return group.ends_with("istio.io").then(|| Problem::warning(file, "kind-not-read", "kind", detail));
    }
    let group = if group.is_empty() { "Kubernetes' core" } else { group };
    let is_list = kind.ends_with("List");
    if is_list { None } else { error("unknown-kind", "kind", format!("{group} has no kind '{kind}'")) }
}

fn unknown_version(object: &Json, kind: &str, key: &Key) -> Problem {
    let detail = format!("there is no version '{}' of {kind}", text(object, "apiVersion"));
    Problem::error(key, "unknown-version", "apiVersion", detail)
}

/// Why nothing is read of a group that is not known.
fn unread_group(group: &str, kind: &str, file: &Key) -> Option<Problem> {
    if group.ends_with("gateway.networking.k8s.io") || group.ends_with("gateway.networking.x-k8s.io") {
        let detail = format!("the Gateway API is not read yet; this {kind} does nothing");
        return Some(Problem::warning(file, "kind-not-read", "kind", detail));
    }
    let (meant, _) = NOT_READ.iter().find(|(known, _)| !known.is_empty() && is_close(known, group))?;
    let detail = format!("there is no API group '{group}'; is {meant} meant?");
    Some(Problem::error(file, "unknown-group", "apiVersion", detail))
}

/// Whether the group has this version.
fn is_version_known(object: &Json) -> bool {
    let written = text(object, "apiVersion");
    let (group, version) = written.rsplit_once('/').unwrap_or(("", written));
    let versions = VERSIONS.iter().find(|(known, _)| *known == group).map(|(_, versions)| *versions);
    versions.is_none_or(|versions| versions.contains(&version))
}

fn group_and_kind(object: &Json) -> (&str, &str) {
    let group = text(object, "apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    (group, text(object, "kind"))
}

fn known(group: &str, kind: &str) -> Option<Kind> {
    KINDS.iter().find(|(known, name, _)| *known == group && *name == kind).map(|(_, _, kind)| *kind)
}

fn is_named(object: &Json) -> bool {
    !text(object.get("metadata").unwrap_or(&Json::Null), "name").is_empty()
}

/// Kinds that belong to no namespace.
fn is_cluster_wide(kind: Kind) -> bool {
    matches!(kind, Kind::Namespace | Kind::Node)
}

/// Whether some rule reads an annotation of that name: Istio's, and users and groups of a namespace on OpenShift.
#[must_use]
pub fn is_read_annotation(name: &str) -> bool {
    name.contains("istio.io") || name.starts_with("openshift.io/sa.scc.")
}

fn meta(object: &Json, kind: Kind, context: &Context) -> Meta {
    let metadata = object.get("metadata").unwrap_or(&Json::Null);
    let namespace = match text(metadata, "namespace") {
        _ if is_cluster_wide(kind) => "",
        "" => "default",
        written => written,
    };
    let key = Key {
        cluster: context.cluster.clone(),
        kind,
        namespace: namespace.into(),
        name: text(metadata, "name").into(),
    };
    Meta {
        key,
        created: created(text(metadata, "creationTimestamp")),
        labels: labels(metadata.get("labels"), |_| true),
        annotations: labels(metadata.get("annotations"), is_read_annotation),
        api_version: text(object, "apiVersion").into(),
    }
}

/// What of an object's metadata is left out because it is of the wrong type: an API server turns such an object
/// away. Kubernetes' own kinds are decoded whole, metadata included, and need no look of their own.
fn tell_metadata(object: &Json, key: &Key, problems: &mut Vec<Problem>) {
    let metadata = object.get("metadata").unwrap_or(&Json::Null);
    let mut tell = |code, field: String, detail: &str, outcome: &str| {
        problems.push(Problem::error(key, code, field, detail).with_outcome(outcome));
    };
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            None | Some(Json::Null) => {}
            Some(Json::Object(pairs)) => {
                for (name, _) in pairs.iter().filter(|(_, value)| !value.is_string()) {
                    let detail = "a value here is text, in quotes if it looks like anything else";
                    tell("wrong-type", format!("metadata.{field}.{name}"), detail, "it is left out");
                }
            }
            Some(_) => {
                let detail = "names with values are expected here";
                tell("wrong-type", format!("metadata.{field}"), detail, "it is left out");
            }
        }
    }
    if metadata.get("namespace").is_some_and(|value| !value.is_string() && !value.is_null()) {
        tell("wrong-type", "metadata.namespace".into(), "a namespace is text", "'default' is taken");
    }
    let stamp = metadata.get("creationTimestamp").filter(|value| !value.is_null());
    if stamp.is_some_and(|value| value.as_str().and_then(seconds).is_none()) {
        let detail = "a time is written 2026-01-31T12:00:00Z";
        let outcome = "the object counts as old as one without";
        tell("unreadable-time", "metadata.creationTimestamp".into(), detail, outcome);
    }
}

fn text<'a>(object: &'a Json, field: &str) -> &'a str {
    object.get(field).and_then(Json::as_str).unwrap_or_default()
}

fn created(stamp: &str) -> Created {
    Created(seconds(stamp).unwrap_or(0))
}

fn seconds(stamp: &str) -> Option<i64> {
    stamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

fn labels(map: Option<&Json>, keep: impl Fn(&str) -> bool) -> Labels {
    let pairs = map.and_then(Json::as_object).into_iter().flatten();
    pairs
        .filter(|(key, _)| keep(key))
        .filter_map(|(key, value)| Some((Text::from(key.as_str()), Text::from(value.as_str()?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() }
    }

    #[test]
    fn an_object_without_a_namespace_is_in_default() {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "a", "creationTimestamp": "1970-01-01T00:01:00Z"}, "spec": {}});
        let parsed = parse_object(&object, &context()).unwrap();
        assert_eq!(parsed.key.to_string(), "Service default/a");
    }

    #[test]
    fn other_kinds_are_left_alone() {
        let object = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment"});
        assert!(parse_object(&object, &context()).is_none());
        assert_eq!(why(&object), None);
    }

    fn why(object: &Json) -> Option<String> {
        let file = Key { cluster: "".into(), kind: Kind::File, namespace: "".into(), name: "a.yaml".into() };
        assert!(parse_object(object, &context()).is_none());
        unread(object, &file).map(|problem| problem.to_string())
    }

    #[test]
    fn what_is_not_read_is_told_where_it_is_a_mistake() {
        let of = |api_version: &str, kind: &str| {
            why(&serde_json::json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": 1}}))
        };
        let told = "kind: networking.istio.io has no kind 'VirtualServcie' [unknown-kind]";
        assert_eq!(of("networking.istio.io/v1", "VirtualServcie").as_deref(), Some(told));
        let told = "kind: Kubernetes' core has no kind 'service' [unknown-kind]";
        assert_eq!(of("v1", "service").as_deref(), Some(told));
        let told = "metadata.name: an object of kind Sidecar needs a name, which is text [no-name]";
        assert_eq!(of("networking.istio.io/v1", "Sidecar").as_deref(), Some(told));
        assert!(of("security.istio.io/v1", "AuthorizationPolicy").unwrap().ends_with("[kind-not-read]"));
        assert!(of("v1", "").unwrap().ends_with("[no-kind]"));
        let told = "apiVersion: there is no API group 'networkin.istio.io'; is networking.istio.io meant? \
                    [unknown-group]";
        assert_eq!(of("networkin.istio.io/v1", "Sidecar").as_deref(), Some(told));
        assert!(of("security.istoi.io/v1", "Sidecar").is_some());
        assert!(of("gateway.networking.k8s.io/v1", "HTTPRoute").unwrap().ends_with("[kind-not-read]"));
        for (api_version, kind) in [("networking.k8s.io/v1", "Ingress"), ("install.istio.io/v1", "x")] {
            assert_eq!(of(api_version, kind), None, "{kind}");
        }
        for (api_version, kind) in
            [("v1", "ConfigMap"), ("apps/v1", "Deploymnet"), ("v1", "List"), ("example.com/v1", "")]
        {
            assert_eq!(of(api_version, kind), None, "{kind}");
        }
        assert!(why(&serde_json::json!("plain text")).unwrap().ends_with("[no-object]"));
    }

    #[test]
    fn an_object_of_an_unknown_version_is_told_by_its_name() {
        let object = serde_json::json!({"apiVersion": "networking.istio.io/v9", "kind": "Sidecar",
            "metadata": {"name": "a", "namespace": "n"}, "spec": {}});
        let parsed = parse_object(&object, &context()).unwrap();
        assert!(parsed.value.is_none());
        let told: Vec<_> = parsed.problems.iter().map(Problem::to_string).collect();
        let expected = "Sidecar n/a: apiVersion: there is no version 'networking.istio.io/v9' of Sidecar \
                        [unknown-version]";
        assert_eq!(told, [expected]);
    }

    #[test]
    fn an_object_of_no_version_is_refused_whatever_its_kind() {
        for kind in ["Service", "Pod", "Namespace"] {
            let object = serde_json::json!({"kind": kind, "metadata": {"name": "a"}, "spec": {}});
            let parsed = parse_object(&object, &context()).unwrap();
            assert!(parsed.value.is_none(), "{kind}");
            let told: Vec<_> =
                parsed.problems.iter().map(|problem| (problem.code, &*problem.field)).collect();
            assert_eq!(told, [("no-version", "apiVersion")], "{kind}");
        }
        // Without a group it cannot be told which kind is meant.
        for kind in ["EndpointSlice", "Sidecar", "Deployment"] {
            let object = serde_json::json!({"kind": kind, "metadata": {"name": "a"}, "spec": {}});
            assert!(why(&object).unwrap().ends_with("[no-kind]"), "{kind}");
        }
    }

    #[test]
    fn metadata_of_the_wrong_type_is_left_out_and_told() {
        let object = serde_json::json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {
            "name": "a", "creationTimestamp": "yesterday", "labels": {"version": 1, "app": "a"},
            "annotations": ["x"]}, "spec": {}});
        let parsed = parse_object(&object, &context()).unwrap();
        let fields: Vec<_> = parsed.problems.iter().map(|problem| (problem.code, &*problem.field)).collect();
        assert_eq!(
            fields,
            [
                ("unreadable-time", "metadata.creationTimestamp"),
                ("wrong-type", "metadata.annotations"),
                ("wrong-type", "metadata.labels.version"),
            ]
        );
        assert!(parsed.value.is_some());
    }
}
