//! Gateways that open less than they say: servers whose port or hosts others have (IST0145), selectors of no workload
//! (IST0101), secrets that nobody serves.

use std::collections::BTreeMap;

use memo::Shared;
use model::networking::{Gateway, ServerTlsMode};
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

/// Gateways that no workload is selected by, where workloads are known.
pub(super) fn selectors(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    let own_only = snapshot.config.settings.scope_gateway_to_namespace;
    let (pods, entries) = (&snapshot.config.pods, &snapshot.config.workload_entries);
    if pods.is_empty() && entries.is_empty() {
        return;
    }
    let mut selected: BTreeMap<(&Labels, Option<&Text>), bool> = BTreeMap::new();
    for gateway in snapshot.config.gateways.values() {
        let key = &gateway.meta.key;
        let named = gateway.meta.annotations.get("internal.istio.io/gateway-service").is_some();
        let near = own_only.then_some(&key.namespace);
        // Many Gateways share a selector, and workloads are many.
        let is_any = |namespace: &Text, labels: &Labels| {
            gateway.selector.selects(labels) && near.is_none_or(|near| near == namespace)
        };
        let is_selected = *selected.entry((&gateway.selector, near)).or_insert_with(|| {
            pods.values().any(|pod| is_any(&pod.meta.key.namespace, &pod.meta.labels))
                || entries.values().any(|entry| is_any(&entry.meta.key.namespace, &entry.spec.labels))
        });
        if named || is_selected {
            continue;
        }
        let detail = "no workload has these labels; the Gateway opens nothing until one does (IST0101)";
        found.push(Problem::warning(key, "selector-without-workload", "spec.selector", detail));
    }
}

/// Servers that wait for a secret, which is not served yet.
pub(super) fn secrets(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    for gateway in snapshot.config.gateways.values() {
        for (at, server) in gateway.servers.iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            let ends = matches!(
                tls.mode,
                ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual
            );
            let Some(secret) = tls.credential_names.first().or(Some(&tls.credential_name)) else { continue };
            // Files and other servers of secrets have schemes of their own.
            let is_ours = secret.split_once("://").is_none_or(|(scheme, _)| scheme == "kubernetes");
            if !ends || secret.is_empty() || !is_ours {
                continue;
            }
            let field = if tls.credential_names.is_empty() { "credentialName" } else { "credentialNames" };
            let detail = format!("secrets are not served yet, {secret} neither");
            let field = format!("spec.servers[{at}].tls.{field}");
            let problem = Problem::warning(&gateway.meta.key, "secret-not-served", field, detail);
            let outcome = format!("the gateway waits for it and does not answer at port {}", server.number);
            found.push(problem.with_outcome(outcome));
        }
    }
}
