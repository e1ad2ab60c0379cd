//! An endpoint: an address of a service's workload.

use crate::{Labels, Text};

/// Whether an endpoint takes traffic; the numbers are Envoy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Health {
    /// Nothing is known (ServiceEntry endpoints).
    #[default]
    Unknown,
    /// Ready.
    Healthy,
    /// Not ready.
    Unhealthy,
    /// Ends, but serves those who are bound to it.
    Draining,
    /// Ends and does not serve; never sent.
    Terminating,
}

/// Whether an endpoint takes mutual TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsMode {
    /// Plaintext (`disabled`, or nothing said).
    #[default]
    Disabled,
    /// Istio's mutual TLS.
    Istio,
    /// Another word on the label, kept as it is.
    Other(Text),
}

impl TlsMode {
    /// From the label `security.istio.io/tlsMode`; absent is `Disabled`.
    pub fn from_label(value: Option<&str>) -> Self {
        match value {
            None | Some("" | "disabled") => Self::Disabled,
            Some("istio") => Self::Istio,
            Some(other) => Self::Other(other.into()),
        }
    }
}

/// An address of a service's workload, for one of the service's ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// IP addresses (first is the primary one); a DNS name for services resolved by name; a path for a
    /// Unix socket; empty if only a gateway of its network is known.
    pub addresses: Vec<Text>,
    /// The port; 0 on a Unix socket.
    pub port: u16,
    /// The name of the service's port.
    pub port_name: Text,
    /// The number of the service's port, by which name-resolved clusters group.
    pub service_port: u16,
    /// Facts of its workload; shared by the endpoints of a workload.
    pub workload: std::sync::Arc<EndpointWorkload>,
    /// Weight; 0 if not said (counts as 1).
    pub weight: u32,
    /// Whether it takes traffic.
    pub health: Health,
}

/// What an endpoint's workload is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointWorkload {
    /// Labels with topology labels added.
    pub labels: Labels,
    /// Its namespace.
    pub namespace: Text,
    /// The workload's name (deployment), may be empty.
    pub workload: Text,
    /// SPIFFE identity, may be empty.
    pub identity: Text,
    /// Whether it takes mutual TLS.
    pub tls_mode: TlsMode,
    /// Its network, may be empty.
    pub network: Text,
    /// The cluster that it is in.
    pub cluster: Text,
    /// `region/zone/subzone`, may be empty.
    pub locality: Text,
    /// Its machine, may be empty.
    pub node: Text,
    /// Host name within a subdomain (StatefulSets), may be empty.
    pub hostname: Text,
    /// Subdomain, may be empty.
    pub subdomain: Text,
}

impl Endpoint {
    /// The primary address; empty if there is none.
    pub fn address(&self) -> &str {
        self.addresses.first().map_or("", |address| address)
    }
}
