//! Clusters of a workload's own ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mesh::{EffectivePolicy, ListenerProfile, ServiceTarget};
use model::networking::{ConnectionPool, IngressListener};
use model::proxy::{Interception, IpMode};
use model::service::TargetPort;
use model::{Service, ServicePort, Text};

use super::InboundInputs;
use super::balancer::{Balancer, Common};
use super::http::{HttpOptions, Upstream};
use super::metadata::{self, Metadata, ServiceName};
use super::plan::{Assignment, Bind, ClusterPlan, Discovery};
use super::pool::{self, Limits};
use super::stat_name;
use crate::cluster_mesh::ClusterMesh;
use crate::names;

/// The plans of a workload's own clusters, sorted by port; those of services before Sidecar ingress.
pub(super) fn plan_all(inputs: &InboundInputs) -> Vec<ClusterPlan> {
    let sidecar = inputs.scope.sidecar.as_deref();
    let ingress = sidecar.map_or(&[][..], |sidecar| sidecar.ingress.as_slice());
    if ingress.is_empty() {
        if inputs.profile.interception == Interception::None {
            return Vec::new();
        }
        return of_services(inputs, &[]);
    }
    let mut plans = Vec::new();
    if inputs.settings.sidecar_service_inbound_merge {
        plans = of_services(inputs, ingress);
    }
    plans.extend(ingress.iter().filter_map(|listener| of_ingress(inputs, listener)));
    plans
}

/// One cluster for each port of the workload; the first service that leads there shapes it.
fn of_services(inputs: &InboundInputs, ingress: &[IngressListener]) -> Vec<ClusterPlan> {
    let mut ports: BTreeMap<u16, Vec<&ServiceTarget>> = BTreeMap::new();
    for target in &inputs.targets {
        if ingress.iter().all(|listener| listener.port.number != target.target_port) {
            ports.entry(target.target_port).or_default().push(target);
        }
    }
    let local = inputs.profile.ip_mode.localhost();
    ports
        .into_iter()
        .filter_map(|(port, targets)| {
            let first = targets.first()?;
            let services: Vec<_> = targets.iter().map(|target| (&*target.service, &target.port)).collect();
            let assignment = if inputs.mesh.inbound_passthrough {
                Assignment::None
            } else {
                Assignment::Address(local.into(), port)
            };
            Some(plan(inputs, port, (&first.service, &first.port), &services, assignment))
        })
        .collect()
}

fn of_ingress(inputs: &InboundInputs, listener: &IngressListener) -> Option<ClusterPlan> {
    let port = ServicePort {
        name: listener.port.name.clone(),
        number: listener.port.number,
        protocol: listener.port.protocol,
        target: TargetPort::Number(listener.port.number),
    };
    let assignment = endpoint(&listener.default_endpoint, &inputs.profile)?;
    let known = inputs.targets.iter().find(|target| target.target_port == port.number);
    match known {
        Some(target) => {
            let service = &*target.service;
            Some(plan(inputs, port.number, (service, &port), &[(service, &port)], assignment))
        }
        None => Some(unknown_service(inputs, &port, assignment)),
    }
}

/// The cluster of an ingress port that no service leads to; it is called after the Sidecar.
fn unknown_service(inputs: &InboundInputs, port: &ServicePort, assignment: Assignment) -> ClusterPlan {
    let mut plan = shape(inputs, port.number, port, EffectivePolicy::default(), assignment);
    if let Some(sidecar) = &inputs.scope.sidecar {
        let host = format!("{}.{}", sidecar.meta.key.name, inputs.scope.namespace);
        let pattern = &inputs.mesh.inbound_cluster_stat_name;
        plan.stat_name = stat_name::of_host(pattern, &host, port, port.number);
    }
    plan
}

fn plan(
    inputs: &InboundInputs,
    number: u16,
    (service, port): (&Service, &ServicePort),
    services: &[(&Service, &ServicePort)],
    assignment: Assignment,
) -> ClusterPlan {
    let rule = inputs.scope.inbound_rule(&service.host);
    let policy = rule.and_then(|merged| merged.rule.policy.as_deref());
    let effective = EffectivePolicy::of_port(policy, port.number);
    let mut plan = shape(inputs, number, port, effective, assignment);
    let pattern = &inputs.mesh.inbound_cluster_stat_name;
    plan.stat_name = stat_name::expand(pattern, service, port, "", number);
    if let Discovery::OriginalDestination { port: override_port, .. } = &mut plan.discovery {
        *override_port = service.passthrough_target_ports.get(&port.number).copied();
    }
    if inputs.settings.telemetry_label && !service.external {
        plan.metadata.services = Some(service_names(services, port.number));
        plan.metadata.config = rule.filter(|_| policy.is_some()).map(|rule| metadata::config_path(rule));
    }
    plan
}

/// The services that lead to the workload by this port of theirs, each once.
fn service_names(services: &[(&Service, &ServicePort)], port: u16) -> Vec<ServiceName> {
    let mut names: Vec<ServiceName> = Vec::new();
    for (service, own) in services {
        if own.number == port && names.iter().all(|name| *name.host != *service.host.as_str()) {
            names.push(ServiceName::of(service));
        }
    }
    names
}

/// A cluster without anything of a service. Of a policy only the connection pool counts on this side, and
/// a Sidecar's own goes before it.
fn shape(
    inputs: &InboundInputs,
    number: u16,
    port: &ServicePort,
    policy: EffectivePolicy<'_>,
    assignment: Assignment,
) -> ClusterPlan {
    let (profile, settings) = (&*inputs.profile, &*inputs.settings);
    let mesh = &ClusterMesh::of(&inputs.mesh);
    let policy = policy.over_mesh(mesh.default_traffic_policy.as_ref());
    let pool = sidecar_pool(inputs, number).or(policy.connection_pool);
    let preserve_case = profile.config.headers.preserve_case.unwrap_or_default();
    let mut http = HttpOptions {
        upstream: Upstream::of(port.protocol, profile.kind, preserve_case),
        ..HttpOptions::default()
    };
    http.limit(pool);
    let original = assignment == Assignment::None;
    let discovery = match original {
        true => Discovery::OriginalDestination { port: None, kept: true },
        false => Discovery::Static,
    };
    let local = matches!(&assignment, Assignment::Address(ip, _) if matches!(&**ip, "127.0.0.1" | "::1"));
    ClusterPlan {
        name: names::inbound(number).into(),
        stat_name: None,
        discovery,
        dns: None,
        assignment,
        connect_timeout: pool::connect_timeout(pool, mesh),
        limits: Some(Limits::plan(pool, policy.retry_budget, mesh, settings)),
        http,
        outlier_detection: None,
        balancer: Balancer { provided: original, common: Some(Common::default()), ..Balancer::default() },
        tls: None,
        metadata: Metadata::default(),
        peer_exchange: None,
        bind: (!local).then(|| bind(profile.ip_mode, settings.dual_stack)),
    }
}

/// The pool of the Sidecar's ingress listener, else of the whole Sidecar.
fn sidecar_pool(inputs: &InboundInputs, port: u16) -> Option<&ConnectionPool> {
    let sidecar = inputs.scope.sidecar.as_deref()?;
    let listeners = sidecar.ingress.iter().filter(|listener| listener.port.number == port);
    let own = listeners.filter_map(|listener| listener.connection_pool.as_ref()).next();
    own.or(sidecar.inbound_connection_pool.as_ref())
}

/// The address that connections come from, which capturing lets pass.
pub(super) fn bind(mode: IpMode, both: bool) -> Bind {
    match mode {
        IpMode::V4 => Bind { source: "127.0.0.6", extra: None },
        IpMode::V6 => Bind { source: "::6", extra: None },
        IpMode::Dual => Bind { source: "127.0.0.6", extra: both.then_some("::6") },
    }
}

/// Where an ingress listener's traffic goes; `None` for an address that cannot be read.
fn endpoint(text: &str, profile: &ListenerProfile) -> Option<Assignment> {
    if text.is_empty() {
        return Some(Assignment::None);
    }
    if let Some(path) = text.strip_prefix("unix://") {
        return Some(Assignment::Pipe(path.into()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let ip = |v4: bool| profile.ips.iter().find(|ip| ip.is_ipv4() == v4).map(IpAddr::to_string);
    let mode = profile.ip_mode;
    let address: Text = match host {
        "0.0.0.0" => ip(true).map_or("127.0.0.1".into(), Into::into),
        "[::]" => ip(false).map_or("::1".into(), Into::into),
        "127.0.0.1" if mode.has_v4() => "127.0.0.1".into(),
        "[::1]" if mode.has_v6() => "::1".into(),
        "127.0.0.1" => "::1".into(),
        "[::1]" => "127.0.0.1".into(),
        _ => return Some(Assignment::None),
    };
    Some(Assignment::Address(address, port))
}
