//! One object → its services: a Service makes one, a ServiceEntry one for each host and address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::networking::{ExportTo, ServiceEntry};
use model::service::{TargetPort, TrafficDistribution, UNSPECIFIED};
use model::{Host, Key, Kind, Labels, Protocol, Registry, Resolution, Service, ServicePort, Text, kube};

use crate::{Config, visibility};

const EXPORT_TO: &str = "networking.istio.io/exportTo";
const CANONICAL_ACCOUNTS: &str = "alpha.istio.io/canonical-serviceaccounts";
const KUBE_ACCOUNTS: &str = "alpha.istio.io/kubernetes-serviceaccounts";
const AUTOALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";
const CONNECT_STRATEGY: &str = "istio.io/connect-strategy";

/// The annotation of Services, ServiceEntries and Namespaces that prefers some endpoints.
pub(super) const DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";

/// The services that an object makes; none if it is not there.
pub(super) fn services(config: &Config, key: &Key) -> Vec<Service> {
    if let Some(service) = config.kube_services.get(key) {
        return vec![of_kube(config, service)];
    }
    config.service_entries.get(key).map(|entry| of_entry(config, entry)).unwrap_or_default()
}

/// The key of the Namespace that an object is in.
pub(super) fn namespace_key(key: &Key) -> Key {
    Key {
        cluster: key.cluster.clone(),
        kind: Kind::Namespace,
        namespace: "".into(),
        name: key.namespace.clone(),
    }
}

fn of_kube(config: &Config, from: &kube::Service) -> Service {
    let key = &from.meta.key;
    let external_name = from.external_name.clone().filter(|_| from.kind == kube::ServiceType::ExternalName);
    let headless = from.cluster_ips.first().is_some_and(|ip| &**ip == "None");
    let addresses = kube_addresses(from, headless);
    let resolution = match (headless, &external_name) {
        (true, _) => Resolution::Passthrough,
        (false, Some(_)) => Resolution::Alias,
        (false, None) => Resolution::Static,
    };
    let host = format!("{}.{}.svc.{}", key.name, key.namespace, config.settings.domain);
    Service {
        host: Host::new(&host),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        object: key.clone(),
        created: from.meta.created,
        registry: Registry::Kubernetes,
        ports: from.ports.iter().map(kube_port).collect(),
        resolution,
        external: external_name.is_some(),
        address: addresses.first().cloned().unwrap_or_else(|| UNSPECIFIED.into()),
        cluster_vips: BTreeMap::from([(key.cluster.clone(), addresses)]),
        auto_addresses: Vec::new(),
        accounts: kube_accounts(config, from),
        labels: from.meta.labels.clone(),
        export_to: export_to(config, &kube_export_to(from), &key.namespace),
        selector: from.selector.clone(),
        external_name,
        node_local: from.internal_local,
        traffic_distribution: kube_distribution(config, from),
        publish_not_ready: from.publish_not_ready,
        passthrough_target_ports: BTreeMap::new(),
        race_connect: false,
    }
}

fn kube_addresses(from: &kube::Service, headless: bool) -> Vec<Text> {
    if headless || from.cluster_ips.first().is_none_or(|ip| ip.is_empty()) {
        return vec![UNSPECIFIED.into()];
    }
    from.cluster_ips.clone()
}

fn kube_port(port: &kube::Port) -> ServicePort {
    let app_protocol = port.app_protocol.as_deref();
    ServicePort {
        name: port.name.clone(),
        number: port.number,
        protocol: Protocol::of_kube_port(&port.transport, app_protocol, &port.name, port.number),
        target: port.target.clone(),
    }
}

fn kube_accounts(config: &Config, from: &kube::Service) -> Vec<Text> {
    let words = |key| from.meta.annotations.get(key).filter(|list| !list.is_empty()).into_iter();
    let canonical = words(CANONICAL_ACCOUNTS).flat_map(|list| list.split(',')).map(Text::from);
    // "@" is allowed in a trust domain that stands for a mail address, and not in an identity.
    let domain = config.mesh.trust_domain.replace('@', ".");
    let namespace = &from.meta.key.namespace;
    let identity = |name: &str| Text::from(format!("spiffe://{domain}/ns/{namespace}/sa/{name}"));
    canonical.chain(words(KUBE_ACCOUNTS).flat_map(|list| list.split(',')).map(identity)).collect()
}

fn kube_export_to(from: &kube::Service) -> ExportTo {
    let list = from.meta.annotations.get(EXPORT_TO).filter(|list| !list.is_empty());
    list.map_or(ExportTo::Unset, visibility::parse)
}

fn export_to(config: &Config, declared: &ExportTo, namespace: &Text) -> ExportTo {
    visibility::resolve(declared, &config.mesh.default_service_export_to, namespace)
}

fn kube_distribution(config: &Config, from: &kube::Service) -> TrafficDistribution {
    match from.traffic_distribution.as_deref() {
        Some("PreferSameZone" | "PreferClose") => TrafficDistribution::PreferSameZone,
        Some("PreferSameNode") => TrafficDistribution::PreferSameNode,
        _ => annotated_distribution(config, &from.meta.key, &from.meta.annotations),
    }
}

/// The object's annotation, else that of its namespace; a word that nobody knows ends the search.
fn annotated_distribution(config: &Config, key: &Key, own: &Labels) -> TrafficDistribution {
    let namespace = config.namespaces.get(&namespace_key(key));
    let inherited = namespace.and_then(|namespace| namespace.meta.annotations.get(DISTRIBUTION));
    let word = own.get(DISTRIBUTION).filter(|word| !word.is_empty()).or(inherited).unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "preferclose" | "prefersamezone" => TrafficDistribution::PreferSameZone,
        "prefersamenode" => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

fn of_entry(config: &Config, from: &ServiceEntry) -> Vec<Service> {
    let base = entry_base(config, from);
    let service = |host: &Host, address: Text, auto_addresses: Vec<Text>| Service {
        host: host.clone(),
        name: host.text().clone(),
        address,
        auto_addresses,
        ..base.clone()
    };
    let addresses: BTreeSet<&Text> = from.addresses.iter().collect();
    let hosts: BTreeSet<&Host> = from.hosts.iter().collect();
    let mut services = Vec::with_capacity(hosts.len() * addresses.len().max(1));
    for host in hosts {
        if addresses.is_empty() {
            services.push(service(host, UNSPECIFIED.into(), auto_addresses(config, from, host)));
        }
        services.extend(addresses.iter().map(|address| service(host, (*address).clone(), Vec::new())));
    }
    services
}

/// What the services of a ServiceEntry have in common.
fn entry_base(config: &Config, from: &ServiceEntry) -> Service {
    let key = &from.meta.key;
    let declared = export_to(config, &from.export_to, &key.namespace);
    let capped = if config.mesh.service_entry_private {
        visibility::private(&declared, &key.namespace)
    } else {
        declared
    };
    let strategy = from.meta.annotations.get(CONNECT_STRATEGY);
    Service {
        host: Host::new(""),
        namespace: key.namespace.clone(),
        name: "".into(),
        object: key.clone(),
        created: from.meta.created,
        registry: Registry::External,
        ports: from.ports.iter().map(entry_port).collect(),
        resolution: from.resolution,
        external: from.external,
        address: UNSPECIFIED.into(),
        cluster_vips: BTreeMap::new(),
        auto_addresses: Vec::new(),
        accounts: from.subject_alt_names.clone(),
        labels: from.meta.labels.clone(),
        export_to: capped,
        selector: from.selector.clone(),
        external_name: None,
        node_local: false,
        traffic_distribution: annotated_distribution(config, key, &from.meta.annotations),
        publish_not_ready: false,
        passthrough_target_ports: target_overrides(from),
        race_connect: strategy.is_some_and(|word| word.eq_ignore_ascii_case("RACE_FIRST_TCP_CONNECT")),
    }
}

fn entry_port(port: &model::networking::EntryPort) -> ServicePort {
    let target = if port.target_port == 0 { port.number } else { port.target_port };
    ServicePort {
        name: port.name.clone(),
        number: port.number,
        protocol: port.protocol,
        target: TargetPort::Number(target),
    }
}

fn target_overrides(from: &ServiceEntry) -> BTreeMap<u16, u16> {
    if from.resolution != Resolution::Passthrough {
        return BTreeMap::new();
    }
    let said = from.ports.iter().filter(|port| port.target_port != 0);
    said.map(|port| (port.number, port.target_port)).collect()
}

/// What the allocator gave to a host, IPv4 before IPv6; nothing where the object opts out.
fn auto_addresses(config: &Config, from: &ServiceEntry, host: &Host) -> Vec<Text> {
    let opted_out =
        from.meta.labels.get(AUTOALLOCATE).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    if !config.settings.ip_autoallocate || from.resolution == Resolution::Passthrough || opted_out {
        return Vec::new();
    }
    let given = from.status_addresses.iter().filter(|(name, _)| **name == *host.as_str());
    let parsed: Vec<IpAddr> = given.filter_map(|(_, address)| address.parse().ok()).collect();
    let last = |v4: bool| parsed.iter().rev().find(|address| address.is_ipv4() == v4);
    last(true).into_iter().chain(last(false)).map(|address| address.to_string().into()).collect()
}
