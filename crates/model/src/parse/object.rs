//! One API object: which kind it is, its metadata, and the parser it goes to.

use serde_json::Value as Json;

use super::{Context, kube, networking};
use crate::key::Meta;
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

/// An API object into the model; `None` if it is of a kind that is not read (or no object at all).
pub fn parse_object(object: &Json, context: &Context) -> Option<Parsed> {
    let api_version = text(object, "apiVersion");
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text(object, "kind");
    let (_, _, kind) = KINDS.iter().find(|(known, name, _)| *known == group && *name == kind)?;
    let meta = meta(object, *kind, api_version, context);
    let mut problems = Vec::new();
    let value = match group {
        "networking.istio.io" | "security.istio.io" => {
            networking::parse(&meta, object, context, &mut problems)
        }
        _ => kube::parse(&meta, object, &mut problems),
    };
    problems.sort();
    problems.dedup();
    Some(Parsed { key: meta.key, value, problems })
}

/// Kinds that belong to no namespace.
fn is_cluster_wide(kind: Kind) -> bool {
    matches!(kind, Kind::Namespace | Kind::Node)
}

fn meta(object: &Json, kind: Kind, api_version: &str, context: &Context) -> Meta {
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
        annotations: labels(metadata.get("annotations"), |key| key.contains("istio.io")),
        api_version: api_version.into(),
    }
}

fn text<'a>(object: &'a Json, field: &str) -> &'a str {
    object.get(field).and_then(Json::as_str).unwrap_or_default()
}

fn created(stamp: &str) -> Created {
    Created(stamp.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second))
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
    }
}
