//! A mesh and a proxy in it, and what the proxy is told of clusters, endpoints and inbound listeners.

use memo::Shared;
use mesh::{ClusterProfile, Config, EndpointProfile, ListenerProfile, Member, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_mesh_config, parse_object};
use model::settings::Settings;
use model::{Change, Key, Kind, Proxy};
use serde_json::{Value, json};
use translate::{Memos, clusters, endpoints, listeners};

/// A mesh and a proxy in it.
pub(crate) struct World {
    config: Config,
    proxy: Shared<Proxy>,
}

impl World {
    /// A mesh of these objects, with a sidecar at `10.0.0.1` in namespace `a`.
    pub(crate) fn new(objects: &[Value]) -> Self {
        let mut world =
            Self { config: Config::default(), proxy: proxy("sidecar", &json!({})) }.mesh(json!({}));
        for object in objects {
            let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
            let parsed = parse_object(object, &context).unwrap();
            assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
            let (key, value) = (parsed.key, parsed.value);
            world.config.apply(Change { key, value, origin: Default::default(), problems: Vec::new() });
        }
        world
    }

    pub(crate) fn mesh(mut self, written: Value) -> Self {
        let (cluster, kind) = ("Kubernetes".into(), Kind::MeshConfig);
        let key = Key { cluster, kind, namespace: "istio-system".into(), name: "istio".into() };
        let mesh = parse_mesh_config(&written, &key, &mut Vec::new()).unwrap();
        self.config.mesh = Shared::new(mesh);
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = (*self.config.settings).clone();
        change(&mut settings);
        self.config.settings = Shared::new(settings);
        self
    }

    /// Another proxy, of this kind and with this metadata.
    pub(crate) fn proxy(mut self, kind: &str, metadata: Value) -> Self {
        self.proxy = proxy(kind, &metadata);
        self
    }

    fn member(&self) -> (Snapshot, Member) {
        let snapshot = Snapshot::default().next(self.config.clone());
        let member = snapshot.member(&self.proxy);
        (snapshot, member)
    }

    /// The clusters, outbound ones first.
    pub(crate) fn clusters(&self) -> Vec<Value> {
        let (snapshot, member) = self.member();
        let memos = Memos::default();
        let outbound = clusters::OutboundInputs {
            scope: member.scope.clone(),
            profile: Shared::new(ClusterProfile::of(&member)),
            facts: snapshot.endpoints.facts.clone(),
            authn: snapshot.authn.clone(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        let inbound = clusters::InboundInputs {
            targets: member.targets.clone(),
            scope: member.scope.clone(),
            profile: Shared::new(ListenerProfile::of(&member)),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        let mut all = clusters::outbound(&outbound, &memos.clusters);
        all.extend(clusters::inbound(&inbound, &memos.clusters));
        all.iter().map(|one| decode(envoy_api::type_url::CLUSTER, one)).collect()
    }

    /// The names of the clusters.
    pub(crate) fn names(&self) -> Vec<String> {
        self.clusters().iter().map(|cluster| text(&cluster["name"]).to_owned()).collect()
    }

    /// The cluster whose name begins so; `null` if there is none.
    pub(crate) fn cluster(&self, name: &str) -> Value {
        let named = |cluster: &Value| text(&cluster["name"]).starts_with(name);
        self.clusters().into_iter().find(named).unwrap_or_default()
    }

    /// What a path says of the cluster whose name begins so.
    pub(crate) fn of(&self, name: &str, path: &str) -> Value {
        self.cluster(name).pointer(path).cloned().unwrap_or_default()
    }

    /// The localities of the cluster whose name begins so, from its endpoint resource.
    pub(crate) fn localities(&self, name: &str) -> Vec<String> {
        let (snapshot, member) = self.member();
        let inputs = endpoints::Inputs {
            scope: member.scope.clone(),
            profile: Shared::new(EndpointProfile::of(&member)),
            authn: snapshot.authn.clone(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        let memos = Memos::default();
        let of = |at: usize| {
            let service = &inputs.scope.services[at].service;
            let found = snapshot.endpoints.of(&service.host, &service.namespace);
            endpoints::of_service(&inputs, at, found, &memos.endpoints)
        };
        let all = (0..inputs.scope.services.len()).flat_map(of);
        let named = all.into_iter().find(|one| one.name.starts_with(name));
        named.map(|one| told(&decode(envoy_api::type_url::ENDPOINT, &one))).unwrap_or_default()
    }

    /// The localities that stand in the cluster whose name begins so.
    pub(crate) fn embedded(&self, name: &str) -> Vec<String> {
        told(&self.of(name, "/loadAssignment"))
    }

    /// A listener by its name.
    pub(crate) fn listener(&self, name: &str) -> Value {
        let (snapshot, member) = self.member();
        let inputs = listeners::Inputs {
            profile: Shared::new(ListenerProfile::of(&member)),
            scope: member.scope.clone(),
            targets: member.targets.clone(),
            workload_authn: member.authn.clone(),
            gateway: None,
            collectors: snapshot.collectors.clone(),
            facts: snapshot.endpoints.facts.clone(),
            routes: Shared::default(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        let all = listeners::sidecar(&inputs, &Memos::default().listeners);
        let named = all.iter().find(|one| &*one.name == name);
        named.map_or(Value::Null, |one| decode(envoy_api::type_url::LISTENER, one))
    }
}

fn proxy(kind: &str, metadata: &Value) -> Shared<Proxy> {
    let id = format!("{kind}~10.0.0.1~client.a~a.svc.cluster.local");
    let mut all = json!({"ISTIO_VERSION": "1.32.0", "CLUSTER_ID": "Kubernetes", "NAMESPACE": "a"});
    for (name, value) in metadata.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let metadata = all.as_object().cloned().unwrap_or_default();
    Shared::new(parse_node(&Node { id, metadata, ..Node::default() }).unwrap())
}

fn decode(url: &'static str, resource: &envoy_api::Resource) -> Value {
    envoy_api::json::resource(url, &resource.body.to_bytes())
}

/// Localities, one a line: `priority region/zone/subzone weight: address=weight health …`.
fn told(assignment: &Value) -> Vec<String> {
    let locality = |one: &Value| {
        let place = ["region", "zone", "subZone"].map(|part| text(&one["locality"][part]));
        let endpoints: Vec<String> = list(&one["lbEndpoints"]).map(endpoint).collect();
        let place = place.join("/");
        let place = place.trim_end_matches('/');
        let (priority, weight) = (&one["priority"], &one["loadBalancingWeight"]);
        format!("{} {place} {weight}: {}", priority.as_u64().unwrap_or_default(), endpoints.join(" "))
    };
    list(&assignment["endpoints"]).map(locality).collect()
}

fn endpoint(one: &Value) -> String {
    let address = text(&one["endpoint"]["address"]["socketAddress"]["address"]);
    let health = text(&one["healthStatus"]).to_lowercase();
    if health.is_empty() { address.to_owned() } else { format!("{address}({health})") }
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A Kubernetes Service in namespace `a`; the names of ports tell their protocols.
pub(crate) fn service(name: &str, ports: &[(&str, u16)]) -> Value {
    let port = |(name, port): &(&str, u16)| json!({"name": name, "port": port});
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name},
        "spec": {"clusterIP": "10.1.0.1", "clusterIPs": ["10.1.0.1"], "ports": ports}})
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

/// A ServiceEntry `<name>.com` with port 80.
pub(crate) fn entry(name: &str, more: &Value) -> Value {
    let mut spec = json!({"hosts": [format!("{name}.com")],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]});
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    istio("ServiceEntry", name, spec)
}

/// A DestinationRule.
pub(crate) fn rule(host: &str, policy: &Value, subsets: &Value) -> Value {
    istio("DestinationRule", "rule", json!({"host": host, "trafficPolicy": policy, "subsets": subsets}))
}
