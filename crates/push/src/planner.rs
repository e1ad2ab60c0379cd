//! What a proxy is served in a state of the mesh: its sets, found or made.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use envoy_api::{Name, type_url};
use memo::Shared;
use mesh::{
    ClusterProfile, EndpointIndex, EndpointProfile, ListenerProfile, Member, NameProfile, RouteIndex,
    RouteProfile, Scope, Snapshot, WorkloadAuthn,
};
use model::{Key, Labels, ProxyKind, Text};
use smallvec::SmallVec;
use tokio::time::Instant;
use translate::{Memos, clusters, endpoints, gateways, listeners, name_table, routes};
use xds::{Change, Kind, Set, TypeView, View};

use crate::family::{Family, Interner, Owner, replace};
use crate::route_sets::RouteSets;

/// Names that a client asked for beyond what its listeners mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Route configurations.
    pub routes: BTreeSet<Name>,
    /// How often the client has changed its mind about them.
    pub changes: u64,
}

/// Sets and memos of all families; one for the whole process.
pub struct Planner {
    memos: Arc<Memos>,
    /// Counts how often it was [begun](Self::begin).
    round: u64,
    scopes: HashMap<ScopeOwner, Kept>,
    authn: Interner<WorkloadAuthn>,
    cluster_profiles: Interner<ClusterProfile>,
    endpoint_profiles: Interner<EndpointProfile>,
    listener_profiles: Interner<ListenerProfile>,
    route_profiles: Interner<RouteProfile>,
    name_profiles: Interner<NameProfile>,
    outbound: Family<ClusterProfile, clusters::OutboundInputs>,
    inbound: Family<ListenerProfile, clusters::InboundInputs>,
    endpoints: Family<EndpointProfile, EndpointInputs>,
    listeners: Family<ListenerProfile, listeners::Inputs>,
    routes: RouteSets,
    names: Family<NameProfile, name_table::Inputs>,
    no_routes: Shared<RouteIndex>,
    /// Type URLs as views name them.
    urls: [Arc<str>; 4],
    name_url: Arc<str>,
}

/// Whose scope it is, whatever it holds: namespace, Sidecar, labels that rules select by, kind of proxy.
type ScopeOwner = (Text, Option<Key>, Labels, ProxyKind);

/// The newest scope of an owner, and the first one that was equal to it.
struct Kept {
    newest: Shared<Scope>,
    first: Shared<Scope>,
}

impl Kept {
    /// Whether somebody else holds the first one, which is what seats are given.
    fn is_in_use(&self) -> bool {
        let own = if Arc::ptr_eq(self.newest.arc(), self.first.arc()) { 2 } else { 1 };
        Arc::strong_count(self.first.arc()) > own
    }
}

/// A proxy with its profiles: what its sets are found by.
#[derive(Clone, Debug)]
pub struct Seat {
    /// What is known of it.
    pub member: Member,
    cluster: Shared<ClusterProfile>,
    endpoint: Shared<EndpointProfile>,
    listener: Shared<ListenerProfile>,
    route: Shared<RouteProfile>,
    /// Of a proxy that answers DNS questions; nobody else asks for names.
    name: Option<Shared<NameProfile>>,
}

#[derive(Clone, PartialEq)]
struct EndpointInputs {
    fixed: endpoints::Inputs,
    index: Shared<EndpointIndex>,
}

/// How many sets there are, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is a family")]
pub struct Counts {
    pub outbound_sets: usize,
    pub inbound_sets: usize,
    pub endpoint_sets: usize,
    pub listener_sets: usize,
    pub route_sets: usize,
    pub name_sets: usize,
}

impl Default for Planner {
    fn default() -> Self {
        let urls = [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE];
        Self {
            memos: Arc::default(),
            round: 0,
            scopes: HashMap::new(),
            authn: Interner::default(),
            cluster_profiles: Interner::default(),
            endpoint_profiles: Interner::default(),
            listener_profiles: Interner::default(),
            route_profiles: Interner::default(),
            name_profiles: Interner::default(),
            outbound: Family::default(),
            inbound: Family::default(),
            endpoints: Family::default(),
            listeners: Family::default(),
            routes: RouteSets::default(),
            names: Family::default(),
            no_routes: Shared::default(),
            urls: urls.map(Arc::from),
            name_url: Arc::from(type_url::NAME_TABLE),
        }
    }
}

impl Planner {
    /// Seats a proxy: its profiles under handles that equal proxies share. `before` is its former seat;
    /// what is equal there keeps its handle.
    pub fn seat(&mut self, mut member: Member, before: Option<&Seat>) -> Seat {
        member.scope = self.kept(&member);
        member.authn = self.authn.get((*member.authn).clone());
        if let Some(before) = before {
            member.keep_handles(&before.member);
            // Profiles are of everything but the scope itself, which mostly is all that a change brings.
            if member.is_but_for_scope(&before.member) {
                return Seat { member, ..before.clone() };
            }
        }
        Seat {
            cluster: self.cluster_profiles.get(ClusterProfile::of(&member)),
            endpoint: self.endpoint_profiles.get(EndpointProfile::of(&member)),
            listener: self.listener_profiles.get(ListenerProfile::of(&member)),
            route: self.route_profiles.get(RouteProfile::of(&member)),
            name: member.proxy.dns_capture.then(|| self.name_profiles.get(NameProfile::of(&member))),
            member,
        }
    }

    /// The scope under the handle that an equal one had before, since a scope is computed anew whenever
    /// any service, route or rule changes, and mostly comes out the same.
    fn kept(&mut self, member: &Member) -> Shared<Scope> {
        let scope = &member.scope;
        let sidecar = scope.sidecar.as_ref().map(|sidecar| sidecar.meta.key.clone());
        let owner = (scope.namespace.clone(), sidecar, scope.rule_labels.clone(), member.proxy.kind);
        let kept =
            self.scopes.entry(owner).or_insert_with(|| Kept { newest: scope.clone(), first: scope.clone() });
        if kept.newest != *scope {
            kept.newest = scope.clone();
            if *kept.first != **scope {
                kept.first = scope.clone();
            }
        }
        kept.first.clone()
    }

    /// The view of a proxy in a state of the mesh.
    pub fn view(&mut self, snapshot: &Snapshot, seat: &Seat, wanted: &Wanted, since: Instant) -> View {
        let outbound = self.outbound_clusters(snapshot, seat);
        let inbound = self.inbound_clusters(snapshot, seat);
        let endpoints = self.endpoints(snapshot, seat);
        let listeners = self.listeners(snapshot, seat);
        let routes = self.routes(snapshot, seat, &listeners, wanted);
        let names = seat.name.as_ref().map(|profile| self.names(snapshot, seat, profile));
        let named = |set, missing| TypeView { missing: Some(missing), ..TypeView::new(Kind::Named, set) };
        let clusters = TypeView {
            layers: SmallVec::from_iter([inbound, outbound]),
            ..TypeView::new(Kind::Wildcard, Set::default())
        };
        let types = [
            clusters,
            named(endpoints, endpoints::missing),
            TypeView::new(Kind::Wildcard, listeners),
            named(routes, routes::missing),
        ];
        View {
            generation: snapshot.generation,
            label: snapshot.label.clone(),
            wants: wanted.changes,
            since,
            types: self.urls.iter().cloned().zip(types).chain(names).collect(),
        }
    }

    /// Before all proxies are given a view: what none of them is given from now on goes with [`sweep`](Self::sweep).
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// After all proxies have their view: lets go of what none of them uses. With `only_endpoints` other families
    /// were not asked for anything, so that their memos do not age.
    pub fn sweep(&mut self, only_endpoints: bool) {
        self.outbound.retain(self.round);
        self.inbound.retain(self.round);
        self.endpoints.retain(self.round);
        self.listeners.retain(self.round);
        self.routes.retain(self.round);
        self.names.retain(self.round);
        self.cluster_profiles.retain();
        self.endpoint_profiles.retain();
        self.listener_profiles.retain();
        self.route_profiles.retain();
        self.name_profiles.retain();
        self.authn.retain();
        self.scopes.retain(|_, kept| kept.is_in_use());
        if only_endpoints {
            self.memos.endpoints.sweep();
        } else {
            self.memos.sweep();
        }
    }

    /// The memos, for their counters.
    pub fn memos(&self) -> &Arc<Memos> {
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
            name_sets: self.names.len(),
        }
    }

    fn outbound_clusters(&mut self, snapshot: &Snapshot, seat: &Seat) -> Set {
        let inputs = clusters::OutboundInputs {
            scope: seat.member.scope.clone(),
            profile: seat.cluster.clone(),
            facts: snapshot.endpoints.facts.clone(),
            authn: snapshot.authn.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.clusters;
        let owner = Owner::new(&seat.member, &seat.cluster);
        self.outbound.get(owner, inputs, self.round, |inputs, before| {
            replace(before.map(|(_, set)| set), clusters::outbound(inputs, memos))
        })
    }

    fn inbound_clusters(&mut self, snapshot: &Snapshot, seat: &Seat) -> Set {
        let inputs = clusters::InboundInputs {
            targets: seat.member.targets.clone(),
            scope: seat.member.scope.clone(),
            profile: seat.listener.clone(),
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.clusters;
        let owner = Owner::new(&seat.member, &seat.listener);
        self.inbound.get(owner, inputs, self.round, |inputs, before| {
            replace(before.map(|(_, set)| set), clusters::inbound(inputs, memos))
        })
    }

    fn endpoints(&mut self, snapshot: &Snapshot, seat: &Seat) -> Set {
        let fixed = endpoints::Inputs {
            scope: seat.member.scope.clone(),
            profile: seat.endpoint.clone(),
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
        self.endpoints.get(Owner::new(&seat.member, &seat.endpoint), inputs, self.round, make)
    }

    fn listeners(&mut self, snapshot: &Snapshot, seat: &Seat) -> Set {
        let member = &seat.member;
        let is_gateway = member.proxy.kind == ProxyKind::Router;
        let inputs = listeners::Inputs {
            scope: member.scope.clone(),
            profile: seat.listener.clone(),
            targets: member.targets.clone(),
            workload_authn: member.authn.clone(),
            gateway: member.gateway.clone(),
            facts: snapshot.endpoints.facts.clone(),
            collectors: snapshot.collectors.clone(),
            routes: if is_gateway { snapshot.routes.clone() } else { self.no_routes.clone() },
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.listeners;
        let owner = Owner::new(member, &seat.listener);
        self.listeners.get(owner, inputs, self.round, |inputs, before| {
            let resources = if is_gateway {
                gateways::listeners(inputs, memos)
            } else {
                listeners::sidecar(inputs, memos)
            };
            replace(before.map(|(_, set)| set), resources)
        })
    }

    fn routes(&mut self, snapshot: &Snapshot, seat: &Seat, listeners: &Set, wanted: &Wanted) -> Set {
        let member = &seat.member;
        let is_gateway = member.proxy.kind == ProxyKind::Router;
        let inputs = routes::Inputs {
            scope: member.scope.clone(),
            profile: seat.route.clone(),
            gateway: member.gateway.clone(),
            routes: if is_gateway { snapshot.routes.clone() } else { self.no_routes.clone() },
            mesh: snapshot.config.mesh.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let named = listeners.iter().flat_map(|listener| listener.needs.routes.iter());
        let memos = &self.memos.routes;
        let route = |inputs: &routes::Inputs, name: &Name| match is_gateway {
            true => gateways::route(inputs, name, memos),
            false => Some(routes::sidecar(inputs, name, memos)),
        };
        let owner = Owner::new(member, &seat.route);
        self.routes.get(owner, &inputs, (named.chain(&wanted.routes), self.round), route)
    }

    /// The name table, as views have it.
    fn names(
        &mut self,
        snapshot: &Snapshot,
        seat: &Seat,
        profile: &Shared<NameProfile>,
    ) -> (Arc<str>, TypeView) {
        let inputs = name_table::Inputs {
            scope: seat.member.scope.clone(),
            profile: profile.clone(),
            facts: snapshot.endpoints.facts.clone(),
            settings: snapshot.config.settings.clone(),
        };
        let memos = &self.memos.names;
        let owner = Owner::new(&seat.member, profile);
        let set = self.names.get(owner, inputs, self.round, |inputs, before| {
            replace(before.map(|(_, set)| set), vec![name_table::table(inputs, memos)])
        });
        (self.name_url.clone(), TypeView::new(Kind::Wildcard, set))
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
