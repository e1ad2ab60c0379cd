//! One table per kind of object, each value already parsed.

use std::sync::Arc;

use memo::{Shared, Table};
use model::mesh_config::MeshConfig;
use model::networking::{
    DestinationRule, Gateway, PeerAuthentication, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
};
use model::proxy_config::ProxyConfigObject;
use model::settings::Settings;
use model::{Change, Key, Kind, Origin, Problem, Value, kube};

/// Everything that was read, by kind; cheap to clone.
///
/// A snapshot has its own, without the objects that discovery selectors hide.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each table is called after its kind")]
pub struct Config {
    pub settings: Shared<Settings>,
    pub mesh: Shared<MeshConfig>,
    pub namespaces: Table<Key, kube::Namespace>,
    pub nodes: Table<Key, kube::Node>,
    pub kube_services: Table<Key, kube::Service>,
    pub slices: Table<Key, kube::EndpointSlice>,
    pub pods: Table<Key, kube::Pod>,
    pub service_entries: Table<Key, ServiceEntry>,
    pub workload_entries: Table<Key, WorkloadEntry>,
    pub sidecars: Table<Key, Sidecar>,
    pub gateways: Table<Key, Gateway>,
    pub virtual_services: Table<Key, VirtualService>,
    pub destination_rules: Table<Key, DestinationRule>,
    pub peer_authentications: Table<Key, PeerAuthentication>,
    pub proxy_configs: Table<Key, ProxyConfigObject>,
    /// Where each object came from and what is wrong with it; a new origin is no change of the mesh.
    pub origins: Table<Key, Record>,
}

/// What is kept beside a value, outside its equality.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Puts the newest state of one object in; answers whether a value has changed.
    pub fn apply(&mut self, change: Change) -> bool {
        let Change { key, value, origin, problems } = change;
        let record = (value.is_some() || !problems.is_empty()).then_some(Record { origin, problems });
        self.origins.set(key.clone(), record);
        match value {
            Some(value) => self.put(key, value),
            None => self.remove(&key),
        }
    }

    fn put(&mut self, key: Key, value: Value) -> bool {
        match value {
            Value::MeshConfig(mesh) => {
                let next = self.mesh.or_same(mesh);
                let changed = next != self.mesh;
                self.mesh = next;
                changed
            }
            Value::Namespace(value) => self.namespaces.put(key, value),
            Value::Node(value) => self.nodes.put(key, value),
            Value::Service(value) => self.kube_services.put(key, value),
            Value::EndpointSlice(value) => self.slices.put(key, value),
            Value::Pod(value) => self.pods.put(key, value),
            Value::ServiceEntry(value) => self.service_entries.put(key, value),
            Value::WorkloadEntry(value) => self.workload_entries.put(key, value),
            Value::Sidecar(value) => self.sidecars.put(key, value),
            Value::Gateway(value) => self.gateways.put(key, value),
            Value::VirtualService(value) => self.virtual_services.put(key, value),
            Value::DestinationRule(value) => self.destination_rules.put(key, value),
            Value::PeerAuthentication(value) => self.peer_authentications.put(key, value),
            Value::ProxyConfig(value) => self.proxy_configs.put(key, value),
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        match key.kind {
            Kind::MeshConfig => {
                let next = self.mesh.or_same(MeshConfig::default());
                let changed = next != self.mesh;
                self.mesh = next;
                changed
            }
            Kind::File => false,
            Kind::Namespace => self.namespaces.remove(key),
            Kind::Node => self.nodes.remove(key),
            Kind::Service => self.kube_services.remove(key),
            Kind::EndpointSlice => self.slices.remove(key),
            Kind::Pod => self.pods.remove(key),
            Kind::ServiceEntry => self.service_entries.remove(key),
            Kind::WorkloadEntry => self.workload_entries.remove(key),
            Kind::Sidecar => self.sidecars.remove(key),
            Kind::Gateway => self.gateways.remove(key),
            Kind::VirtualService => self.virtual_services.remove(key),
            Kind::DestinationRule => self.destination_rules.remove(key),
            Kind::PeerAuthentication => self.peer_authentications.remove(key),
            Kind::ProxyConfig => self.proxy_configs.remove(key),
        }
    }
}
