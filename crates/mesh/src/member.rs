//! What is known of one connected proxy: its workload, services, scope and policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use memo::Shared;
use model::proxy::Proxy;
use model::proxy_config::ProxyConfig;
use model::{Host, Kind, Labels, ProxyKind, Service, ServicePort, Text};

use crate::asks::{Asks, Bound, narrowed};
use crate::workloads::augmented;
use crate::{MergedGateway, Scope, ScopeInputs, Snapshot, Workload, WorkloadAuthn, targets};

/// A port of a service that leads to the proxy's workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceTarget {
    /// The service.
    pub service: Shared<Service>,
    /// The service's port.
    pub port: ServicePort,
    /// The workload's port that it leads to.
    pub target_port: u16,
}

/// A proxy joined with what the snapshot says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The proxy as it connected.
    pub proxy: Shared<Proxy>,
    /// Its labels: declared ones under the pod's, with topology labels (xds-semantics, service targets).
    pub labels: Labels,
    /// `region/zone/subzone`, may be empty.
    pub locality: Text,
    /// Service ports that lead to it, by age of the service, then host.
    pub targets: Vec<ServiceTarget>,
    /// What it sees.
    pub scope: Shared<Scope>,
    /// What it serves mutual TLS by.
    pub authn: Shared<WorkloadAuthn>,
    /// What it opens, for a gateway.
    pub gateway: Option<Shared<MergedGateway>>,
    /// The hosts whose clusters it gets; `None` for all.
    pub cluster_hosts: Option<Arc<BTreeSet<Host>>>,
    /// Its configuration: what it declares (`PROXY_CONFIG`), else the mesh's default.
    ///
    /// ProxyConfig objects have no say here. They hold what a proxy is started with (threads, environment,
    /// image), so that injection puts them into what it declares; istiod's generators do not look at them.
    pub config: Shared<ProxyConfig>,
    /// Whether it uses addresses that the allocator gave to services.
    pub auto_addresses: bool,
    /// Whether its targets were found by endpoints at its address, not by selectors alone.
    pub hangs_on_endpoints: bool,
    /// What its scope asks of it.
    asks: Shared<Asks>,
}

impl Member {
    /// Joins a proxy with a state of the mesh.
    pub(crate) fn new(snapshot: &Snapshot, proxy: &Shared<Proxy>) -> Self {
        let config = &snapshot.config;
        let workload = targets::workload_of(snapshot, proxy);
        let (targets, hangs_on_endpoints) =
            targets::of(snapshot, proxy, workload.map(|workload| &**workload));
        let (labels, locality) = place(snapshot, proxy, workload.map(|workload| &**workload), &targets);
        let is_gateway = proxy.kind == ProxyKind::Router;
        let gateway =
            is_gateway.then(|| snapshot.gateways.merged(proxy, &labels, &targets, config)).flatten();
        let scope = snapshot.scopes.get(&ScopeInputs::of(snapshot, proxy, &labels), Scope::new);
        let asks =
            snapshot.asks.get(&(scope.clone(), config.mesh.clone()), |(scope, mesh)| Asks::new(scope, mesh));
        let bound = gateway.as_ref().map(|gateway| Bound::of(gateway, &snapshot.routes, &proxy.namespace));
        let bound = bound.map(|bound| snapshot.bound.get(&bound, Bound::source_labels));
        Self {
            asks: match bound {
                Some(bound) => Asks::with_bound(asks, &bound),
                None => asks,
            },
            scope,
            cluster_hosts: gateway_hosts(snapshot, proxy, gateway.as_ref()).map(Arc::new),
            authn: Shared::new(snapshot.authn.of_workload(&proxy.namespace, &labels)),
            gateway: gateway.map(Shared::new),
            config: Shared::new(proxy.config.clone().unwrap_or_else(|| config.mesh.default_config.clone())),
            auto_addresses: proxy.uses_auto_addresses(&config.settings),
            proxy: proxy.clone(),
            hangs_on_endpoints,
            locality,
            targets,
            labels,
        }
    }

    /// Takes over handles of a former state of the same proxy where what they hold is equal.
    pub fn keep_handles(&mut self, before: &Self) {
        if *self.config == *before.config {
            self.config = before.config.clone();
        }
        if *self.asks == *before.asks {
            self.asks = before.asks.clone();
        }
        if let (Some(gateway), Some(before)) = (&mut self.gateway, &before.gateway)
            && **gateway == **before
        {
            *gateway = before.clone();
        }
    }

    /// Whether nothing but the scope is another one than in `before`, so that every profile is the same.
    pub fn is_but_for_scope(&self, before: &Self) -> bool {
        // Field by field, so that a new one cannot be left out.
        let Self {
            proxy,
            labels,
            locality,
            targets,
            scope: _,
            authn,
            gateway,
            cluster_hosts,
            config,
            auto_addresses,
            hangs_on_endpoints,
            asks,
        } = self;
        (proxy, labels, locality, targets, authn)
            == (&before.proxy, &before.labels, &before.locality, &before.targets, &before.authn)
            && (gateway, cluster_hosts) == (&before.gateway, &before.cluster_hosts)
            && (config, asks) == (&before.config, &before.asks)
            && (*auto_addresses, *hangs_on_endpoints) == (before.auto_addresses, before.hangs_on_endpoints)
    }

    /// The proxy's machine, if some visible service is local to machines; else empty.
    pub(crate) fn endpoint_node(&self) -> Text {
        if self.asks.node { self.proxy.node_name.clone() } else { Text::default() }
    }

    /// Whether some server of it forwards connections by server name.
    pub(crate) fn forwards_by_server_name(&self) -> bool {
        self.gateway.as_ref().is_some_and(|gateway| !gateway.auto_passthrough.is_empty())
    }

    /// Labels by which some visible service's failover goes.
    pub(crate) fn failover_labels(&self) -> Labels {
        narrowed(&self.labels, &self.asks.failover)
    }

    /// Those by which failover of services goes whose endpoints' names are resolved.
    pub(crate) fn name_labels(&self) -> Labels {
        narrowed(&self.labels, &self.asks.names)
    }

    /// Labels that some visible route's `sourceLabels` mentions.
    pub(crate) fn source_labels(&self) -> Labels {
        narrowed(&self.labels, &self.asks.source)
    }
}

/// Hosts that a gateway needs clusters of: those that its routes lead to and those of the mesh's
/// providers; `None` if it is no gateway, or gets all.
fn gateway_hosts(
    snapshot: &Snapshot,
    proxy: &Proxy,
    gateway: Option<&MergedGateway>,
) -> Option<BTreeSet<Host>> {
    let (settings, mesh) = (&snapshot.config.settings, &snapshot.config.mesh);
    if proxy.kind != ProxyKind::Router || !settings.filter_gateway_clusters {
        return None;
    }
    let servers = gateway.into_iter().flat_map(|gateway| &gateway.servers).flat_map(|entry| &entry.servers);
    let names: BTreeSet<&Text> = servers.map(|server| &server.gateway).collect();
    let mut hosts = snapshot.routes.destinations_at(&names, settings.scope_gateway_to_namespace);
    let services = mesh.extension_providers.iter().filter_map(|provider| provider.kind.service());
    hosts.extend(services.map(|service| Host::new(service.service.rsplit('/').next().unwrap_or_default())));
    Some(hosts)
}

/// Labels and locality: those of the workload over those that the proxy declares, with topology labels.
fn place(
    snapshot: &Snapshot,
    proxy: &Proxy,
    workload: Option<&Workload>,
    targets: &[ServiceTarget],
) -> (Labels, Text) {
    let locality = match workload.map(|workload| &workload.facts.locality) {
        Some(locality) if !locality.is_empty() && proxy.locality.is_empty() => locality.clone(),
        _ => proxy.locality.clone(),
    };
    let labels = match workload.filter(|workload| workload.key.kind == Kind::Pod) {
        Some(pod) => proxy.labels.overlaid(&pod.labels),
        None => match targets::entry_labels(snapshot, targets, proxy) {
            Some(labels) => proxy.static_labels.overlaid(labels),
            None => proxy.labels.clone(),
        },
    };
    let labels = augmented(&labels, &locality, &proxy.cluster, &proxy.node_name, &proxy.network);
    (labels, locality)
}

#[cfg(test)]
mod tests {
    use model::proxy_config::ProxyConfigObject;

    use super::*;
    use crate::Config;
    use crate::builders::{With, meta, proxy};

    #[test]
    fn proxy_config_objects_change_nothing_that_a_connected_proxy_is_sent() {
        let before = Snapshot::default().next(Config::default());
        let object = ProxyConfigObject {
            meta: meta(Kind::ProxyConfig, "istio-system/all", 0),
            selector: None,
            concurrency: Some(4),
            environment: vec![("A".into(), "b".into())],
            image_type: "debug".into(),
        };
        let after = before.next(before.config.clone().with(object));
        let proxy = Shared::new(proxy("a"));
        assert_eq!(*after.member(&proxy).config, *before.member(&proxy).config);
        assert!(after.differs_in_endpoints_only(&before));
    }
}
