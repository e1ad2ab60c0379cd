//! Route configurations of sidecars, and VirtualService rules into Envoy routes (xds-semantics, RDS).
//!
//! ```text
//!   scope, port ──> Table: who claims which domains ──> HostInputs ──memo──> VirtualHost (plan, part)
//!                     rules, services ──memo──> Vec<RoutePlan> ───┘               │
//!                                                            Resource <──memo─────┘
//! ```
//!
//! Gateways claim hosts by rules of their own and use the rest: [`Memos::translate`], [`Memos::joined`],
//! [`VirtualHost::of`], [`resource`].

mod claims;
mod domains;
mod host;
pub(crate) mod http;
mod inbound;
mod name;
mod registry;
pub(crate) mod session;
mod table;

use std::collections::HashSet;
use std::sync::Arc;

use envoy_api::envoy::config::route::v3 as route;
use envoy_api::{Name, Needs, Part, Resource, field};
use foldhash::fast::FixedState;
use memo::{Memo, Shared};
use mesh::{MergedGateway, RouteIndex, RouteProfile, Scope};
use model::mesh_config::MeshConfig;
use model::networking::OutboundMode;
use model::proxy_config::ProxyHeaders;
use model::settings::Settings;

use crate::names;
use domains::{Domain, DomainInputs};
use host::{HostMemos, HostPlan};
pub(crate) use http::RoutePlan;
use http::{CatchAllPlan, RouteSettings, RuleInputs};
use name::RouteName;
use registry::PortIndex;
use table::{Table, TableInputs};

pub(crate) use domains::alternates;
pub(crate) use host::{Domains, HostInputs, Label, VirtualHost};
pub(crate) use inbound::InboundInputs;
pub use name::HTTP_PROXY;
pub use registry::names;

/// The memos of routes.
#[derive(Default)]
pub struct Memos {
    settings: Memo<RouteSettings, RouteSettings>,
    rules: Memo<RuleInputs, Vec<RoutePlan>>,
    singles: Memo<RoutePlan, Vec<RoutePlan>>,
    joined: Memo<Vec<Shared<Vec<RoutePlan>>>, Vec<RoutePlan>>,
    domains: Memo<DomainInputs, Vec<Domain>>,
    ports: Memo<(Shared<Scope>, usize), PortIndex>,
    tables: Memo<TableInputs, Table>,
    hosts: HostMemos,
    resources: Memo<ResourcePlan, Resource>,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {
        self.resources.sweep();
        self.tables.sweep();
        self.ports.sweep();
        self.hosts.hosts.sweep();
        self.hosts.parts.sweep();
        self.joined.sweep();
        self.rules.sweep();
        self.singles.sweep();
        self.domains.sweep();
        self.settings.sweep();
    }

    /// Virtual hosts planned, and encoded.
    pub fn counts(&self) -> (memo::Counts, memo::Counts) {
        (self.hosts.hosts.counts(), self.hosts.parts.counts())
    }

    /// Route configurations encoded.
    pub fn encoded(&self) -> memo::Counts {
        self.resources.counts()
    }

    /// The routes of a VirtualService, shared by all virtual hosts that have them.
    pub(crate) fn translate(&self, inputs: &RuleInputs) -> Shared<Vec<RoutePlan>> {
        self.rules.get(inputs, http::translate)
    }

    /// What holds for all routes of a proxy, shared so that it is cheap in keys.
    pub(crate) fn settings(&self, settings: &RouteSettings) -> Shared<RouteSettings> {
        self.settings.get(settings, Clone::clone)
    }

    /// The routes of several VirtualServices for one host of a gateway, in their order; those that nothing
    /// gets past come last.
    pub(crate) fn joined(&self, lists: Vec<Shared<Vec<RoutePlan>>>) -> Shared<Vec<RoutePlan>> {
        match lists.as_slice() {
            [only] => only.clone(),
            _ => self.joined.get(&lists, |lists| {
                let mut routes: Vec<RoutePlan> = lists.iter().flat_map(|list| list.iter().cloned()).collect();
                routes.sort_by_key(RoutePlan::is_catch_all);
                routes
            }),
        }
    }

    /// A list of just this route.
    fn single(&self, route: RoutePlan) -> Shared<Vec<RoutePlan>> {
        self.singles.get(&route, |route| vec![route.clone()])
    }
}

/// Everything that the route configurations of a scope and profile may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct Inputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<RouteProfile>,
    /// Servers of a gateway; `None` for sidecars.
    pub gateway: Option<Shared<MergedGateway>>,
    /// VirtualServices by gateway; an empty index for sidecars, whose scope has theirs.
    pub routes: Shared<RouteIndex>,
    pub mesh: Shared<MeshConfig>,
    pub settings: Shared<Settings>,
}

impl Inputs {
    /// Whether requests tell how often they were tried.
    pub(crate) fn attempts(&self) -> bool {
        !self.profile.headers.attempt_count_disabled.unwrap_or_default()
    }
}

/// A route configuration as decided: its virtual hosts in order.
///
/// As a memo's key it keeps the entries of its virtual hosts alive for as long as anybody holds the resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ResourcePlan {
    name: Name,
    hosts: Vec<Shared<VirtualHost>>,
}

/// The route configuration of this name for a sidecar; an unknown or malformed name gets an empty one.
pub fn sidecar(inputs: &Inputs, name: &str, memos: &Memos) -> Shared<Resource> {
    let Some(asked) = RouteName::parse(name) else {
        return Shared::new(empty(name));
    };
    let table = Table::of(inputs, name, asked.port(), memos);
    let of = |inputs: &HostInputs| VirtualHost::of(inputs, memos);
    let mut hosts: Vec<_> = match asked {
        RouteName::Service(host, _) => service_host(&table, host).iter().map(of).collect(),
        RouteName::Port(_) | RouteName::All => table.hosts.iter().map(of).collect(),
    };
    hosts.sort_by(|one, two| one.name.cmp(&two.name));
    if !matches!(asked, RouteName::Service(..)) && !table.has_any {
        hosts.push(of(&catch_all(inputs, memos)));
    }
    resource(name, hosts, memos)
}

/// The route configuration of these virtual hosts, in this order.
pub(crate) fn resource(name: &str, hosts: Vec<Shared<VirtualHost>>, memos: &Memos) -> Shared<Resource> {
    memos.resources.get(&ResourcePlan { name: name.into(), hosts }, ResourcePlan::build)
}

/// The virtual host of one service, for a listener that nothing but this service's traffic gets to.
fn service_host(table: &Table, host: &str) -> Option<HostInputs> {
    table.of_service(host).map(|inputs| HostInputs { domains: Domains::Any, ..inputs.clone() })
}

/// The virtual host for hosts that nothing is known of.
fn catch_all(inputs: &Inputs, memos: &Memos) -> HostInputs {
    let policy = &inputs.scope.outbound;
    let (name, cluster): (_, Option<Name>) = match (policy.mode, &policy.egress_proxy) {
        (OutboundMode::RegistryOnly, _) => ("block_all", None),
        (OutboundMode::AllowAnyDynamicDns, _) => (ANY_NAME, Some(names::ALLOW_ANY_DYNAMIC_DNS.into())),
        (OutboundMode::AllowAny, Some(proxy)) => {
            let port = proxy.port.unwrap_or_default();
            ("allow_any", Some(names::outbound(port, &proxy.subset, &proxy.host).into()))
        }
        (OutboundMode::AllowAny, None) => ("allow_any", Some(names::PASSTHROUGH.into())),
    };
    let forwarded_host = inputs.profile.headers.x_forwarded_host.unwrap_or_default();
    let routes = memos.single(RoutePlan::CatchAll(CatchAllPlan { name, cluster, forwarded_host }));
    any_host(name, routes, inputs.attempts())
}

fn any_host(name: &'static str, routes: Shared<Vec<RoutePlan>>, attempts: bool) -> HostInputs {
    HostInputs {
        label: Label::CatchAll(name),
        domains: Domains::Any,
        routes,
        tls_only: false,
        attempts,
        session: None,
    }
}

/// What is called where any name is resolved that is called.
pub(crate) const ANY_NAME: &str = "allow_any_dynamic_dns";

/// The routes of requests to addresses that nothing is known of, where the names that they call are
/// resolved; they stand inside the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AnyNameInputs {
    /// Whether requests tell how often they were tried.
    pub(crate) attempts: bool,
    /// Whether they get `x-forwarded-host`.
    pub(crate) forwarded_host: bool,
}

impl AnyNameInputs {
    /// What proxies with these headers are sent.
    pub(crate) fn of(headers: &ProxyHeaders) -> Self {
        Self {
            attempts: !headers.attempt_count_disabled.unwrap_or_default(),
            forwarded_host: headers.x_forwarded_host.unwrap_or_default(),
        }
    }

    /// Renders.
    pub(crate) fn build(self) -> route::RouteConfiguration {
        let cluster = Some(names::ALLOW_ANY_DYNAMIC_DNS.into());
        let plan = CatchAllPlan { name: ANY_NAME, cluster, forwarded_host: self.forwarded_host };
        let routes = Shared::new(vec![RoutePlan::CatchAll(plan)]);
        let host = HostPlan::plan(&any_host(ANY_NAME, routes, self.attempts)).build();
        route::RouteConfiguration { virtual_hosts: vec![Part::of(&host).bytes()], ..head(ANY_NAME) }
    }
}

impl ResourcePlan {
    fn build(&self) -> Resource {
        let parts: Vec<Part> = self.hosts.iter().map(|host| (*host.part).clone()).collect();
        let clusters = self.hosts.iter().flat_map(|host| host.clusters.iter());
        let needs = Needs { clusters: distinct(clusters), ..Needs::default() };
        Resource::with_parts(self.name.clone(), &head(&self.name), field::VIRTUAL_HOSTS, &parts, needs)
    }
}

/// What every route configuration of outbound traffic says, beside its virtual hosts.
fn head(name: &str) -> route::RouteConfiguration {
    route::RouteConfiguration {
        name: name.into(),
        ignore_port_in_host_matching: true,
        max_direct_response_body_size_bytes: Some(1 << 20),
        validate_clusters: Some(false),
        ..Default::default()
    }
}

/// The names, each once, in the order in which they come up first.
fn distinct<'a>(names: impl Iterator<Item = &'a Name>) -> Arc<[Name]> {
    let mut seen = HashSet::<&str, FixedState>::default();
    names.filter(|name| seen.insert(name)).cloned().collect()
}

/// What a proxy gets that asks for a name that is not known.
pub fn missing(name: &str) -> Option<Resource> {
    Some(empty(name))
}

fn empty(name: &str) -> Resource {
    let message =
        route::RouteConfiguration { name: name.into(), validate_clusters: Some(false), ..Default::default() };
    Resource::of(name.into(), &message, Needs::default())
}
