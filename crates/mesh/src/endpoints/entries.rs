//! Endpoints of ServiceEntries: written into them, selected by them, or the host itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memo::Shared;
use model::endpoint::EndpointWorkload;
use model::networking::{EntryPort, ServiceEntry, WorkloadSpec};
use model::{Endpoint, Health, Host, Key, Kind, Protocol, Resolution, Text};

use super::{Contribution, Inputs};
use crate::workloads::of_spec;
use crate::{Config, Workload, keys};

/// Notes Services and ServiceEntries of the namespace that may select this Pod or WorkloadEntry.
pub(super) fn selecting(workload: &Key, config: &Config, touched: &mut BTreeSet<Key>) {
    let first = |kind| Key::first_of(&workload.cluster, kind, &workload.namespace);
    let entries = keys::beside(&config.service_entries, first(Kind::ServiceEntry));
    touched.extend(entries.filter(|(_, entry)| entry.selector.is_some()).map(|(key, _)| key.clone()));
    if workload.kind == Kind::WorkloadEntry {
        let services = keys::beside(&config.kube_services, first(Kind::Service));
        touched
            .extend(services.filter(|(_, service)| service.selector.is_some()).map(|(key, _)| key.clone()));
    }
}

/// What a ServiceEntry contributes; `None` if there is none.
pub(super) fn contribution(key: &Key, now: Inputs<'_>) -> Option<Contribution> {
    let entry = now.config.service_entries.get(key)?;
    let mut hosts = BTreeMap::new();
    for host in &entry.hosts {
        hosts.insert(host.clone(), of_host(entry, host, now));
    }
    Some(Contribution { hosts, pods: BTreeSet::new() })
}

fn of_host(entry: &ServiceEntry, host: &Host, now: Inputs<'_>) -> Vec<Shared<Endpoint>> {
    let ports = || entry.ports.iter().filter(|port| port.protocol != Protocol::Udp);
    if entry.selector.is_some() {
        let found = selected(entry, now);
        return found
            .iter()
            .flat_map(|workload| ports().filter_map(|port| of_workload(workload, port, now)))
            .collect();
    }
    if entry.endpoints.is_empty() {
        let by_name = matches!(entry.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        return if by_name {
            ports().map(|port| itself(entry, host, port, now)).collect()
        } else {
            Vec::new()
        };
    }
    let inline = entry.endpoints.iter().enumerate();
    inline.flat_map(|(at, spec)| written(entry, at, spec, now)).collect()
}

/// The host's own name as the only endpoint; its workload is called after the object.
fn itself(entry: &ServiceEntry, host: &Host, port: &EntryPort, now: Inputs<'_>) -> Shared<Endpoint> {
    let workload = EndpointWorkload {
        workload: entry.meta.key.name.clone(),
        namespace: entry.meta.key.namespace.clone(),
        cluster: now.config.settings.cluster.clone(),
        ..EndpointWorkload::default()
    };
    let number = if port.target_port == 0 { port.number } else { port.target_port };
    endpoint(host.text(), number, port, Arc::new(workload), 0)
}

/// The endpoints of one that is written into the object, named after it.
fn written(entry: &ServiceEntry, at: usize, spec: &WorkloadSpec, now: Inputs<'_>) -> Vec<Shared<Endpoint>> {
    let key = &entry.meta.key;
    let name = Text::from(format!("{}-{at}", key.name));
    let facts = Arc::new(of_spec(spec, &name, &key.namespace, now.config));
    let ports = entry.ports.iter().filter(|port| port.protocol != Protocol::Udp);
    ports.map(|port| endpoint(address(spec), number(spec, port), port, facts.clone(), spec.weight)).collect()
}

fn endpoint(
    address: &str,
    number: u16,
    port: &EntryPort,
    workload: Arc<EndpointWorkload>,
    weight: u32,
) -> Shared<Endpoint> {
    Shared::new(Endpoint {
        addresses: if address.is_empty() { Vec::new() } else { vec![address.into()] },
        port: number,
        port_name: port.name.clone(),
        service_port: port.number,
        workload,
        weight,
        health: Health::Unknown,
    })
}

fn address(spec: &WorkloadSpec) -> &str {
    spec.address.strip_prefix("unix://").unwrap_or(&spec.address)
}

/// The endpoint's port: 0 on a Unix socket, else by name, else the target port, else the port itself.
fn number(spec: &WorkloadSpec, port: &EntryPort) -> u16 {
    if spec.address.starts_with("unix://") {
        return 0;
    }
    let named = spec.ports.iter().find(|(name, _)| *name == port.name).map(|(_, number)| *number);
    named.unwrap_or(if port.target_port == 0 { port.number } else { port.target_port })
}

/// Pods, then WorkloadEntries of the namespace that the selector selects. One whose address is a name or
/// a socket is of use only where names are resolved.
fn selected(entry: &ServiceEntry, now: Inputs<'_>) -> Vec<Shared<Workload>> {
    let key = &entry.meta.key;
    let Some(selector) = entry.selector.as_ref().filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    let of_kind = |kind| now.workloads.in_namespace(&key.cluster, kind, &key.namespace);
    let pods = of_kind(Kind::Pod).filter(|_| now.config.settings.select_pods);
    let by_name = matches!(entry.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let usable = |workload: &&Shared<Workload>| {
        let addressed = !workload.ips.is_empty() || (by_name && workload.key.kind == Kind::WorkloadEntry);
        workload.ready && addressed && selector.selects(&workload.labels)
    };
    pods.chain(of_kind(Kind::WorkloadEntry)).filter(usable).cloned().collect()
}

fn of_workload(workload: &Workload, port: &EntryPort, now: Inputs<'_>) -> Option<Shared<Endpoint>> {
    if workload.key.kind == Kind::Pod {
        let number = if port.target_port == 0 { port.number } else { port.target_port };
        let ip = workload.ips.first()?.to_string();
        let mut made = (*endpoint(&ip, number, port, workload.facts.clone(), 0)).clone();
        made.health = Health::Healthy;
        return Some(Shared::new(made));
    }
    let spec = &now.config.workload_entries.get(&workload.key)?.spec;
    Some(endpoint(address(spec), number(spec, port), port, workload.facts.clone(), spec.weight))
}
