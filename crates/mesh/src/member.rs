//! What is known of one connected proxy: its workload, services, scope and policies.

use memo::Shared;
use model::proxy::Proxy;
use model::proxy_config::ProxyConfig;
use model::{Labels, Service, ServicePort, Text};

use crate::{MergedGateway, Scope, WorkloadAuthn};

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
    /// Its effective configuration.
    pub config: Shared<ProxyConfig>,
    /// Whether it uses addresses that the allocator gave to services.
    pub auto_addresses: bool,
}

impl Member {
    /// Joins a proxy with a state of the mesh.
    pub(crate) fn new(snapshot: &crate::Snapshot, proxy: &Shared<Proxy>) -> Self {
        let labels = proxy.labels.clone();
        let inputs = crate::ScopeInputs::of(snapshot, proxy, &labels);
        Self {
            scope: snapshot.scopes.get(&inputs, Scope::new),
            authn: Shared::new(snapshot.authn.of_workload(&proxy.namespace, &labels)),
            config: Shared::new(proxy.config.clone().unwrap_or_default()),
            proxy: proxy.clone(),
            locality: proxy.locality.clone(),
            auto_addresses: proxy.uses_auto_addresses(&snapshot.config.settings),
            targets: Vec::new(),
            gateway: None,
            labels,
        }
    }

    /// The proxy's machine, if some visible service is local to nodes; else empty.
    pub(crate) fn endpoint_node(&self) -> Text {
        Text::from("")
    }

    /// Labels by which some visible service's failover goes.
    pub(crate) fn failover_labels(&self) -> Labels {
        Labels::default()
    }

    /// Labels that some visible route's `sourceLabels` mentions.
    pub(crate) fn source_labels(&self) -> Labels {
        Labels::default()
    }
}
