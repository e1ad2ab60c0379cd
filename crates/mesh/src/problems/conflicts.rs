//! Objects that want the same, of which one wins and the others lose.

use std::collections::BTreeMap;

use memo::Shared;
use model::key::Meta;
use model::networking::{DestinationRule, ExportTo, VirtualService};
use model::service::UNSPECIFIED;
use model::{Host, Labels, Problem, Protocol, Registry, Service, Text};

use super::name;
use crate::{MESH, Snapshot, visibility};

/// VirtualServices with one host for the proxies of the mesh: the oldest wins (IST0109). At gateways their
/// routes are joined, which is no conflict.
pub(super) fn virtual_services(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let default = &snapshot.config.mesh.default_virtual_service_export_to;
    let mut by_host: BTreeMap<&Host, Vec<(ExportTo, &Shared<VirtualService>)>> = BTreeMap::new();
    for service in snapshot.config.virtual_services.values() {
        if service.gateways.iter().any(|gateway| &**gateway == MESH) {
            let export = visibility::resolve(&service.export_to, default, &service.meta.key.namespace);
            for host in &service.hosts {
                by_host.entry(host).or_default().push((export.clone(), service));
            }
        }
    }
    for (host, mut all) in by_host.into_iter().filter(|(_, all)| all.len() > 1) {
        all.sort_by(|one, two| one.1.meta.order().cmp(&two.1.meta.order()));
        for (at, (export, loser)) in all.iter().enumerate() {
            let mut before = all.iter().take(at);
            let winner = before.find(|(other, one)| other.meets(export) && one.meta.key != loser.meta.key);
            if let Some((_, winner)) = winner {
                let winner = name(&winner.meta);
                let detail = format!("{host} has routes by VirtualService {winner}, which wins (IST0109)");
                found.push(Problem::error(&loser.meta.key, "duplicate-host", "spec.hosts", detail));
            }
        }
    }
}

/// DestinationRules of one namespace for one host and the same clients: they are joined, the first wins.
pub(super) fn destination_rules(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let mut groups: BTreeMap<(&Text, &Host), Vec<&Shared<DestinationRule>>> = BTreeMap::new();
    for rule in snapshot.config.destination_rules.values() {
        groups.entry((&rule.meta.key.namespace, &rule.host)).or_default().push(rule);
    }
    for (_, mut rules) in groups.into_iter().filter(|(_, rules)| rules.len() > 1) {
        rules.sort_by(|one, two| one.meta.order().cmp(&two.meta.order()));
        for (at, loser) in rules.iter().enumerate() {
            let before = rules.iter().take(at);
            let same =
                before.filter(|one| one.selector == loser.selector && one.export_to == loser.export_to);
            same.for_each(|winner| lost(winner, loser, found));
        }
    }
}

/// What the later of two rules says in vain.
fn lost(winner: &DestinationRule, loser: &DestinationRule, found: &mut Vec<Problem>) {
    let key = &loser.meta.key;
    let (host, by) = (&loser.host, name(&winner.meta));
    if winner.policy.is_some() && loser.policy.is_some() && winner.policy != loser.policy {
        let detail = format!("{host} has a policy by DestinationRule {by}, which wins");
        found.push(Problem::error(key, "policy-ignored", "spec.trafficPolicy", detail));
    }
    for (at, subset) in loser.subsets.iter().enumerate() {
        let same = winner.subsets.iter().find(|one| one.name == subset.name);
        if same.is_some_and(|same| same != subset) {
            let detail =
                format!("subset {} of {host} is that of DestinationRule {by}, which wins", subset.name);
            found.push(Problem::error(key, "duplicate-subset", format!("spec.subsets[{at}].name"), detail));
        }
    }
}

/// Sidecars of one namespace for the same workloads: the oldest wins (IST0110, IST0111).
pub(super) fn sidecars(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let mut groups: BTreeMap<(&Text, Option<&Labels>), Vec<_>> = BTreeMap::new();
    for sidecar in snapshot.config.sidecars.values() {
        let group = (&sidecar.meta.key.namespace, sidecar.selector.as_ref());
        groups.entry(group).or_default().push(&sidecar.meta);
    }
    for ((_, selector), mut all) in groups {
        all.sort_by(|one, two| one.order().cmp(&two.order()));
        let Some((winner, losers)) = all.split_first() else { continue };
        let (of, code) = match selector {
            Some(_) => ("the same workloads", "IST0110"),
            None => ("all workloads of the namespace", "IST0111"),
        };
        for loser in losers {
            let detail = format!("Sidecar {} is for {of} too and wins ({code})", name(winner));
            found.push(Problem::error(&loser.key, "sidecar-conflict", "spec.workloadSelector", detail));
        }
    }
}

/// What a ServiceEntry says of one port.
struct EntryPort<'a> {
    export: ExportTo,
    protocol: Protocol,
    /// Its place in the list of ports.
    at: usize,
    meta: &'a Meta,
}

/// ServiceEntries that give one port of one host two protocols: the oldest wins (IST0177).
pub(super) fn service_entries(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let default = &snapshot.config.mesh.default_service_export_to;
    let mut by_port: BTreeMap<(&Host, u16), Vec<EntryPort<'_>>> = BTreeMap::new();
    for entry in snapshot.config.service_entries.values() {
        let export = visibility::resolve(&entry.export_to, default, &entry.meta.key.namespace);
        for (at, port) in entry.ports.iter().enumerate() {
            for host in &entry.hosts {
                let (export, protocol, meta) = (export.clone(), port.protocol, &entry.meta);
                let said = EntryPort { export, protocol, at, meta };
                by_port.entry((host, port.number)).or_default().push(said);
            }
        }
    }
    for ((host, number), mut ports) in by_port.into_iter().filter(|(_, ports)| ports.len() > 1) {
        ports.sort_by(|one, two| one.meta.order().cmp(&two.meta.order()));
        for (at, loser) in ports.iter().enumerate() {
            let first = ports.iter().take(at).find(|one| one.export.meets(&loser.export));
            if let Some(winner) = first.filter(|first| first.protocol != loser.protocol) {
                let (protocol, by) = (winner.protocol, name(winner.meta));
                let detail = format!(
                    "port {number} of {host} is {protocol:?} by ServiceEntry {by}, which is older and wins (IST0177)"
                );
                let field = format!("spec.ports[{}].protocol", loser.at);
                found.push(Problem::warning(&loser.meta.key, "port-protocol-conflict", field, detail));
            }
        }
    }
}

/// PeerAuthentications of one namespace for the same workloads: the oldest wins, the others say nothing.
pub(super) fn peer_authentications(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let root = &snapshot.config.mesh.root_namespace;
    let mut groups: BTreeMap<(&Text, Option<&Labels>), Vec<&Meta>> = BTreeMap::new();
    for policy in snapshot.config.peer_authentications.values() {
        let selector = policy.selector.as_ref().filter(|selector| !selector.is_empty());
        groups.entry((&policy.meta.key.namespace, selector)).or_default().push(&policy.meta);
    }
    for ((namespace, selector), mut all) in groups {
        all.sort_by(|one, two| one.order().cmp(&two.order()));
        let Some((winner, losers)) = all.split_first() else { continue };
        let of = match selector {
            Some(_) => "the same workloads",
            None if namespace == root => "the whole mesh",
            None => "all workloads of the namespace",
        };
        for loser in losers {
            let detail = format!("PeerAuthentication {} is for {of} too and wins", name(winner));
            let problem = Problem::error(&loser.key, "peer-authentication-conflict", "spec.selector", detail);
            found.push(problem.with_outcome("this one has no effect"));
        }
    }
}

/// TCP services on one address and port, of which connections show no difference: the oldest gets them all
/// (istiod counts `pilot_conflict_outbound_listener_tcp_over_current_tcp`).
pub(super) fn listeners(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let mut claims: Claims<'_> = BTreeMap::new();
    let mut http: Claims<'_> = BTreeMap::new();
    for service in snapshot.services.all().filter(|service| claims_listener(service)) {
        for port in &service.ports {
            if is_tcp(port.protocol) {
                claims.entry((&service.address, port.number)).or_default().push(service);
            } else if port.protocol.is_http() && &*service.address != UNSPECIFIED {
                http.entry((&service.address, port.number)).or_default().push(service);
            }
        }
    }
    covered(&claims, &http, found);
    for ((address, port), services) in claims {
        for (at, loser) in services.iter().enumerate() {
            let mut before = services.iter().take(at);
            let winner = before.find(|one| one.host != loser.host && one.export_to.meets(&loser.export_to));
            if let Some(winner) = winner {
                let (host, object) = (&winner.host, &winner.object);
                let detail = format!(
                    "connections to {address}:{port} go to {host} of {object}, which is older and wins, and not to {}",
                    loser.host
                );
                found.push(Problem::warning(&loser.object, "listener-conflict", "spec.ports", detail));
            }
        }
    }
}

/// HTTP services at the very address and port of a TCP service. They share the listener of all addresses, and the TCP
/// service's own, of that address, gets the connections whatever their age.
fn covered(tcp: &Claims<'_>, http: &Claims<'_>, found: &mut Vec<Problem>) {
    for (place, losers) in http {
        let winners = tcp.get(place).map_or(&[][..], Vec::as_slice);
        let (address, port) = place;
        for loser in losers {
            let winner =
                winners.iter().find(|one| one.host != loser.host && one.export_to.meets(&loser.export_to));
            if let Some(winner) = winner {
                let (host, object) = (&winner.host, &winner.object);
                let detail = format!(
                    "connections to {address}:{port} go as TCP to {host} of {object}, and its requests are not routed as those of {}",
                    loser.host
                );
                found.push(Problem::warning(&loser.object, "listener-conflict", "spec.ports", detail));
            }
        }
    }
}

/// Services by the address and port at which they listen.
type Claims<'a> = BTreeMap<(&'a str, u16), Vec<&'a Shared<Service>>>;

/// Whether a service listens at its own address, rather than at those of its endpoints or ones given to it.
fn claims_listener(service: &Service) -> bool {
    let is_headless = service.registry == Registry::Kubernetes && service.is_headless();
    let is_given = &*service.address == UNSPECIFIED && !service.auto_addresses.is_empty();
    !is_headless && !is_given && service.external_name.is_none()
}

/// Whether connections of this protocol show nothing by which two services could be told apart.
fn is_tcp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::Mysql)
}
