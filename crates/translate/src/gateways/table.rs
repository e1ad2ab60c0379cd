//! The route configuration of one route name of a gateway (xds-semantics, gateway RDS).

use std::collections::{BTreeMap, HashMap};

use envoy_api::Resource;
use foldhash::fast::FixedState;
use memo::Shared;
use mesh::{GatewayServer, MergedGateway};
use model::networking::{Destination, VirtualService};
use model::{Host, Key, Text};

use super::hosts;
use crate::routes::http::{Client, RouteSettings, RuleInputs, Target, destinations};
use crate::routes::session::Session;
use crate::routes::{Domains, HostInputs, Inputs, Label, Memos, RoutePlan, VirtualHost};

type Routes = Shared<Vec<RoutePlan>>;

/// A host on its way into the table.
struct Entry {
    /// The port of the server that brought it in.
    port: u16,
    lists: Vec<Routes>,
    tls_only: bool,
    session: Option<Session>,
}

/// Hosts with the same routes.
struct Group {
    /// The first host, which the others follow.
    host: Host,
    entry: Entry,
    routes: Routes,
    domains: Vec<Text>,
}

/// The route configuration of a name, made of its servers in merge order.
pub(super) fn resource(
    inputs: &Inputs,
    gateway: &MergedGateway,
    (name, places): (&str, &[(usize, usize)]),
    memos: &Memos,
) -> Shared<Resource> {
    let servers: Vec<&GatewayServer> = places
        .iter()
        .filter_map(|(entry, server)| gateway.servers.get(*entry)?.servers.get(*server))
        .collect();
    let settings = RouteSettings {
        http3: servers.iter().any(|server| server.quic),
        ..RouteSettings::new(&inputs.mesh, &inputs.profile.headers, &inputs.settings)
    };
    let mut table = Table {
        inputs,
        memos,
        settings: memos.settings(&settings),
        entries: BTreeMap::new(),
        translated: BTreeMap::new(),
    };
    for server in &servers {
        table.server(server);
    }
    let mut hosts = table.finish();
    if hosts.is_empty() {
        let port = servers.first().map_or(0, |server| server.server.number);
        hosts.push(table.nothing(port));
    }
    hosts.sort_by(|one, two| one.name.cmp(&two.name));
    crate::routes::resource(name, hosts, memos)
}

struct Table<'a> {
    inputs: &'a Inputs,
    memos: &'a Memos,
    settings: Shared<RouteSettings>,
    entries: BTreeMap<Host, Entry>,
    /// The routes of a VirtualService for a Gateway, which all its servers share.
    translated: BTreeMap<(Text, Key), Routes>,
}

impl Table<'_> {
    fn server(&mut self, server: &GatewayServer) {
        let redirects = server.server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        let inputs = self.inputs;
        for service in inputs.routes.bound_to(&server.gateway, &inputs.profile.namespace) {
            let hosts = hosts::shared(server, service);
            let routes = if hosts.is_empty() { None } else { self.routes(server, service) };
            let Some(routes) = routes else { continue };
            for host in hosts {
                let entry = self.entry(&host, server.server.number, || session(inputs, service, &host));
                entry.lists.push(routes.clone());
                entry.tls_only |= redirects;
            }
        }
        if redirects {
            for host in &server.server.hosts {
                self.entry(&Host::new(host), server.server.number, || None).tls_only = true;
            }
        }
    }

    fn entry(&mut self, host: &Host, port: u16, session: impl FnOnce() -> Option<Session>) -> &mut Entry {
        self.entries.entry(host.clone()).or_insert_with(|| Entry {
            port,
            lists: Vec::new(),
            tls_only: false,
            session: session(),
        })
    }

    /// The routes of a VirtualService, made for the first server that needs them; `None` without any.
    fn routes(&mut self, server: &GatewayServer, service: &Shared<VirtualService>) -> Option<Routes> {
        let key = (server.gateway.clone(), service.meta.key.clone());
        if let Some(known) = self.translated.get(&key) {
            return Some(known.clone());
        }
        let routes = self.translate(server, service);
        if routes.is_empty() {
            return None;
        }
        self.translated.insert(key, routes.clone());
        Some(routes)
    }

    fn translate(&self, server: &GatewayServer, service: &Shared<VirtualService>) -> Routes {
        let profile = &self.inputs.profile;
        let client = Client {
            gateways: vec![server.gateway.clone()],
            namespace: profile.namespace.clone(),
            labels: profile.source_labels.clone(),
        };
        self.memos.translate(&RuleInputs {
            service: service.clone(),
            port: server.server.number,
            // Also of a server without TLS that only redirects.
            tls: server.server.tls.is_some(),
            client: client.narrowed(service),
            targets: destinations(service).map(|destination| self.target(destination)).collect(),
            settings: self.settings.clone(),
        })
    }

    fn target(&self, destination: &Destination) -> Target {
        let scope = &self.inputs.scope;
        let found = scope.service(&destination.host).map(|scoped| (&*scoped.service, scoped.only_port()));
        let rule = scope.rule(&destination.host).map(|rule| &**rule);
        Target::new(destination, found, rule, &self.inputs.settings)
    }

    /// The virtual hosts; hosts with the same routes share one, called after the most specific of them.
    fn finish(&mut self) -> Vec<Shared<VirtualHost>> {
        let collapses = self.inputs.settings.route_collapse;
        let mut entries: Vec<(Host, Entry)> = std::mem::take(&mut self.entries).into_iter().collect();
        entries.sort_by(|one, two| one.0.specificity(&two.0));
        let mut groups: Vec<Group> = Vec::new();
        let mut latest: HashMap<Routes, usize, FixedState> = HashMap::default();
        for (host, mut entry) in entries {
            let routes = self.memos.joined(std::mem::take(&mut entry.lists));
            let domain = host.text().clone();
            let same = latest.get(&routes).filter(|_| collapses).and_then(|at| groups.get_mut(*at));
            match same.filter(|group| group.entry.tls_only == entry.tls_only) {
                Some(group) => group.domains.push(domain),
                None => {
                    latest.insert(routes.clone(), groups.len());
                    groups.push(Group { host, entry, routes, domains: vec![domain] });
                }
            }
        }
        groups.into_iter().map(|group| self.host(group)).collect()
    }

    fn host(&self, group: Group) -> Shared<VirtualHost> {
        let inputs = HostInputs {
            label: Label::Port(group.host.text().clone(), group.entry.port),
            domains: Domains::Listed(group.domains),
            routes: group.routes,
            tls_only: group.entry.tls_only,
            attempts: self.inputs.attempts(),
            session: group.entry.session,
        };
        VirtualHost::of(&inputs, self.memos)
    }

    /// The virtual host of a server for which nobody has a route.
    fn nothing(&self, port: u16) -> Shared<VirtualHost> {
        let inputs = HostInputs {
            label: Label::Port("blackhole".into(), port),
            domains: Domains::Any,
            routes: self.memos.joined(Vec::new()),
            tls_only: false,
            attempts: false,
            session: None,
        };
        VirtualHost::of(&inputs, self.memos)
    }
}

/// Sticky sessions of a host that is a service to which the VirtualService itself leads.
fn session(inputs: &Inputs, service: &VirtualService, host: &Host) -> Option<Session> {
    if !inputs.settings.persistent_session_filter {
        return None;
    }
    destinations(service).find(|destination| destination.host == *host)?;
    Session::of(&inputs.scope.service(host)?.service.labels, &inputs.settings)
}
