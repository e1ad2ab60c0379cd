//! Which kinds of object are watched, and what of each is kept.

use kube::discovery::ApiResource;
use model::Kind;
use model::kube::is_mesh_folder;
use model::parse::is_read_annotation;
use serde_json::{Map, Value as Json};

/// How an API server serves a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    /// Its name in paths.
    pub(super) plural: &'static str,
    /// Versions that are read alike, the best first; an old installation has only old ones.
    pub(super) versions: &'static [&'static str],
    /// What of it is asked for.
    pub(super) fields: Option<&'static str>,
}

/// All kinds that are watched. What is missing here is told by [`served`], which knows every kind.
pub(super) const WATCHED: [Kind; 13] = [
    Kind::Namespace,
    Kind::Node,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Pod,
    Kind::ServiceEntry,
    Kind::WorkloadEntry,
    Kind::Sidecar,
    Kind::Gateway,
    Kind::VirtualService,
    Kind::DestinationRule,
    Kind::PeerAuthentication,
    Kind::ProxyConfig,
];

const CORE: Served = Served { group: "", kind: "", plural: "", versions: &["v1"], fields: None };
const NETWORKING: Served =
    Served { group: "networking.istio.io", versions: &["v1", "v1beta1", "v1alpha3"], ..CORE };
const SECURITY: Served = Served { group: "security.istio.io", versions: &["v1", "v1beta1"], ..CORE };

/// How a kind is served; nothing for what is no kind of object. A kind that is added goes into [`WATCHED`] too.
pub(super) fn served(kind: Kind) -> Option<Served> {
    let (of, plural) = match kind {
        Kind::File | Kind::MeshConfig => return None,
        Kind::Namespace => (CORE, "namespaces"),
        Kind::Node => (CORE, "nodes"),
        Kind::Service => (CORE, "services"),
        Kind::EndpointSlice => (Served { group: "discovery.k8s.io", ..CORE }, "endpointslices"),
        // istiod asks for the same ones: there may be very many that have failed.
        Kind::Pod => (Served { fields: Some("status.phase!=Failed"), ..CORE }, "pods"),
        Kind::ServiceEntry => (NETWORKING, "serviceentries"),
        Kind::WorkloadEntry => (NETWORKING, "workloadentries"),
        Kind::Sidecar => (NETWORKING, "sidecars"),
        Kind::Gateway => (NETWORKING, "gateways"),
        Kind::VirtualService => (NETWORKING, "virtualservices"),
        Kind::DestinationRule => (NETWORKING, "destinationrules"),
        Kind::PeerAuthentication => (SECURITY, "peerauthentications"),
        Kind::ProxyConfig => (NETWORKING, "proxyconfigs"),
    };
    Some(Served { kind: kind.as_str(), plural, ..of })
}

impl Served {
    /// Whether it is defined by a CustomResourceDefinition of Istio's, which may be missing.
    pub(super) fn is_custom(&self) -> bool {
        self.group.ends_with("istio.io")
    }

    /// `group/version`, or the version alone for the core group.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// How kube asks for a version of it.
    pub(super) fn resource(&self, version: &str) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version(version),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// Takes away what of Kubernetes' own kinds nothing here reads and what changes all the time: a heartbeat of a
    /// node is no change then. Istio's kinds are shown as they were received.
    pub(super) fn trim(&self, object: &mut Map<String, Json>) {
        if self.is_custom() {
            return;
        }
        if let Some(metadata) = object_of("metadata")(object) {
            drop_all(metadata, &["finalizers", "generation", "resourceVersion", "selfLink", "uid"]);
            if let Some(Json::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.retain(|name, _| is_read_annotation(name));
            }
        }
        match self.kind {
            "Namespace" => drop_all(object, &["spec", "status"]),
            "Node" => trim_node(object),
            "Pod" => trim_pod(object),
            "EndpointSlice" => trim_slice(object),
            _ => {}
        }
    }
}

fn object_of(name: &str) -> impl Fn(&mut Map<String, Json>) -> Option<&mut Map<String, Json>> + '_ {
    move |object| object.get_mut(name)?.as_object_mut()
}

fn drop_all(object: &mut Map<String, Json>, fields: &[&str]) {
    object.retain(|field, _| !fields.contains(&field.as_str()));
}

/// A node's status is its heartbeat, and the version of its kubelet.
fn trim_node(node: &mut Map<String, Json>) {
    drop_all(node, &["spec"]);
    let Some(status) = object_of("status")(node) else { return };
    status.retain(|field, _| field == "nodeInfo");
    if let Some(info) = object_of("nodeInfo")(status) {
        info.retain(|field, _| field == "kubeletVersion");
    }
}

/// Most of a pod is how it is run.
fn trim_pod(pod: &mut Map<String, Json>) {
    const RUN: [&str; 8] = [
        "affinity",
        "ephemeralContainers",
        "imagePullSecrets",
        "nodeSelector",
        "readinessGates",
        "securityContext",
        "tolerations",
        "topologySpreadConstraints",
    ];
    if let Some(spec) = object_of("spec")(pod) {
        drop_all(spec, &RUN);
        trim_volumes(spec);
        for list in ["containers", "initContainers"] {
            for container in objects(spec, list) {
                container.retain(|field, _| {
                    matches!(field.as_str(), "name" | "ports" | "restartPolicy" | "volumeMounts")
                });
            }
        }
    }
    if let Some(status) = object_of("status")(pod) {
        status.retain(|field, _| matches!(field.as_str(), "conditions" | "phase" | "podIP" | "podIPs"));
        for condition in objects(status, "conditions") {
            condition.retain(|field, _| matches!(field.as_str(), "type" | "status"));
        }
    }
}

/// Leaves of volumes only what a proxy finds its mesh's configuration in; most pods have none.
fn trim_volumes(spec: &mut Map<String, Json>) {
    for container in objects(spec, "initContainers") {
        container.remove("volumeMounts");
    }
    let mut mounted = Vec::new();
    for container in objects(spec, "containers") {
        let mounts = container.remove("volumeMounts").and_then(|mounts| mounts.as_array().cloned());
        let is_mesh = |mount: &Json| mount["mountPath"].as_str().is_some_and(is_mesh_folder);
        if let Some(mount) = mounts.into_iter().flatten().find(is_mesh) {
            mounted.push(mount["name"].clone());
            container.insert("volumeMounts".to_owned(), Json::Array(vec![mount]));
        }
    }
    let is_kept = |volume: &Json| mounted.contains(&volume["name"]) && volume.get("configMap").is_some();
    let volumes = spec.remove("volumes").and_then(|volumes| volumes.as_array().cloned());
    let volumes: Vec<Json> = volumes.into_iter().flatten().filter(is_kept).collect();
    if !volumes.is_empty() {
        spec.insert("volumes".to_owned(), Json::Array(volumes));
    }
}

fn trim_slice(slice: &mut Map<String, Json>) {
    if let Some(metadata) = object_of("metadata")(slice) {
        drop_all(metadata, &["generateName", "ownerReferences"]);
    }
    for endpoint in objects(slice, "endpoints") {
        if let Some(target) = object_of("targetRef")(endpoint) {
            drop_all(target, &["resourceVersion", "uid"]);
        }
    }
}

fn objects<'a>(
    object: &'a mut Map<String, Json>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Json>> {
    let items = object.get_mut(list).and_then(Json::as_array_mut);
    items.into_iter().flatten().filter_map(Json::as_object_mut)
}

#[cfg(test)]
mod tests {
    use model::parse::{Context, parse_object};
    use serde_json::json;

    use super::*;

    fn context() -> Context {
        Context { cluster: "c".into(), domain: "cluster.local".into() }
    }

    #[test]
    fn every_kind_that_is_watched_is_read_in_every_version() {
        for kind in WATCHED {
            let served = served(kind).unwrap();
            for version in served.versions {
                let object = json!({"apiVersion": served.api_version(version), "kind": served.kind,
                    "metadata": {"name": "a"}});
                assert_eq!(parse_object(&object, &context()).map(|parsed| parsed.key.kind), Some(kind));
            }
        }
    }

    #[test]
    fn what_is_trimmed_makes_no_difference() {
        let metadata = json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 3,
            "generateName": "a-", "labels": {"app": "a", "pod-template-hash": "x",
            "kubernetes.io/service-name": "s", "topology.kubernetes.io/zone": "z"}, "annotations": {"other": "x",
            "sidecar.istio.io/y": "z"}, "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["f"],
            "deletionTimestamp": "2026-01-02T00:00:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "d-x", "uid": "v",
            "controller": true}]});
        let container = json!({"name": "c", "image": "i", "env": [{"name": "x"}], "restartPolicy": "Always",
            "ports": [{"name": "http", "containerPort": 80}], "readinessProbe": {"httpGet": {"port": 1}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "m", "mountPath": "/etc/istio/config"}]});
        let pod_spec = json!({"serviceAccountName": "s", "nodeName": "n", "hostname": "h", "subdomain": "d",
            "hostNetwork": true, "containers": [container], "initContainers": [container],
            "volumes": [{"name": "v", "configMap": {"name": "v"}}, {"name": "m", "configMap": {"name": "istio"}}],
            "tolerations": [{}], "nodeSelector": {"a": "b"}});
        let pod_status = json!({"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "::1"}],
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}], "containerStatuses": []});
        let endpoints = json!([{"addresses": ["10.0.0.1"], "nodeName": "n", "zone": "z", "conditions":
            {"ready": true, "serving": true, "terminating": false}, "hints": {"forZones": [{"name": "z"}]},
            "targetRef": {"kind": "Pod", "namespace": "n", "name": "p", "uid": "u", "resourceVersion": "2"}}]);
        let node_info = json!({"kubeletVersion": "v1.33.1", "kernelVersion": "6"});
        let service = json!({"clusterIPs": ["10.1.0.1"], "ports": [{"name": "http", "port": 80}], "selector":
            {"a": "b"}, "externalIPs": ["1.1.1.1"], "internalTrafficPolicy": "Local"});
        for (kind, fields) in [
            (Kind::Pod, json!({"spec": pod_spec, "status": pod_status})),
            (
                Kind::EndpointSlice,
                json!({"addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 1}]}),
            ),
            (
                Kind::Service,
                json!({"spec": service, "status": {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}]}}}),
            ),
            (
                Kind::Node,
                json!({"spec": {"podCIDR": "x"}, "status": {"conditions": [], "nodeInfo": node_info}}),
            ),
            (Kind::Namespace, json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})),
        ] {
            let served = served(kind).unwrap();
            let mut object = fields.as_object().unwrap().clone();
            object.insert("apiVersion".into(), served.api_version("v1").into());
            object.insert("kind".into(), served.kind.into());
            object.insert("metadata".into(), metadata.clone());
            let whole = parse_object(&Json::Object(object.clone()), &context()).unwrap();
            let before = object.clone();
            served.trim(&mut object);
            assert_ne!(object, before, "{kind:?}");
            let trimmed = parse_object(&Json::Object(object), &context()).unwrap();
            assert_eq!(trimmed.value, whole.value, "{kind:?}");
        }
    }
}
