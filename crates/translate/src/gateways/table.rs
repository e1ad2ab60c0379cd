//! The route configuration of one route name of a gateway (xds-semantics, gateway RDS).

use std::collections::BTreeMap;

use envoy_api::Resource;
use memo::Shared;
use mesh::{GatewayServer, MergedGateway};
use model::networking::{Destination, VirtualService};
use model::{Host, Text};

use super::hosts;
use crate::routes::http::{Client, RouteSettings, RuleInputs, Target, destinations};
use crate::routes::{Domains, HostInputs, Inputs, Label, Memos, RoutePlan, VirtualHost};

type Routes = Shared<Vec<RoutePlan>>;

/// A host on its way into the table.
struct Entry {
    port: u16,
    lists: Vec<Routes>,
    tls_only: bool,
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
    let settings = RouteSettings::new(&inputs.mesh, &inputs.profile.headers, &inputs.settings);
    let mut table = Table {
        inputs,
        memos,
        settings: memos.settings(&settings),
        entries: Vec::new(),
        index: BTreeMap::new(),
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
    entries: Vec<(Text, Entry)>,
    index: BTreeMap<Text, usize>,
}

impl Table<'_> {
    fn server(&mut self, server: &GatewayServer) {
        let redirects = server.server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        let bound = self.inputs.routes.bound_to(&server.gateway, &self.inputs.profile.namespace);
        for service in bound.cloned().collect::<Vec<_>>() {
            let hosts = hosts::shared(server, &service);
            if hosts.is_empty() {
                continue;
            }
            let routes = self.routes(server, &service);
            if routes.is_empty() && service.http.is_empty() {
                continue;
            }
            for host in hosts {
                self.add(host.text(), server.server.number, Some(routes.clone()), redirects);
            }
        }
        if redirects {
            for host in &server.server.hosts {
                let host: Text = host.to_lowercase().into();
                if !self.index.contains_key(&host) {
                    self.add(&host, server.server.number, None, true);
                }
            }
        }
    }

    fn add(&mut self, host: &Text, port: u16, routes: Option<Routes>, tls_only: bool) {
        let next = self.entries.len();
        let at = *self.index.entry(host.clone()).or_insert(next);
        if at == next {
            self.entries.push((host.clone(), Entry { port, lists: Vec::new(), tls_only: false }));
        }
        if let Some((_, entry)) = self.entries.get_mut(at) {
            entry.lists.extend(routes);
            entry.tls_only |= tls_only;
        }
    }

    fn routes(&self, server: &GatewayServer, service: &Shared<VirtualService>) -> Routes {
        let profile = &self.inputs.profile;
        let client = Client {
            gateways: vec![server.gateway.clone()],
            namespace: profile.namespace.clone(),
            labels: profile.source_labels.clone(),
        };
        self.memos.translate(&RuleInputs {
            service: service.clone(),
            port: server.server.number,
            tls: server.is_tls(),
            client: client.narrowed(service),
            targets: destinations(service).map(|destination| self.target(destination)).collect(),
            settings: self.settings.clone(),
        })
    }

    fn target(&self, destination: &Destination) -> Target {
        let scope = &self.inputs.scope;
        let found = scope.service(&destination.host).map(|scoped| {
            let only = match scoped.port_list() {
                [only] => Some(only.number),
                _ => None,
            };
            (&*scoped.service, only)
        });
        let rule = scope.rule(&destination.host).map(|rule| &**rule);
        Target::new(destination, found, rule, &self.inputs.settings)
    }

    /// The virtual hosts; hosts with the same routes share one, called after the most specific of them.
    fn finish(&mut self) -> Vec<Shared<VirtualHost>> {
        let mut entries: Vec<(Host, u16, Routes, bool)> = Vec::new();
        for (host, entry) in self.entries.drain(..) {
            let routes = self.memos.joined(entry.lists);
            entries.push((Host::new(&host), entry.port, routes, entry.tls_only));
        }
        if self.inputs.settings.route_collapse {
            entries.sort_by(|one, two| one.0.specificity(&two.0));
        }
        let mut groups: Vec<(Host, u16, Routes, bool, Vec<Text>)> = Vec::new();
        for (host, port, routes, tls_only) in entries {
            let same = groups.iter_mut().find(|group| {
                self.inputs.settings.route_collapse
                    && group.2 == routes
                    && group.3 == tls_only
                    && group.1 == port
            });
            match same {
                Some(group) => group.4.push(host.text().clone()),
                None => groups.push((host.clone(), port, routes, tls_only, vec![host.text().clone()])),
            }
        }
        groups.into_iter().map(|group| self.host(group)).collect()
    }

    fn host(
        &self,
        (host, port, routes, tls_only, domains): (Host, u16, Routes, bool, Vec<Text>),
    ) -> Shared<VirtualHost> {
        let inputs = HostInputs {
            label: Label::Port(host.text().clone(), port),
            domains: Domains::Listed(domains),
            routes,
            tls_only,
            attempts: self.inputs.attempts(),
            session: None,
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
