//! Endpoints that are none: slices of no Service, subsets that nobody is in, entries whose address is a name where
//! none is resolved (IST0101, IST0173).

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Host, Key, Kind, Labels, Problem, Resolution, Text};

use super::references::destinations;
use crate::Snapshot;
use crate::endpoints::service_of;

/// EndpointSlices that name a Service that is not there, or none.
pub(super) fn slices(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    const FIELD: &str = "metadata.labels.kubernetes.io/service-name";
    for slice in snapshot.config.slices.values().filter(|slice| !slice.endpoints.is_empty()) {
        let service = service_of(slice);
        if snapshot.config.kube_services.get(&service).is_some() {
            continue;
        }
        let detail = match &*slice.service {
            "" => "the label that names the Service is missing; its endpoints are not served".to_owned(),
            _ => format!("there is no {service}; its endpoints are not served (IST0101)"),
        };
        found.push(Problem::warning(&slice.meta.key, "unknown-service", FIELD, detail));
    }
}

/// Subsets that routes lead to and none of their host's endpoints is in, where it has any.
pub(super) fn subsets(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let mut wanted: BTreeSet<(Host, Text)> = BTreeSet::new();
    for service in snapshot.config.virtual_services.values() {
        destinations(service, |_, to| {
            wanted.insert((to.host.clone(), to.subset.clone()));
        });
    }
    for rule in snapshot.config.destination_rules.values().filter(|rule| !rule.host.is_wildcard()) {
        let services = snapshot.services.of_host(&rule.host).iter();
        // What is resolved by name has whatever labels the name's addresses have.
        let services = services.filter(|service| service.resolution == Resolution::Static);
        let endpoints =
            services.filter_map(|service| snapshot.endpoints.of(&service.host, &service.namespace));
        let labels: Vec<&Labels> = endpoints
            .flat_map(|endpoints| endpoints.endpoints.iter().map(|endpoint| &endpoint.workload.labels))
            .collect();
        if labels.iter().all(|labels| labels.is_empty()) {
            continue;
        }
        for (at, subset) in rule.subsets.iter().enumerate() {
            let is_wanted = wanted.contains(&(rule.host.clone(), subset.name.clone()));
            if is_wanted && !labels.iter().any(|labels| subset.labels.selects(labels)) {
                let (name, host) = (&subset.name, &rule.host);
                let detail =
                    format!("no endpoint of {host} is in subset {name}; what is sent there fails (IST0173)");
                let field = format!("spec.subsets[{at}].labels");
                found.push(Problem::warning(&rule.meta.key, "empty-subset", field, detail));
            }
        }
    }
}

/// WorkloadEntries with a name for an address that are selected where no names are resolved.
pub(super) fn workload_entries(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let entries = snapshot.config.workload_entries.values();
    let named = entries.filter(|entry| {
        let address = &entry.spec.address;
        !address.is_empty() && !address.starts_with("unix://") && address.parse::<IpAddr>().is_err()
    });
    for entry in named {
        let key = &entry.meta.key;
        let first = Key::first_of(&key.cluster, Kind::ServiceEntry, &key.namespace);
        let mut beside = crate::keys::beside(&snapshot.config.service_entries, first);
        let selecting = beside.find(|(_, service)| {
            let selects = service
                .selector
                .as_ref()
                .is_some_and(|selector| !selector.is_empty() && selector.selects(&entry.spec.labels));
            let resolved = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
            selects && !resolved
        });
        if let Some((by, _)) = selecting {
            let address = &entry.spec.address;
            let detail =
                format!("{address:?} is no IP address, and {by}, which selects it, resolves no names");
            let problem = Problem::error(key, "address-invalid", "spec.address", detail);
            found.push(problem.with_outcome("it is no endpoint there"));
        }
    }
}
