//! What a proxy is served in a state of the mesh: its sets, found or made.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_api::{Name, type_url};
use memo::Shared;
use mesh::{
    ClusterProfile, EndpointIndex, EndpointProfile, ListenerProfile, Member, RouteIndex, RouteProfile,
    Snapshot,
};
use model::ProxyKind;
use smallvec::SmallVec;
use tokio::time::Instant;
use translate::{Memos, clusters, endpoints, gateways, listeners, routes};
use xds::{Change, Kind, Set, TypeView, View};

use crate::family::{Family, Interner, Owner, replace};

/// Names that a client asked for beyond what its listeners mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Route configurations.
    pub routes: BTreeSet<Name>,
    /// How often the client has changed its mind about them.
    pub changes: u64,
}

/// Sets and memos of all families; one for the whole process.
#[derive(Default)]
pub struct Planner {
    memos: Memos,
    cluster_profiles: Interner<ClusterProfile>,
    endpoint_profiles: Interner<EndpointProfile>,
    listener_profiles: Interner<ListenerProfile>,
    route_profiles: Interner<RouteProfile>,
    outbound: Family<ClusterProfile, clusters::OutboundInputs>,
    inbound: Family<ListenerProfile, clusters::InboundInputs>,
    endpoints: Family<EndpointProfile, EndpointInputs>,
    listeners: Family<ListenerProfile, listeners::Inputs>,
    routes: Family<RouteProfile, RouteInputs>,
    no_routes: Shared<RouteIndex>,
}

#[derive(Clone, PartialEq)]
struct EndpointInputs {
    fixed: endpoints::Inputs,
    index: Shared<EndpointIndex>,
}

#[derive(Clone, PartialEq)]
struct RouteInputs {
    fixed: routes::Inputs,
    names: BTreeSet<Name>,
}

/// How many plans and resources were made and reused, by family, and how many sets there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is a family")]
pub struct Counts {
    pub outbound_sets: usize,
    pub inbound_sets: usize,
    pub endpoint_sets: usize,
    pub listener_sets: usize,
    pub route_sets: usize,
}

impl Planner {
    /// The view of a proxy in a state of the mesh.
    pub fn view(&mut self, snapshot: &Snapshot, member: &Member, wanted: &Wanted, since: Instant) -> View {
        let listener_profile = self.listener_profiles.get(ListenerProfile::of(member));
        let outbound = self.outbound_clusters(snapshot, member);
        let inbound = self.inbound_clusters(snapshot, member, &listener_profile);
        let endpoints = self.endpoints(snapshot, member);
        let listeners = self.listeners(snapshot, member, &listener_profile);
        let routes = self.routes(snapshot, member, &listeners, wanted);
        let named = |set, missing| TypeView { missing: Some(missing), ..TypeView::new(Kind::Named, set) };
        let clusters = TypeView {
            layers: SmallVec::from_iter([inbound, outbound]),
            ..TypeView::new(Kind::Wildcard, Set::default())
        };
        let types = [
            (type_url::CLUSTER, clusters),
            (type_url::ENDPOINT, named(endpoints, endpoints::missing)),
            (type_url::LISTENER, TypeView::new(Kind::Wildcard, listeners)),
            (type_url::ROUTE, named(routes, routes::missing)),
        ];
        View {
            generation: snapshot.generation,
            label: snapshot.generation.to_string().into(),
            wants: wanted.changes,
            since,
            types: types.into_iter().map(|(url, view)| (Arc::from(url), view)).collect(),
        }
    }

    /// After all proxies of a state have their view: lets go of what none of them uses.
    pub fn sweep(&mut self, generation: u64) {
        self.outbound.retain(generation);
        self.inbound.retain(generation);
        self.endpoints.retain(generation);
        self.listeners.retain(generation);
        self.routes.retain(generation);
        self.cluster_profiles.retain();
        self.endpoint_profiles.retain();
        self.listener_profiles.retain();
        self.route_profiles.retain();
        self.memos.sweep();
    }

    /// The memos, for their counters.
    pub fn memos(&self) -> &Memos {
        &self.memos
    }

    /// The number of sets by family.
    pub fn counts(&self) -> Counts {
        Counts {
            outbound_sets: self.outbound.len(),
            inbound_sets: self.inbound.len(),
            endpoint_sets: self.endpoints.len(),
            listener_sets: self.listeners.len(),
            route_sets: self.routes.len(),
        }
    }

    fn outbound_clusters(&mut self, snapshot: &Snapshot, member: &Member) -> Set {
        let profile = self.cluster_profiles.get(ClusterProfile::of(member));
        let inputs = clusters::OutboundInputs {
            scope: member.scope.clone(),
            profile: profile.clone(),
            facts: snapshot.endpoints.facts.clone(),
            authn: snapshot.authn.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.clusters;
        self.outbound.get(Owner::new(member, profile), inputs, snapshot.generation, |inputs, before| {
            replace(before.map(|(_, set)| set), clusters::outbound(inputs, memos))
        })
    }

    fn inbound_clusters(
        &mut self,
        snapshot: &Snapshot,
        member: &Member,
        profile: &Shared<ListenerProfile>,
    ) -> Set {
        let inputs = clusters::InboundInputs {
            targets: member.targets.clone(),
            scope: member.scope.clone(),
            profile: profile.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.clusters;
        self.inbound.get(
            Owner::new(member, profile.clone()),
            inputs,
            snapshot.generation,
            |inputs, before| replace(before.map(|(_, set)| set), clusters::inbound(inputs, memos)),
        )
    }

    fn endpoints(&mut self, snapshot: &Snapshot, member: &Member) -> Set {
        let profile = self.endpoint_profiles.get(EndpointProfile::of(member));
        let fixed = endpoints::Inputs {
            scope: member.scope.clone(),
            profile: profile.clone(),
            authn: snapshot.authn.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let inputs = EndpointInputs { fixed, index: snapshot.endpoints.clone() };
        let memos = &self.memos.endpoints;
        let make = |inputs: &EndpointInputs, before: Option<(&EndpointInputs, &Set)>| match before {
            Some((old, set)) if old.fixed == inputs.fixed => patch_endpoints(inputs, &old.index, set, memos),
            other => replace(other.map(|(_, set)| set), all_endpoints(inputs, memos)),
        };
        self.endpoints.get(Owner::new(member, profile), inputs, snapshot.generation, make)
    }

    fn listeners(&mut self, snapshot: &Snapshot, member: &Member, profile: &Shared<ListenerProfile>) -> Set {
        let is_gateway = member.proxy.kind == ProxyKind::Router;
        let inputs = listeners::Inputs {
            scope: member.scope.clone(),
            profile: profile.clone(),
            targets: member.targets.clone(),
            workload_authn: member.authn.clone(),
            gateway: member.gateway.clone(),
            facts: snapshot.endpoints.facts.clone(),
            routes: if is_gateway { snapshot.routes.clone() } else { self.no_routes.clone() },
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.listeners;
        self.listeners.get(
            Owner::new(member, profile.clone()),
            inputs,
            snapshot.generation,
            |inputs, before| {
                let resources = if is_gateway {
                    gateways::listeners(inputs, memos)
                } else {
                    listeners::sidecar(inputs, memos)
                };
                replace(before.map(|(_, set)| set), resources)
            },
        )
    }

    fn routes(&mut self, snapshot: &Snapshot, member: &Member, listeners: &Set, wanted: &Wanted) -> Set {
        let profile = self.route_profiles.get(RouteProfile::of(member));
        let is_gateway = member.proxy.kind == ProxyKind::Router;
        let fixed = routes::Inputs {
            scope: member.scope.clone(),
            profile: profile.clone(),
            gateway: member.gateway.clone(),
            routes: if is_gateway { snapshot.routes.clone() } else { self.no_routes.clone() },
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let named = listeners.iter().flat_map(|listener| listener.needs.routes.iter());
        let names = named.chain(&wanted.routes).cloned().collect();
        let memos = &self.memos.routes;
        let make = |inputs: &RouteInputs, before: Option<(&RouteInputs, &Set)>| {
            let route = |name: &Name| match is_gateway {
                true => gateways::route(&inputs.fixed, name, memos),
                false => Some(routes::sidecar(&inputs.fixed, name, memos)),
            };
            replace(before.map(|(_, set)| set), inputs.names.iter().filter_map(route).collect())
        };
        let inputs = RouteInputs { fixed, names };
        self.routes.get(Owner::new(member, profile), inputs, snapshot.generation, make)
    }
}

fn all_endpoints(inputs: &EndpointInputs, memos: &endpoints::Memos) -> Vec<Shared<envoy_api::Resource>> {
    let services = inputs.fixed.scope.services.iter().enumerate();
    let of_service = |(at, scoped): (usize, &mesh::ScopedService)| {
        let found = inputs.index.of(&scoped.service.host, &scoped.service.namespace);
        endpoints::of_service(&inputs.fixed, at, found, memos)
    };
    services.flat_map(of_service).collect()
}

/// Only endpoints have changed: the clusters of those services are planned again, and no other.
fn patch_endpoints(inputs: &EndpointInputs, old: &EndpointIndex, set: &Set, memos: &endpoints::Memos) -> Set {
    let mut changes = Vec::new();
    for (host, namespace) in inputs.index.changed(old) {
        let scope = &inputs.fixed.scope;
        let Some(at) = scope.by_host.get(&host).copied() else { continue };
        if scope.services.get(at).is_none_or(|scoped| scoped.service.namespace != namespace) {
            continue;
        }
        let found = inputs.index.of(&host, &namespace);
        let resources = endpoints::of_service(&inputs.fixed, at, found, memos);
        changes.extend(resources.iter().map(|resource| Change::Put(Arc::clone(resource.arc()))));
    }
    set.with(changes)
}
