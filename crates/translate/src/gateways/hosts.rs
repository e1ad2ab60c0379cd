//! Which hosts of a VirtualService a server of a gateway takes.

use mesh::GatewayServer;
use model::Host;
use model::networking::VirtualService;

/// The server's hosts that a VirtualService of this namespace may use, without their namespace.
pub(super) fn usable<'a>(
    server: &'a GatewayServer,
    service: &'a VirtualService,
) -> impl Iterator<Item = Host> + 'a {
    server.server.hosts.iter().filter_map(|host| match host.split_once('/') {
        Some((namespace, host)) => (namespace == &*service.meta.key.namespace).then(|| Host::new(host)),
        None => Some(Host::new(host)),
    })
}

/// The hosts that both have: of each pair that overlaps the narrower one, in the VirtualService's order.
pub(super) fn shared(server: &GatewayServer, service: &VirtualService) -> Vec<Host> {
    let usable: Vec<Host> = usable(server, service).collect();
    let mut hosts: Vec<Host> = Vec::new();
    for own in &service.hosts {
        for host in &usable {
            let narrower = match (own.is_subset_of(host), host.is_subset_of(own)) {
                (true, _) => own,
                (false, true) => host,
                (false, false) => continue,
            };
            if !hosts.contains(narrower) {
                hosts.push(narrower.clone());
            }
        }
    }
    hosts
}
