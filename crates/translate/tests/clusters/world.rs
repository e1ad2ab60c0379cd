//! What a proxy is told of clusters and endpoints.

use memo::Shared;
use mesh::{ClusterProfile, EndpointProfile, ListenerProfile};
use model::parse::parse_mesh_config;
use model::settings::Settings;
use model::{Key, Kind, Proxy};
use serde_json::{Value, json};
use translate::{clusters, endpoints};

use crate::common::{World, decode, istio, list, text};

impl World {
    /// A mesh of these objects, seen by a sidecar in namespace `a`.
    pub(crate) fn new(objects: &[Value]) -> Self {
        Self::seen_by(proxy("sidecar", &json!({})), objects).mesh(json!({}))
    }

    pub(crate) fn mesh(mut self, written: Value) -> Self {
        let (cluster, kind) = ("Kubernetes".into(), Kind::MeshConfig);
        let key = Key { cluster, kind, namespace: "istio-system".into(), name: "istio".into() };
        let mesh = parse_mesh_config(&written, &key, &mut Vec::new()).unwrap();
        self.config.mesh = Shared::new(mesh);
        self.apply(&[]);
        self
    }

    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = (*self.config.settings).clone();
        change(&mut settings);
        self.config.settings = Shared::new(settings);
        self.apply(&[]);
        self
    }

    /// Another proxy, of this kind and with this metadata.
    pub(crate) fn proxy(mut self, kind: &str, metadata: Value) -> Self {
        self.proxy = proxy(kind, &metadata);
        self
    }

    /// The clusters, outbound ones first.
    pub(crate) fn clusters(&self) -> Vec<Value> {
        let (snapshot, memos) = (&self.snapshot, &self.memos);
        let member = snapshot.member(&self.proxy);
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
        let (snapshot, memos) = (&self.snapshot, &self.memos);
        let member = snapshot.member(&self.proxy);
        let inputs = endpoints::Inputs {
            scope: member.scope.clone(),
            profile: Shared::new(EndpointProfile::of(&member)),
            authn: snapshot.authn.clone(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
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
}

/// A proxy of a known version in namespace `a`.
fn proxy(kind: &str, metadata: &Value) -> Shared<Proxy> {
    let mut all = json!({"ISTIO_VERSION": "1.32.0", "CLUSTER_ID": "Kubernetes", "NAMESPACE": "a"});
    for (name, value) in metadata.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    crate::common::proxy(kind, "a", &all)
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

/// A Kubernetes Service in namespace `a` with some address.
pub(crate) fn service(name: &str, ports: &[(&str, u16)]) -> Value {
    crate::common::service(name, "10.1.0.1", ports)
}

/// A DestinationRule.
pub(crate) fn rule(host: &str, policy: &Value, subsets: &Value) -> Value {
    istio("DestinationRule", "rule", json!({"host": host, "trafficPolicy": policy, "subsets": subsets}))
}
