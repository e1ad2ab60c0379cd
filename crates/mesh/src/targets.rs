//! Ports of services that lead to a proxy's workload (xds-semantics, service targets).

use memo::Shared;
use model::proxy::Proxy;
use model::service::TargetPort;
use model::{Key, Kind, Labels, Protocol, Registry, Service, Text};

use crate::{ServiceTarget, Snapshot, Workload};

/// The workload of a proxy: a WorkloadEntry of its namespace with its first address, else its Pod: the one
/// that it says it is, else the oldest one with that address, one of its namespace before others.
pub(crate) fn workload_of<'a>(snapshot: &'a Snapshot, proxy: &Proxy) -> Option<&'a Shared<Workload>> {
    let ip = *proxy.ips.first()?;
    let own = |workload: &&Shared<Workload>| workload.key.namespace == proxy.namespace;
    let entry = snapshot.workloads.entries_at(&proxy.cluster, ip).iter().find(own);
    let pods = snapshot.workloads.pods_at(&proxy.cluster, ip);
    let at_address = || pods.iter().find(own).or_else(|| pods.first());
    entry.or_else(|| by_name(snapshot, proxy)).or_else(at_address)
}

/// The Pod that the node id names.
fn by_name<'a>(snapshot: &'a Snapshot, proxy: &Proxy) -> Option<&'a Shared<Workload>> {
    let (name, namespace) = proxy.workload_id.rsplit_once('.')?;
    let key = Key {
        cluster: proxy.cluster.clone(),
        kind: Kind::Pod,
        namespace: namespace.into(),
        name: name.into(),
    };
    snapshot.workloads.by_key(&key)
}

/// The targets of a proxy, by age of the service, then host; and whether endpoints had a say in it.
pub(crate) fn of(
    snapshot: &Snapshot,
    proxy: &Proxy,
    workload: Option<&Workload>,
) -> (Vec<ServiceTarget>, bool) {
    let mut targets = match workload {
        Some(workload) => selecting(snapshot, &workload.key.namespace, &workload.labels, &workload.ports),
        None => selecting(snapshot, &proxy.namespace, &proxy.labels, &proxy.pod_ports),
    };
    targets.retain(|target| is_in_cluster(&target.service, proxy));
    let selected = !targets.is_empty();
    if !selected {
        targets = by_slice(snapshot, proxy);
    }
    let entries: Vec<&Shared<Service>> = snapshot.services.entries_in(&proxy.namespace).collect();
    targets.extend(at_addresses(snapshot, proxy, &entries));
    targets.sort_by(|one, two| {
        let age = one.service.created.cmp(&two.service.created);
        age.then_with(|| one.service.host.cmp(&two.service.host))
    });
    (targets, !selected || !entries.is_empty())
}

/// Ports of the namespace's Services that select these labels; per service each workload port once.
fn selecting(
    snapshot: &Snapshot,
    namespace: &Text,
    labels: &Labels,
    ports: &[(Text, u16, Text)],
) -> Vec<ServiceTarget> {
    let services = snapshot.selectors.selecting(Registry::Kubernetes, namespace, labels);
    let of_service = |service: &Shared<Service>| {
        let mut seen: Vec<(u16, Protocol)> = Vec::new();
        let mut targets = Vec::new();
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let number = match &port.target {
                TargetPort::Number(number) => Some(*number),
                TargetPort::Name(name) => {
                    let mut named = ports.iter().filter(|(known, ..)| known == name);
                    named.find(|(.., transport)| &**transport != "UDP").map(|(_, number, _)| *number)
                }
            };
            let Some(number) = number else { continue };
            if !seen.contains(&(number, port.protocol)) {
                seen.push((number, port.protocol));
                targets.push(ServiceTarget {
                    service: service.clone(),
                    port: port.clone(),
                    target_port: number,
                });
            }
        }
        targets
    };
    services.iter().flat_map(of_service).collect()
}

/// For a workload that nothing selects: Services of its namespace with an endpoint at its address.
fn by_slice(snapshot: &Snapshot, proxy: &Proxy) -> Vec<ServiceTarget> {
    let Some(ip) = proxy.ips.first().map(ToString::to_string) else { return Vec::new() };
    let here = |service: &&Shared<Service>| {
        service.registry == Registry::Kubernetes
            && service.selector.is_none()
            && is_in_cluster(service, proxy)
    };
    let own = snapshot.services.in_namespace(&proxy.namespace);
    own.filter(here).flat_map(|service| at_address(snapshot, service, &ip)).collect()
}

/// Whether the proxy's own cluster has the Service; a proxy that names no cluster may be in any.
fn is_in_cluster(service: &Service, proxy: &Proxy) -> bool {
    proxy.cluster.is_empty() || service.cluster_vips.contains_key(&proxy.cluster)
}

/// Targets among services that have an endpoint at one of the proxy's addresses.
fn at_addresses(snapshot: &Snapshot, proxy: &Proxy, services: &[&Shared<Service>]) -> Vec<ServiceTarget> {
    if services.is_empty() {
        return Vec::new();
    }
    let ips: Vec<String> = proxy.ips.iter().map(ToString::to_string).collect();
    services.iter().flat_map(|service| ips.iter().flat_map(|ip| at_address(snapshot, service, ip))).collect()
}

/// Labels of the first ServiceEntry endpoint of the namespace at one of the proxy's addresses.
///
/// A proxy that stands for such an endpoint is selected by the endpoint's labels, not by those that it
/// declares, as istiod has it.
pub(crate) fn entry_labels<'a>(
    snapshot: &'a Snapshot,
    targets: &[ServiceTarget],
    proxy: &Proxy,
) -> Option<&'a Labels> {
    let entry = targets.iter().map(|target| &target.service).find(|it| it.registry == Registry::External)?;
    let endpoints = &snapshot.endpoints.of(&entry.host, &entry.namespace)?.endpoints;
    let own = |address: &str| proxy.ips.iter().any(|ip| ip.to_string() == address);
    endpoints.iter().find(|endpoint| own(endpoint.address())).map(|endpoint| &endpoint.workload.labels)
}

fn at_address(snapshot: &Snapshot, service: &Shared<Service>, ip: &str) -> Vec<ServiceTarget> {
    let Some(found) = snapshot.endpoints.of(&service.host, &service.namespace) else { return Vec::new() };
    let at = found.endpoints.iter().filter(|endpoint| endpoint.address() == ip);
    let mut targets: Vec<ServiceTarget> = Vec::new();
    for endpoint in at {
        let port = service.ports.iter().find(|port| port.name == endpoint.port_name);
        if let Some(port) = port.filter(|port| port.protocol != Protocol::Udp) {
            let target =
                ServiceTarget { service: service.clone(), port: port.clone(), target_port: endpoint.port };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}
