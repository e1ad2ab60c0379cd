//! One immutable state of the mesh.

use memo::{Memo, Shared};
use model::proxy::Proxy;
use std::sync::Arc;

use crate::{
    AuthnIndex, Config, EndpointIndex, GatewayIndex, Member, RouteIndex, RuleIndex, Scope, ScopeInputs,
    ServiceIndex, SidecarIndex, WorkloadIndex,
};

/// Config and the indexes derived from it; cheap to clone, never changed.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each index is described at its type")]
pub struct Snapshot {
    /// Counts up with every state.
    pub generation: u64,
    pub config: Config,
    pub services: Shared<ServiceIndex>,
    pub workloads: Shared<WorkloadIndex>,
    pub endpoints: Shared<EndpointIndex>,
    pub rules: Shared<RuleIndex>,
    pub routes: Shared<RouteIndex>,
    pub sidecars: Shared<SidecarIndex>,
    pub authn: Shared<AuthnIndex>,
    pub gateways: Shared<GatewayIndex>,
    /// Scopes by their inputs, kept from one snapshot to the next.
    pub scopes: Arc<Memo<ScopeInputs, Scope>>,
}

impl Snapshot {
    /// The state after `config`; an index in which nothing has changed keeps its handle.
    #[must_use]
    pub fn next(&self, config: Config) -> Self {
        let was = &self.config;
        let services = self.services.or_same(self.services.next(was, &config));
        let workloads = self.workloads.or_same(self.workloads.next(was, &config));
        let before = (was, &*self.services, &*self.workloads);
        let endpoints = self.endpoints.or_same(self.endpoints.next(before, (&config, &services, &workloads)));
        Self {
            generation: self.generation + 1,
            rules: self.rules.or_same(self.rules.next(was, &config)),
            routes: self.routes.or_same(self.routes.next(was, &config)),
            sidecars: self.sidecars.or_same(self.sidecars.next(was, &config)),
            authn: self.authn.or_same(self.authn.next(was, &config)),
            gateways: self.gateways.or_same(self.gateways.next(was, &config)),
            scopes: self.scopes.clone(),
            services,
            workloads,
            endpoints,
            config,
        }
    }

    /// What is known of a proxy in this state.
    pub fn member(&self, proxy: &Shared<Proxy>) -> Member {
        Member::new(self, proxy)
    }
}
