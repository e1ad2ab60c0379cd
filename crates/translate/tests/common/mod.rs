//! A mesh as a user edits it, the objects that it is made of, and the listeners that a sidecar is told.

use memo::Shared;
use mesh::{Config, ListenerProfile, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::{Memos, listeners};

/// A mesh under edit, and a proxy in it.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) snapshot: Snapshot,
    pub(crate) proxy: Shared<Proxy>,
    pub(crate) memos: Memos,
}

impl World {
    /// A mesh of these objects, seen by this proxy.
    pub(crate) fn seen_by(proxy: Shared<Proxy>, objects: &[Value]) -> Self {
        let (config, snapshot, memos) = (Config::default(), Snapshot::default(), Memos::default());
        let mut world = Self { config, snapshot, proxy, memos };
        world.apply(objects);
        world
    }

    /// Puts objects, and takes over whatever else of the config is another one.
    pub(crate) fn apply(&mut self, objects: &[Value]) {
        for object in objects {
            let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
            let parsed = parse_object(object, &context).unwrap();
            assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
            let (key, value) = (parsed.key, parsed.value);
            self.config.apply(Change { key, value, origin: Default::default(), problems: Vec::new() });
        }
        self.snapshot = self.snapshot.next(self.config.clone());
    }

    /// The listeners of a sidecar.
    pub(crate) fn listeners(&self, proxy: &Shared<Proxy>) -> Vec<Shared<envoy_api::Resource>> {
        let member = self.snapshot.member(proxy);
        let inputs = listeners::Inputs {
            profile: Shared::new(ListenerProfile::of(&member)),
            scope: member.scope.clone(),
            targets: member.targets.clone(),
            workload_authn: member.authn.clone(),
            gateway: None,
            facts: self.snapshot.endpoints.facts.clone(),
            collectors: self.snapshot.collectors.clone(),
            routes: Shared::default(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        listeners::sidecar(&inputs, &self.memos.listeners)
    }

    /// The proxy's listener of this name in JSON; `null` if there is none.
    pub(crate) fn listener(&self, name: &str) -> Value {
        let all = self.listeners(&self.proxy);
        let named = all.iter().find(|one| &*one.name == name);
        named.map_or(Value::Null, |one| decode(envoy_api::type_url::LISTENER, one))
    }
}

/// A proxy at `10.0.0.1`.
pub(crate) fn proxy(kind: &str, namespace: &str, metadata: &Value) -> Shared<Proxy> {
    let id = format!("{kind}~10.0.0.1~client.{namespace}~{namespace}.svc.cluster.local");
    let metadata = metadata.as_object().cloned().unwrap_or_default();
    Shared::new(parse_node(&Node { id, metadata, ..Node::default() }).unwrap())
}

/// A resource in JSON.
pub(crate) fn decode(url: &'static str, resource: &envoy_api::Resource) -> Value {
    envoy_api::json::resource(url, &resource.body.to_bytes())
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A Kubernetes Service in namespace `a`; the names of ports tell their protocols.
pub(crate) fn service(name: &str, ip: &str, ports: &[(&str, u16)]) -> Value {
    let port = |(name, port): &(&str, u16)| json!({"name": name, "port": port});
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports}})
}

/// The endpoints of a Service: addresses and whether they are ready.
pub(crate) fn slice(service: &str, port: (&str, u16), endpoints: &[(&str, bool)]) -> Value {
    let endpoint = |(address, ready): &(&str, bool)| json!({"addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": false}});
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": service, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints, "ports": [{"name": port.0, "port": port.1}]})
}

/// An object of Istio's networking API in namespace `a`.
pub(crate) fn istio(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "spec": spec,
        "metadata": {"namespace": "a", "name": name}})
}

/// A ServiceEntry `<name>.com`, with port 80 if nothing else is said.
pub(crate) fn entry(name: &str, more: &Value) -> Value {
    let mut spec = json!({"hosts": [format!("{name}.com")],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    istio("ServiceEntry", name, spec)
}
