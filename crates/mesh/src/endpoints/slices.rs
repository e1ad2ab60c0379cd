//! Endpoints of Kubernetes Services from their EndpointSlices, and from WorkloadEntries that they select.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use memo::Shared;
use model::endpoint::EndpointWorkload;
use model::kube::{EndpointSlice, Service, ServiceType, SliceEndpoint};
use model::labels;
use model::service::TargetPort;
use model::{Endpoint, Health, Host, Key, Kind, Text};

use super::{Contribution, Inputs};
use crate::Workload;

/// The Service that a slice is of.
pub(crate) fn service_of(slice: &EndpointSlice) -> Key {
    Key { kind: Kind::Service, name: slice.service.clone(), ..slice.meta.key.clone() }
}

/// The key under which users of a Pod are noted that know only its address.
pub(super) fn address_key(near: &Key, address: &str) -> Key {
    Key { kind: Kind::Pod, name: address.into(), ..near.clone() }
}

/// What a Service contributes; `None` if there is no such Service, or it is another one's name.
pub(super) fn contribution(
    key: &Key,
    slices: Option<&BTreeSet<Key>>,
    now: Inputs<'_>,
) -> Option<Contribution> {
    let service =
        now.config.kube_services.get(key).filter(|service| service.kind != ServiceType::ExternalName)?;
    let mut builder =
        Builder { service, now, endpoints: Vec::new(), seen: BTreeSet::new(), pods: BTreeSet::new() };
    for slice in slices.into_iter().flatten().filter_map(|slice| now.config.slices.get(slice)) {
        if !slice.fqdn {
            builder.slice(slice);
        }
    }
    builder.workload_entries();
    let host = Host::new(&format!("{}.{}.svc.{}", key.name, key.namespace, now.config.settings.domain));
    Some(Contribution { hosts: BTreeMap::from([(host, builder.endpoints)]), pods: builder.pods })
}

struct Builder<'a> {
    service: &'a Service,
    now: Inputs<'a>,
    endpoints: Vec<Shared<Endpoint>>,
    seen: BTreeSet<(Text, Text)>,
    pods: BTreeSet<Key>,
}

impl Builder<'_> {
    fn slice(&mut self, slice: &EndpointSlice) {
        let labels = &self.service.meta.labels;
        let drains = labels::SESSIONS.iter().any(|label| labels.is_set(label));
        for endpoint in &slice.endpoints {
            for address in &endpoint.addresses {
                let Some(workload) = self.workload(slice, endpoint, address) else { continue };
                let addresses = match self.all_addresses(slice, endpoint) {
                    Some(all) if all.first() != Some(address) => continue,
                    Some(all) => all,
                    None => vec![address.clone()],
                };
                for (name, port) in &slice.ports {
                    self.push(&addresses, (name, *port), endpoint.health(drains), workload.clone());
                }
            }
        }
    }

    /// The workload behind an address; `None` if the slice names a Pod that is not known (yet).
    fn workload(
        &mut self,
        slice: &EndpointSlice,
        endpoint: &SliceEndpoint,
        address: &Text,
    ) -> Option<Arc<EndpointWorkload>> {
        let near = &slice.meta.key;
        if let Some((namespace, name)) = &endpoint.pod {
            let key =
                Key { kind: Kind::Pod, namespace: namespace.clone(), name: name.clone(), ..near.clone() };
            self.pods.insert(key.clone());
            return self.now.workloads.by_key(&key).map(|workload| workload.facts.clone());
        }
        self.pods.insert(address_key(near, address));
        let ip: Option<IpAddr> = address.parse().ok();
        let pods = ip.map_or(&[][..], |ip| self.now.workloads.pods_at(&near.cluster, ip));
        let pod = pods.iter().find(|pod| pod.key.namespace == near.namespace);
        Some(pod.map_or_else(|| unknown(&near.cluster), |pod| pod.facts.clone()))
    }

    /// All addresses of the Pod, where Service and Pod have several: one endpoint then stands for both
    /// families, and the other family's slice says nothing new.
    fn all_addresses(&self, slice: &EndpointSlice, endpoint: &SliceEndpoint) -> Option<Vec<Text>> {
        if !self.now.config.settings.dual_stack || self.service.cluster_ips.len() < 2 {
            return None;
        }
        let (namespace, name) = endpoint.pod.clone()?;
        let key = Key { kind: Kind::Pod, namespace, name, ..slice.meta.key.clone() };
        let ips = &self.now.workloads.by_key(&key)?.all_ips;
        (ips.len() > 1).then(|| ips.iter().map(|ip| Text::from(ip.to_string())).collect())
    }

    fn push(
        &mut self,
        addresses: &[Text],
        (name, port): (&Text, u16),
        health: Health,
        workload: Arc<EndpointWorkload>,
    ) {
        let Some(address) = addresses.first() else { return };
        if !self.seen.insert((address.clone(), name.clone())) {
            return;
        }
        let service_port = self.service.ports.iter().find(|port| port.name == *name);
        self.endpoints.push(Shared::new(Endpoint {
            addresses: addresses.to_vec(),
            port,
            port_name: name.clone(),
            service_port: service_port.map_or(0, |port| port.number),
            workload,
            weight: 0,
            health,
        }));
    }

    /// WorkloadEntries of the namespace that a Service with a selector selects, for ports that they have.
    fn workload_entries(&mut self) {
        let key = &self.service.meta.key;
        let headless = self.service.cluster_ips.iter().any(|ip| &**ip == "None");
        let Some(selector) = self.service.selector.as_ref().filter(|_| !headless) else { return };
        if !self.now.config.settings.select_workload_entries {
            return;
        }
        let entries = self.now.workloads.in_namespace(&key.cluster, Kind::WorkloadEntry, &key.namespace);
        let selected: Vec<Shared<Workload>> =
            entries.filter(|entry| entry.ready && selector.selects(&entry.labels)).cloned().collect();
        for entry in selected {
            for port in self.service.ports.iter().filter(|port| !port.transport.eq_ignore_ascii_case("UDP")) {
                let number = match &port.target {
                    TargetPort::Number(number) => Some(*number),
                    TargetPort::Name(name) => {
                        entry.ports.iter().find(|(known, ..)| known == name).map(|(_, port, _)| *port)
                    }
                };
                if let (Some(ip), Some(number)) = (entry.ips.first(), number) {
                    let address = Text::from(ip.to_string());
                    self.push(&[address], (&port.name, number), Health::Unknown, entry.facts.clone());
                }
            }
        }
    }
}

/// An address of which only the cluster is known.
fn unknown(cluster: &Text) -> Arc<EndpointWorkload> {
    Arc::new(EndpointWorkload { cluster: cluster.clone(), ..EndpointWorkload::default() })
}
