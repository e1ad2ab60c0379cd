//! The ports that a workload serves: by its services, or by the ingress of its Sidecar.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use memo::Shared;
use mesh::ServiceTarget;
use model::networking::{CaptureMode, IngressListener, ServerTls, Sidecar};
use model::proxy::{Interception, IpMode};
use model::service::Registry;
use model::{Protocol, Service, Text};

use super::Inputs;

/// A port that traffic arrives at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Port {
    /// The workload's port, by which connections are matched; 0 for all that are not declared.
    pub(super) target: u16,
    /// The service's port, shown in traces and statistics.
    pub(super) number: u16,
    /// The service port's name, may be empty.
    pub(super) name: Text,
    /// What is spoken, after TLS that ends here.
    pub(super) protocol: Protocol,
    /// The address that is shown in names, and bound if the port is bound for itself.
    pub(super) bind: Text,
    /// Whether it has a listener of its own instead of chains among the captured traffic.
    pub(super) bound: bool,
    /// Who declares it.
    pub(super) origin: Origin,
    /// TLS that ends here by the Sidecar's wish.
    pub(super) tls: Option<ServerTls>,
}

/// Who declares a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// A service.
    Service(Shared<Service>),
    /// The ingress of a Sidecar, with the namespace that it applies to.
    Sidecar(Shared<Sidecar>, Text),
    /// Nobody: it is forwarded to where it was sent.
    Passthrough,
    /// Traffic sent to the capture port itself, which would go round for ever: it leads nowhere.
    Loop,
}

impl Port {
    fn undeclared(target: u16, origin: Origin, inputs: &Inputs) -> Self {
        Self {
            target,
            number: 0,
            name: super::NAME.into(),
            protocol: Protocol::Auto,
            bind: inputs.profile.ip_mode.wildcard().into(),
            bound: false,
            origin,
            tls: None,
        }
    }

    /// The host that traces and statistics show: the service's, a made-up one for a Sidecar, none else.
    pub(super) fn host(&self) -> String {
        match &self.origin {
            Origin::Service(service) => service.host.to_string(),
            Origin::Sidecar(sidecar, namespace) => format!("{}.{namespace}", sidecar.meta.key.name),
            Origin::Passthrough | Origin::Loop => String::new(),
        }
    }

    /// The names of a Kubernetes service for statistics: `name.namespace` and `name`; the host for others.
    pub(super) fn short_names(&self) -> (String, String) {
        match &self.origin {
            Origin::Service(service) if service.registry == Registry::Kubernetes => {
                (format!("{}.{}", service.name, service.namespace), service.name.to_string())
            }
            _ => (self.host(), self.host()),
        }
    }
}

/// The chain that ends traffic to the capture port itself.
pub(super) fn loops(inputs: &Inputs) -> Port {
    Port::undeclared(inputs.mesh.proxy_inbound_listen_port, Origin::Loop, inputs)
}

/// Traffic that nobody declares: all of it, and ports for which PeerAuthentication says something of their own.
pub(super) fn undeclared(inputs: &Inputs) -> Vec<Port> {
    let declared: BTreeSet<u16> = match ingress(inputs) {
        Some((_, listeners)) => listeners.iter().map(|listener| listener.port.number).collect(),
        None => inputs.targets.iter().map(|target| target.target_port).collect(),
    };
    let own: BTreeSet<u16> = inputs.workload_authn.ports.iter().map(|(port, _)| *port).collect();
    let own = own.difference(&declared).copied().filter(|port| *port != 0);
    std::iter::once(0).chain(own).map(|port| Port::undeclared(port, Origin::Passthrough, inputs)).collect()
}

/// Declared ports by number. Of several that lead to one port the first one counts: the oldest service.
pub(super) fn declared(inputs: &Inputs) -> Vec<Port> {
    let mut ports = BTreeMap::new();
    match ingress(inputs) {
        // Without capture, a listener on the workload's own port would be in its way.
        None if inputs.profile.interception == Interception::None => {}
        None => of_services(inputs, &[], &mut ports),
        Some((sidecar, listeners)) => {
            if inputs.settings.sidecar_service_inbound_merge {
                of_services(inputs, listeners, &mut ports);
            }
            for listener in listeners {
                if let Some(port) = of_sidecar(inputs, sidecar, listener) {
                    ports.entry(port.target).or_insert(port);
                }
            }
        }
    }
    ports.into_values().collect()
}

/// The Sidecar and its ingress, if it has any.
fn ingress(inputs: &Inputs) -> Option<(&Shared<Sidecar>, &[IngressListener])> {
    let sidecar = inputs.sidecar.as_ref()?;
    (!sidecar.ingress.is_empty()).then_some((sidecar, sidecar.ingress.as_slice()))
}

fn of_services(inputs: &Inputs, except: &[IngressListener], ports: &mut BTreeMap<u16, Port>) {
    let bind = inputs.profile.ip_mode.wildcard();
    let bound = inputs.profile.interception == Interception::None;
    for target in &inputs.targets {
        let number = target.target_port;
        let listening = [inputs.mesh.proxy_listen_port, inputs.mesh.proxy_inbound_listen_port];
        let free = can_bind(inputs, bound, number) && !is_reserved(inputs, number);
        if free && !listening.contains(&number) && !except.iter().any(|one| one.port.number == number) {
            ports.entry(number).or_insert_with(|| of_service(target, bind, bound));
        }
    }
}

fn of_service(target: &ServiceTarget, bind: &str, bound: bool) -> Port {
    Port {
        target: target.target_port,
        number: target.port.number,
        name: target.port.name.clone(),
        protocol: target.port.protocol,
        bind: bind.into(),
        bound,
        origin: Origin::Service(target.service.clone()),
        tls: None,
    }
}

/// The port of an ingress listener; `None` if the proxy cannot have it.
fn of_sidecar(inputs: &Inputs, sidecar: &Shared<Sidecar>, listener: &IngressListener) -> Option<Port> {
    let (number, protocol) = (listener.port.number, listener.port.protocol);
    let bound = match listener.capture_mode {
        CaptureMode::Default => inputs.profile.interception == Interception::None,
        CaptureMode::Iptables => false,
        CaptureMode::None => true,
    };
    let wildcard = inputs.profile.ip_mode.wildcard();
    let on_wildcard = if listener.bind.is_empty() { protocol.is_http() } else { &*listener.bind == wildcard };
    if !can_bind(inputs, bound, number) || on_wildcard && is_reserved(inputs, number) {
        return None;
    }
    let tls = listener.tls.clone().filter(|_| inputs.settings.tls_on_sidecar_ingress);
    Some(Port {
        target: number,
        number,
        name: listener.port.name.clone(),
        protocol: if tls.is_some() { protocol.after_tls() } else { protocol },
        bind: if listener.bind.is_empty() { own_address(inputs) } else { listener.bind.clone() },
        bound,
        origin: Origin::Sidecar(sidecar.clone(), inputs.profile.namespace.clone()),
        tls,
    })
}

/// The proxy's first address that others can reach, else the one that stands for all.
fn own_address(inputs: &Inputs) -> Text {
    let reachable = inputs.profile.ips.iter().find(|ip| is_global_unicast(**ip));
    match reachable {
        Some(ip) => ip.to_string().as_str().into(),
        None => inputs.profile.ip_mode.wildcard().into(),
    }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !local && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast()
}

fn can_bind(inputs: &Inputs, bound: bool, port: u16) -> bool {
    !(bound && inputs.profile.unprivileged && (1..1024).contains(&port))
}

/// Whether the proxy itself listens there: status, Prometheus, secure metrics.
fn is_reserved(inputs: &Inputs, port: u16) -> bool {
    inputs.profile.reserved_ports.contains(&port)
}

impl Port {
    /// Whether the address is the user's own wish.
    pub(super) fn is_bind_written(&self) -> bool {
        let Origin::Sidecar(sidecar, _) = &self.origin else { return false };
        let own = |listener: &&IngressListener| listener.port.number == self.target;
        sidecar.ingress.iter().find(own).is_some_and(|listener| !listener.bind.is_empty())
    }
}

/// Further addresses beside the bound one: the other family of a proxy that has two.
pub(super) fn further_binds(bind: &str, inputs: &Inputs) -> Vec<Text> {
    let both = inputs.profile.ip_mode == IpMode::Dual && inputs.settings.dual_stack;
    if both && bind == IpMode::Dual.wildcard() { vec![IpMode::V6.wildcard().into()] } else { Vec::new() }
}
