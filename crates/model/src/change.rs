//! A change of one object, and who is calling.

use std::sync::Arc;

use crate::networking::{
    DestinationRule, Gateway, PeerAuthentication, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
};
use crate::{Key, Problem, Text, kube, mesh_config::MeshConfig, proxy_config::ProxyConfigObject};

/// The newest state of one object: a value, or `None` once it is gone.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object.
    pub key: Key,
    /// What it is now.
    pub value: Option<Value>,
    /// Where it came from; no part of its equality.
    pub origin: Arc<Origin>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A parsed object, shared by all who keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the kind's own name")]
pub enum Value {
    MeshConfig(Arc<MeshConfig>),
    Namespace(Arc<kube::Namespace>),
    Node(Arc<kube::Node>),
    Service(Arc<kube::Service>),
    EndpointSlice(Arc<kube::EndpointSlice>),
    Pod(Arc<kube::Pod>),
    ServiceEntry(Arc<ServiceEntry>),
    WorkloadEntry(Arc<WorkloadEntry>),
    Sidecar(Arc<Sidecar>),
    Gateway(Arc<Gateway>),
    VirtualService(Arc<VirtualService>),
    DestinationRule(Arc<DestinationRule>),
    PeerAuthentication(Arc<PeerAuthentication>),
    ProxyConfig(Arc<ProxyConfigObject>),
}

/// Where an object came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, empty if it was read from an API server.
    pub file: Text,
    /// The line on which its document begins, from 1; 0 if unknown.
    pub line: u32,
    /// `metadata.resourceVersion`, may be empty.
    pub resource_version: Text,
    /// The object as received, compact JSON, for configz and messages; `None` for kinds not kept.
    pub object: Option<Text>,
}

impl Origin {
    /// The object as received, if it was kept.
    #[must_use]
    pub fn written(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.object.as_ref()?).ok()
    }
}

/// Who is calling, verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The trust domain.
    pub trust_domain: Text,
    /// The namespace.
    pub namespace: Text,
    /// The service account.
    pub service_account: Text,
}
