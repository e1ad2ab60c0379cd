//! A service as the mesh sees it, whatever it was made from.

use std::collections::BTreeMap;

use crate::key::Created;
use crate::networking::ExportTo;
use crate::{Host, Key, Labels, Protocol, Text};

/// The address of a service that has none.
pub const UNSPECIFIED: &str = "0.0.0.0";

/// Where a service comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// How a proxy finds a service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// It is told them (ClusterIP services, ServiceEntry `STATIC`).
    Static,
    /// It resolves the endpoints' names and uses every address (`DNS`).
    Dns,
    /// It resolves the name and uses one address (`DNS_ROUND_ROBIN`).
    DnsRoundRobin,
    /// It sends to the address that was called (headless services, `NONE`).
    Passthrough,
    /// The service is another name of another one (ExternalName).
    Alias,
    /// It resolves the name that was called (`DYNAMIC_DNS`).
    DynamicDns,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePort {
    /// Its name; endpoints are matched by it.
    pub name: Text,
    /// Its number.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it leads on a workload.
    pub target: TargetPort,
}

/// The workload's port that a service port leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetPort {
    /// This number (that of the service port, if nothing was said).
    Number(u16),
    /// The container port of this name.
    Name(Text),
}

/// Which endpoints are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum TrafficDistribution {
    #[default]
    Any,
    PreferSameZone,
    PreferSameNode,
}

/// A service: a host with ports, and how its endpoints are found.
///
/// A ServiceEntry with several hosts or addresses makes one service per pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The host, such as `reviews.default.svc.cluster.local`.
    pub host: Host,
    /// Its namespace.
    pub namespace: Text,
    /// The Service's name; for a ServiceEntry the host.
    pub name: Text,
    /// The object that it was made from.
    pub object: Key,
    /// The object's age.
    pub created: Created,
    /// Where it comes from.
    pub registry: Registry,
    /// Its ports, in the order written.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Whether it is outside the mesh.
    pub external: bool,
    /// Its address, [`UNSPECIFIED`] if it has none; a CIDR for some ServiceEntries.
    pub address: Text,
    /// Addresses by cluster; empty for ServiceEntries.
    pub cluster_vips: BTreeMap<Text, Vec<Text>>,
    /// Addresses that the allocator gave: IPv4 and IPv6.
    pub auto_addresses: Vec<Text>,
    /// Identities declared by the object (not those of endpoints).
    pub accounts: Vec<Text>,
    /// The object's labels.
    pub labels: Labels,
    /// Who may see it; the mesh's default already applied.
    pub export_to: ExportTo,
    /// Labels of its workloads; `None` selects nothing (Kubernetes) or is no selector (ServiceEntry).
    pub selector: Option<Labels>,
    /// The other name, for an alias.
    pub external_name: Option<Host>,
    /// Whether only endpoints on the client's machine count (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// Which endpoints are preferred.
    pub traffic_distribution: TrafficDistribution,
    /// Whether endpoints that are not ready count.
    pub publish_not_ready: bool,
    /// Port → endpoints' port, for `NONE` with a target port.
    pub passthrough_target_ports: BTreeMap<u16, u16>,
    /// Whether clusters race the addresses of its name (`istio.io/connect-strategy`).
    pub race_connect: bool,
}

impl Service {
    /// The port of this number that is not UDP.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number && port.protocol != Protocol::Udp)
    }

    /// Headless: no address of its own, traffic goes to the address that was called.
    pub fn is_headless(&self) -> bool {
        self.resolution == Resolution::Passthrough && &*self.address == UNSPECIFIED
    }
}
