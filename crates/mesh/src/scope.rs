//! What a namespace, Sidecar or gateway lets a proxy see.

use std::collections::BTreeMap;
use std::sync::Arc;

use memo::Shared;
use model::mesh_config::MeshConfig;
use model::networking::{EgressListener, OutboundTrafficPolicy, Sidecar, VirtualService};
use model::settings::Settings;
use model::{Host, Labels, Proxy, ProxyKind, Service, ServicePort, Text};

use crate::scope::listener::Listener;
use crate::scope::union::Union;
use crate::{MESH, MergedRule, RouteIndex, RuleIndex, ServiceIndex, Snapshot};

mod listener;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod union;

pub(crate) use union::destinations;

/// Everything a scope may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeInputs {
    /// The proxy's namespace; empty where it sees just what every namespace sees, so that all of those
    /// share one scope.
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

impl ScopeInputs {
    /// The inputs for a proxy with these labels.
    pub fn of(snapshot: &Snapshot, proxy: &Proxy, labels: &Labels) -> Self {
        let namespace = &proxy.namespace;
        let gateway = proxy.kind == ProxyKind::Router;
        let sidecar = if gateway { None } else { snapshot.sidecars.of(namespace, labels).cloned() };
        let public = snapshot.services.is_public_to(namespace)
            && snapshot.routes.is_public_to(namespace)
            && snapshot.rules.is_public_to(namespace)
            && sidecar.as_ref().is_none_or(|sidecar| !names_own_namespace(sidecar));
        Self {
            namespace: if public { "".into() } else { namespace.clone() },
            sidecar,
            gateway,
            rule_labels: snapshot.rules.selector_labels(namespace, labels),
            services: snapshot.services.clone(),
            routes: snapshot.routes.clone(),
            rules: snapshot.rules.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        }
    }
}

/// Whether an egress listener asks for `.`, the namespace of the proxy.
fn names_own_namespace(sidecar: &Sidecar) -> bool {
    sidecar.egress.iter().flat_map(|listener| &listener.hosts).any(|host| &*host.namespace == ".")
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

    /// The number of the visible port, if it is the only one.
    pub fn only_port(&self) -> Option<u16> {
        match self.port_list() {
            [only] => Some(only.number),
            _ => None,
        }
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
    /// ServiceEntry makes one for each of its addresses). Empty for a gateway, whose listeners are not
    /// made from it.
    pub services: Vec<ScopedService>,
    /// Visible VirtualServices bound to `mesh`, in order.
    pub virtual_services: Vec<Shared<VirtualService>>,
    /// Host of a service → the VirtualService of the most specific host that covers it.
    pub most_specific: BTreeMap<Host, Shared<VirtualService>>,
}

/// What a namespace, Sidecar or gateway lets a proxy see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The proxy's namespace; empty for the scope that all namespaces without a view of their own share.
    /// What depends on a proxy's namespace takes it from the proxy's profile.
    pub namespace: Text,
    /// The Sidecar that applies.
    pub sidecar: Option<Shared<Sidecar>>,
    /// The labels by which rules with a selector tell workloads of the namespace apart; usually empty.
    pub rule_labels: Labels,
    /// Egress listeners in order; never empty.
    pub egress: Vec<EgressScope>,
    /// All visible services (union of the listeners' and of what VirtualServices pull in), in order; one
    /// per host, with the ports of all that could be joined.
    pub services: Vec<ScopedService>,
    /// Their hosts → index into `services`.
    pub by_host: BTreeMap<Host, usize>,
    /// The DestinationRule of each visible host that has one (outbound).
    pub rules: BTreeMap<Host, Shared<MergedRule>>,
    /// The rule for inbound traffic of those hosts whose outbound one was chosen by a selector.
    pub inbound_rules: BTreeMap<Host, Shared<MergedRule>>,
    /// What is done with traffic to unknown destinations.
    pub outbound: OutboundTrafficPolicy,
}

impl Scope {
    /// Computes the scope (xds-semantics, Sidecar scope).
    pub fn new(inputs: &ScopeInputs) -> Self {
        let egress = egress(inputs);
        let Union { services, by_host } =
            if inputs.gateway { Union::of_gateway(inputs) } else { Union::of_listeners(inputs, &egress) };
        let mut scope = Self {
            namespace: inputs.namespace.clone(),
            sidecar: inputs.sidecar.clone(),
            rule_labels: inputs.rule_labels.clone(),
            egress,
            services,
            by_host,
            rules: BTreeMap::new(),
            inbound_rules: BTreeMap::new(),
            outbound: outbound(inputs),
        };
        scope.choose_rules(inputs);
        scope
    }

    /// The visible service of this host.
    pub fn service(&self, host: &Host) -> Option<&ScopedService> {
        self.by_host.get(host).and_then(|index| self.services.get(*index))
    }

    /// The DestinationRule for outbound traffic to this host.
    pub fn rule(&self, host: &Host) -> Option<&Shared<MergedRule>> {
        self.rules.get(host)
    }

    /// The DestinationRule for inbound traffic to this host: never one with a selector.
    pub fn inbound_rule(&self, host: &Host) -> Option<&Shared<MergedRule>> {
        let general = self.rules.get(host).filter(|chosen| chosen.rule.selector.is_none());
        general.or_else(|| self.inbound_rules.get(host))
    }

    fn choose_rules(&mut self, inputs: &ScopeInputs) {
        let (namespace, labels) = (&*inputs.namespace, &inputs.rule_labels);
        for ScopedService { service, .. } in &self.services {
            let found = inputs.rules.lookup(namespace, &service.host, &service.namespace);
            let Some(chosen) = RuleIndex::choose(&found, namespace, labels) else { continue };
            if chosen.rule.selector.is_some() {
                let inbound = RuleIndex::choose_inbound(&found);
                self.inbound_rules.extend(inbound.map(|inbound| (service.host.clone(), inbound)));
            }
            self.rules.insert(service.host.clone(), chosen);
        }
    }
}

fn egress(inputs: &ScopeInputs) -> Vec<EgressScope> {
    if inputs.gateway {
        let virtual_services = inputs.routes.bound_to(MESH, &inputs.namespace).cloned().collect();
        let (services, most_specific) = (Vec::new(), BTreeMap::new());
        return vec![EgressScope { listener: None, services, virtual_services, most_specific }];
    }
    let written = inputs.sidecar.iter().flat_map(|sidecar| &sidecar.egress);
    let scopes: Vec<_> = written.map(|one| Listener::written(inputs, one).scope()).collect();
    if scopes.is_empty() { vec![Listener::default(inputs).scope()] } else { scopes }
}

/// The Sidecar's policy; of the mesh's, only the mode counts.
fn outbound(inputs: &ScopeInputs) -> OutboundTrafficPolicy {
    let own = inputs.sidecar.as_ref().and_then(|sidecar| sidecar.outbound_traffic_policy.clone());
    let mode = inputs.mesh.outbound_traffic_policy.mode;
    own.unwrap_or(OutboundTrafficPolicy { mode, egress_proxy: None })
}
