//! One immutable state of the mesh.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use memo::{Memo, Shared};
use model::mesh_config::MeshConfig;
use model::proxy::Proxy;
use model::{Problem, Text};

use crate::asks::{Asks, Bound};
use crate::discovery::{self, Discovery};
use crate::endpoints::Inputs;
use crate::{
    AuthnIndex, Collectors, Config, EndpointIndex, GatewayIndex, Member, RouteIndex, RuleIndex, Scope,
    ScopeInputs, SelectorIndex, ServiceIndex, ServiceTarget, SidecarIndex, WorkloadIndex, targets,
};

/// By scope and mesh configuration.
type AskMemo = Memo<(Shared<Scope>, Shared<MeshConfig>), Asks>;

/// Config and the indexes derived from it; cheap to clone, never changed.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each index is described at its type")]
pub struct Snapshot {
    /// Counts up with every state.
    pub generation: u64,
    /// How logs and status call the state.
    pub label: Arc<str>,
    /// What was read, as far as it counts.
    pub config: Config,
    pub services: Shared<ServiceIndex>,
    pub selectors: Shared<SelectorIndex>,
    pub workloads: Shared<WorkloadIndex>,
    pub endpoints: Shared<EndpointIndex>,
    pub rules: Shared<RuleIndex>,
    pub routes: Shared<RouteIndex>,
    pub sidecars: Shared<SidecarIndex>,
    pub authn: Shared<AuthnIndex>,
    pub gateways: Shared<GatewayIndex>,
    pub collectors: Shared<Collectors>,
    /// Scopes by their inputs, kept from one snapshot to the next.
    pub scopes: Arc<Memo<ScopeInputs, Scope>>,
    /// What scopes ask of proxies.
    pub(crate) asks: Arc<AskMemo>,
    /// What was read, where not all of it counts.
    discovery: Arc<Discovery>,
    /// Labels that rules of gateways mention.
    pub(crate) bound: Arc<Memo<Bound, BTreeSet<Text>>>,
    /// What is wrong between objects, once somebody has asked.
    pub(crate) found: Arc<OnceLock<Arc<[Problem]>>>,
}

impl Snapshot {
    /// The state after `config`; an index in which nothing has changed keeps its handle.
    #[must_use]
    pub fn next(&self, config: Config) -> Self {
        let (discovery, config) = self.discovery.next(config);
        let was = &self.config;
        let services = self.services.or_same(self.services.next(was, &config));
        let workloads = self.workloads.or_same(self.workloads.next(was, &config));
        let before = Inputs { config: was, services: &self.services, workloads: &self.workloads };
        let after = Inputs { config: &config, services: &services, workloads: &workloads };
        let endpoints = self.endpoints.or_same(self.endpoints.next(before, after));
        let selectors = match services == self.services {
            true => self.selectors.clone(),
            false => self.selectors.or_same(SelectorIndex::new(&services)),
        };
        Self {
            generation: self.generation + 1,
            label: (self.generation + 1).to_string().into(),
            rules: self.rules.or_same(self.rules.next(was, &config)),
            routes: self.routes.or_same(self.routes.next(was, &config)),
            sidecars: self.sidecars.or_same(self.sidecars.next(was, &config)),
            authn: self.authn.or_same(self.authn.next(was, &config)),
            gateways: self.gateways.or_same(self.gateways.next(was, &config)),
            collectors: self.collectors.or_same(Collectors::new(&config.mesh, &services)),
            scopes: self.scopes.clone(),
            asks: self.asks.clone(),
            discovery,
            bound: self.bound.clone(),
            found: Arc::default(),
            selectors,
            services,
            workloads,
            endpoints,
            config,
        }
    }

    /// The namespaces of the local cluster that discovery selectors do not hide, by name.
    pub fn namespaces(&self) -> BTreeSet<Text> {
        discovery::namespaces(&self.config)
    }

    /// What is known of a proxy in this state.
    pub fn member(&self, proxy: &Shared<Proxy>) -> Member {
        Member::new(self, proxy)
    }

    /// The ports of services that lead to a proxy's workload, by age of the service, then host.
    pub fn targets(&self, proxy: &Proxy) -> Vec<ServiceTarget> {
        targets::of(self, proxy, targets::workload_of(self, proxy).map(|workload| &**workload)).0
    }

    /// Whether nothing but endpoints is different from `before`, so that every proxy sees the same services
    /// under the same rules.
    pub fn differs_in_endpoints_only(&self, before: &Self) -> bool {
        self.services == before.services
            && self.workloads == before.workloads
            && self.rules == before.rules
            && self.routes == before.routes
            && self.sidecars == before.sidecars
            && self.authn == before.authn
            && self.gateways == before.gateways
            && self.config.mesh == before.config.mesh
    }

    /// Lets go of scopes that nobody holds and nobody has asked for of late; once per push.
    pub fn sweep(&self) {
        self.scopes.sweep();
        self.asks.sweep();
        self.bound.sweep();
    }
}
