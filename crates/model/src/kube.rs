//! What is read of Kubernetes' own objects.

use std::net::IpAddr;

use crate::endpoint::Health;
use crate::key::Meta;
use crate::service::TargetPort;
use crate::{Host, Labels, Text};

/// A Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Identity, labels, annotations.
    pub meta: Meta,
}

/// A Node: where pods take their locality from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Identity and the labels that say where it is (`topology.*`, `failure-domain.*`).
    pub meta: Meta,
    /// The version of its kubelet (`status.nodeInfo.kubeletVersion`), which says what its pods may be; may be empty.
    pub kubelet: Text,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum ServiceType {
    #[default]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A Service as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Identity, labels, annotations.
    pub meta: Meta,
    /// Its type.
    pub kind: ServiceType,
    /// `clusterIPs` (or `clusterIP`): empty if none was given, `None` as text for a headless one.
    pub cluster_ips: Vec<Text>,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Labels of its pods; `None` or empty selects nothing.
    pub selector: Option<Labels>,
    /// The other name, for type ExternalName.
    pub external_name: Option<Host>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `trafficDistribution`, as written.
    pub traffic_distribution: Option<Text>,
    /// `publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `externalIPs`, then addresses and names of the load balancer.
    pub external_addresses: Vec<Text>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its name, may be empty.
    pub name: Text,
    /// Its number.
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub transport: Text,
    /// `appProtocol`.
    pub app_protocol: Option<Text>,
    /// Where it leads.
    pub target: TargetPort,
    /// Its port on every Node, 0 if none.
    pub node_port: u16,
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Identity and labels.
    pub meta: Meta,
    /// The Service (`kubernetes.io/service-name`), may be empty.
    pub service: Text,
    /// Whether addresses are names (`addressType: FQDN`); such slices are left out by discovery.
    pub fqdn: bool,
    /// Name and number of its ports.
    pub ports: Vec<(Text, u16)>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its addresses.
    pub addresses: Vec<Text>,
    /// Conditions as written.
    pub ready: Option<bool>,
    /// Conditions as written.
    pub serving: Option<bool>,
    /// Conditions as written.
    pub terminating: Option<bool>,
    /// The Pod that it stands for: (namespace, name).
    pub pod: Option<(Text, Text)>,
    /// Its Node, may be empty.
    pub node: Text,
}

impl SliceEndpoint {
    /// Whether it takes traffic, for a service that does or does not support draining.
    pub fn health(&self, supports_draining: bool) -> Health {
        if self.ready.unwrap_or(true) {
            return Health::Healthy;
        }
        let (serving, terminating) = (self.serving.unwrap_or(true), self.terminating.unwrap_or(true));
        match (supports_draining && serving, terminating) {
            (true, true) => Health::Draining,
            (false, true) => Health::Terminating,
            _ => Health::Unhealthy,
        }
    }
}

/// A Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Identity, labels, annotations.
    pub meta: Meta,
    /// `podIP`, `podIPs`.
    pub ips: Vec<IpAddr>,
    /// Its service account.
    pub service_account: Text,
    /// Its Node, may be empty.
    pub node: Text,
    /// The workload's name by its owner (deployment for a ReplicaSet with a pod-template-hash …).
    pub workload: Text,
    /// Container ports (with those of native sidecars): name, number, transport.
    pub ports: Vec<(Text, u16, Text)>,
    /// `hostname`, may be empty.
    pub hostname: Text,
    /// `subdomain`, may be empty.
    pub subdomain: Text,
    /// The ConfigMap that its proxy finds its mesh's configuration in (mounted at `/etc/istio/config`), as gateways have it;
    /// may be empty.
    pub mesh_map: Text,
    /// Whether the condition Ready is true.
    pub ready: bool,
    /// Whether its phase is Succeeded or Failed.
    pub ended: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// `hostNetwork`.
    pub host_network: bool,
}

/// Whether it is there that a proxy looks for its mesh's configuration, as charts of gateways mount it.
pub fn is_mesh_folder(path: &str) -> bool {
    path.trim_end_matches('/') == "/etc/istio/config"
}
