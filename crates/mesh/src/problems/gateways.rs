//! Servers of Gateways that are left out because others have their port or hosts (IST0145).

use std::collections::BTreeMap;

use memo::Shared;
use model::networking::Gateway;
use model::{Labels, Problem, Text};

use super::name;
use crate::Snapshot;
use crate::gateways::{Dropped, dropped};

/// Servers that are left out among Gateways for the very same workloads. What ports become behind a Service
/// does not matter: ports that are equal stay equal.
pub(super) fn servers(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let own_only = snapshot.config.settings.scope_gateway_to_namespace;
    let mut groups: BTreeMap<(&Labels, Option<&Text>), Vec<&Shared<Gateway>>> = BTreeMap::new();
    for gateway in snapshot.gateways.ordered.values() {
        let namespace = own_only.then_some(&gateway.meta.key.namespace);
        groups.entry((&gateway.selector, namespace)).or_default().push(gateway);
    }
    for gateways in groups.into_values() {
        for Dropped { gateway, server, winner, why } in dropped(&gateways) {
            let by = winner.map_or_else(String::new, |winner| {
                if winner.meta.key == gateway.meta.key {
                    ", by another server of the same Gateway".to_owned()
                } else {
                    format!(", by Gateway {}", name(&winner.meta))
                }
            });
            let detail = format!("the server is left out: {why}{by} (IST0145)");
            let field = format!("spec.servers[{server}]");
            found.push(Problem::error(&gateway.meta.key, "gateway-conflict", field, detail));
        }
    }
}
