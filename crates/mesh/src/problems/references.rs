//! References to nothing: hosts, ports, subsets, gateways (IST0101, IST0132, IST0174).

use std::collections::BTreeSet;

use model::key::Meta;
use model::networking::{Destination, Gateway, VirtualService};
use model::{Host, Key, Kind, Problem, Text};

use crate::{MESH, Snapshot};

/// What is known of hosts, gathered once.
struct Known<'a> {
    snapshot: &'a Snapshot,
    /// Hosts of services that stand for many names.
    wildcards: Vec<&'a Host>,
    /// (host, subset) of all rules.
    subsets: BTreeSet<(&'a Host, &'a Text)>,
    /// The same of rules for many hosts.
    wide_subsets: Vec<(&'a Host, &'a Text)>,
}

impl<'a> Known<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let hosts = snapshot.services.all().map(|service| &service.host);
        let rules = snapshot.config.destination_rules.values();
        let subsets = rules.flat_map(|rule| rule.subsets.iter().map(|subset| (&rule.host, &subset.name)));
        let (wide, exact): (Vec<_>, Vec<_>) = subsets.partition(|(host, _)| host.is_wildcard());
        Self {
            snapshot,
            wildcards: hosts.filter(|host| host.is_wildcard()).collect(),
            subsets: exact.into_iter().collect(),
            wide_subsets: wide,
        }
    }

    fn has_host(&self, host: &Host) -> bool {
        !self.snapshot.services.of_host(host).is_empty()
            || self.wildcards.iter().any(|wide| host.is_subset_of(wide))
    }

    /// Whether a host that is known by its own name has a port of this number.
    fn lacks_port(&self, host: &Host, port: u16) -> bool {
        let services = self.snapshot.services.of_host(host);
        let lacks = services.iter().all(|service| service.ports.iter().all(|one| one.number != port));
        let is_alias = services.iter().any(|service| service.external_name.is_some());
        !services.is_empty()
            && lacks
            && !is_alias
            && self.wildcards.iter().all(|wide| !host.is_subset_of(wide))
    }

    fn has_subset(&self, host: &Host, subset: &Text) -> bool {
        let names = self.snapshot.services.aliases(host).iter().chain([host]);
        let wide = |host: &Host| {
            let mut wide = self.wide_subsets.iter();
            wide.any(|(rule, name)| *name == subset && host.is_subset_of(rule))
        };
        names.into_iter().any(|host| self.subsets.contains(&(host, subset)) || wide(host))
    }

    fn destination(&self, meta: &Meta, at: &str, to: &Destination, found: &mut Vec<Problem>) {
        let host = &to.host;
        let mut tell = |field: &str, code: &'static str, detail: String| {
            found.push(Problem::error(&meta.key, code, format!("{at}.{field}"), detail));
        };
        if host.as_str().is_empty() || host.is_wildcard() {
            return;
        }
        if !self.has_host(host) {
            let detail = format!("there is no service {host}; what is sent there fails (IST0101)");
            return tell("host", "unknown-host", detail);
        }
        if let Some(port) = to.port.filter(|port| self.lacks_port(host, *port)) {
            tell(
                "port.number",
                "unknown-port",
                format!("{host} has no port {port}; what is sent there fails"),
            );
        }
        if !to.subset.is_empty() && !self.has_subset(host, &to.subset) {
            let subset = &to.subset;
            let detail = format!(
                "no DestinationRule for {host} has a subset {subset}; what is sent there fails (IST0101)"
            );
            tell("subset", "unknown-subset", detail);
        }
    }
}

/// Destinations and gateways of all VirtualServices, delegates too.
pub(super) fn virtual_services(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let known = Known::of(snapshot);
    for service in snapshot.config.virtual_services.values() {
        destinations(service, |at, to| known.destination(&service.meta, at, to, found));
        if !service.hosts.is_empty() {
            bindings(snapshot, service, found);
        }
        conditions(snapshot, service, found);
    }
}

/// Every destination of a VirtualService, with its place.
pub(super) fn destinations(service: &VirtualService, mut see: impl FnMut(&str, &Destination)) {
    for (rule, http) in service.http.iter().enumerate() {
        for (at, route) in http.routes.iter().enumerate() {
            see(&format!("spec.http[{rule}].route[{at}].destination"), &route.destination);
        }
        if let Some(mirror) = &http.mirror {
            see(&format!("spec.http[{rule}].mirror"), mirror);
        }
        for (at, mirror) in http.mirrors.iter().enumerate() {
            see(&format!("spec.http[{rule}].mirrors[{at}].destination"), &mirror.destination);
        }
    }
    let tls = service.tls.iter().enumerate().map(|(rule, tls)| (format!("tls[{rule}]"), &tls.routes));
    let tcp = service.tcp.iter().enumerate().map(|(rule, tcp)| (format!("tcp[{rule}]"), &tcp.routes));
    for (rule, routes) in tls.chain(tcp) {
        for (at, route) in routes.iter().enumerate() {
            see(&format!("spec.{rule}.route[{at}].destination"), &route.destination);
        }
    }
}

/// The key of a Gateway that a VirtualService names; `None` for the mesh.
fn gateway_key(service: &VirtualService, name: &str) -> Option<Key> {
    let (namespace, name) = name.split_once('/')?;
    let near = service.meta.key.clone();
    Some(Key { kind: Kind::Gateway, namespace: namespace.into(), name: name.into(), ..near })
}

/// Conditions on Gateways that are not there.
fn conditions(snapshot: &Snapshot, service: &VirtualService, found: &mut Vec<Problem>) {
    let mut see = |rule: String, at: usize, gateways: &[Text]| {
        let keys = gateways.iter().filter_map(|name| gateway_key(service, name));
        for id in keys.filter(|id| snapshot.config.gateways.get(id).is_none()) {
            let detail = format!("there is no {id}; the condition does not hold there (IST0101)");
            let field = format!("spec.{rule}.match[{at}].gateways");
            found.push(Problem::error(&service.meta.key, "unknown-gateway", field, detail));
        }
    };
    for (rule, http) in service.http.iter().enumerate() {
        let matches = http.matches.iter().enumerate();
        matches.for_each(|(at, one)| see(format!("http[{rule}]"), at, &one.gateways));
    }
    for (rule, tls) in service.tls.iter().enumerate() {
        let matches = tls.matches.iter().enumerate();
        matches.for_each(|(at, one)| see(format!("tls[{rule}]"), at, &one.gateways));
    }
    for (rule, tcp) in service.tcp.iter().enumerate() {
        let matches = tcp.matches.iter().enumerate();
        matches.for_each(|(at, one)| see(format!("tcp[{rule}]"), at, &one.gateways));
    }
}

/// Gateways that are not there, and hosts that none of those that are there serves.
fn bindings(snapshot: &Snapshot, service: &VirtualService, found: &mut Vec<Problem>) {
    let key = &service.meta.key;
    let mut servers = Vec::new();
    let mut is_certain = true;
    for gateway in &service.gateways {
        let Some(id) = gateway_key(service, gateway) else {
            is_certain &= &**gateway != MESH;
            continue;
        };
        match snapshot.config.gateways.get(&id) {
            Some(gateway) => servers.push(gateway),
            None => {
                is_certain = false;
                let detail = format!("there is no {id}; the routes are not served there (IST0101)");
                found.push(Problem::error(key, "unknown-gateway", "spec.gateways", detail));
            }
        }
    }
    if !is_certain || servers.is_empty() {
        return;
    }
    for (at, host) in service.hosts.iter().enumerate() {
        if !servers.iter().any(|gateway| serves(gateway, host, &key.namespace)) {
            let gateways = service.gateways.join(", ");
            let detail =
                format!("{host} is no host of {gateways}; its routes are not served there (IST0132)");
            found.push(Problem::warning(key, "host-not-in-gateway", format!("spec.hosts[{at}]"), detail));
        }
    }
}

/// Whether a Gateway has a server for a host of a VirtualService of this namespace.
fn serves(gateway: &Gateway, host: &Host, namespace: &str) -> bool {
    let hosts = gateway.servers.iter().flat_map(|server| server.hosts.iter());
    let mut hosts = hosts.map(|host| host.split_once('/').unwrap_or(("*", host)));
    hosts.any(|(of, name)| {
        let own = &*gateway.meta.key.namespace;
        let allowed = of == "*" || of == namespace || (of == "." && own == namespace);
        allowed && Host::new(name).overlaps(host)
    })
}

/// Hosts of DestinationRules.
pub(super) fn destination_rules(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let known = Known::of(snapshot);
    for rule in snapshot.config.destination_rules.values() {
        let host = &rule.host;
        if !host.is_wildcard() && !known.has_host(host) {
            let detail = format!("there is no service {host}; the rule has no effect (IST0174)");
            found.push(Problem::warning(&rule.meta.key, "unknown-host", "spec.host", detail));
        }
    }
}
