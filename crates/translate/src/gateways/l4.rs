//! TCP and TLS routing on gateways (xds-semantics, TCP and TLS routing on gateways).

use std::collections::BTreeMap;

use mesh::{GatewayServer, ScopedService};
use model::networking::{RouteDestination, ServerTlsMode, VirtualService};
use model::{Host, Protocol, Text};

use super::hosts;
use super::listener::{Chain, Context, Terminal, names};
use crate::clusters::stat_name;
use crate::listeners::{TcpOptions, TcpProxy, TcpTarget, tcp_options};
use crate::names as clusters;

const ISTIO: &[&str] = &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The chain of a server for bytes, TLS taken off or not: by the first VirtualService that has a rule for it.
pub(super) fn plain(context: &Context<'_>, server: &GatewayServer) -> Option<Chain> {
    let ends_mutual = server.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::IstioMutual);
    bound(context, server).find_map(|service| {
        let routes = tcp_routes(server, service).or_else(|| ended_tls_routes(server, service))?;
        let mut proxy = proxy(context, server, routes, service)?;
        proxy.options.exchange = ends_mutual;
        Some(context.chain(Terminal::Tcp(Box::new(proxy))))
    })
}

fn tcp_routes<'a>(server: &GatewayServer, service: &'a VirtualService) -> Option<&'a [RouteDestination]> {
    let rule = service.tcp.iter().find(|rule| {
        let matched = || rule.matches.iter().any(|one| is_for(server, one.port, &one.gateways));
        !rule.routes.is_empty() && (rule.matches.is_empty() || matched())
    });
    rule.map(|rule| rule.routes.as_slice())
}

/// A TLSRoute has rules for TLS only; they also hold where TLS is taken off before.
fn ended_tls_routes<'a>(
    server: &GatewayServer,
    service: &'a VirtualService,
) -> Option<&'a [RouteDestination]> {
    let parents = service.meta.annotations.get("internal.istio.io/parents")?;
    if !parents.starts_with("TLSRoute/") {
        return None;
    }
    let rule = service
        .tls
        .iter()
        .find(|rule| rule.matches.iter().any(|one| is_for(server, one.port, &one.gateways)));
    rule.map(|rule| rule.routes.as_slice())
}

/// Whether a condition on ports and gateways holds for the server.
fn is_for(server: &GatewayServer, port: u16, gateways: &[Text]) -> bool {
    (port == 0 || port == server.server.number) && (gateways.is_empty() || gateways.contains(&server.gateway))
}

/// Server names that chains of passthrough servers have taken: by port, the address bound by the last taker.
pub(super) type Taken = BTreeMap<(u16, Text), Text>;

/// Takes the names, as far as nobody else has them at this address; answers whether nobody has.
fn take(taken: &mut Taken, server: &GatewayServer, names: &[Text]) -> bool {
    let mut free = true;
    for name in names {
        let key = (server.listener_port, name.clone());
        match taken.get(&key).is_some_and(|bind| *bind == server.server.bind) {
            true => free = false,
            false => drop(taken.insert(key, server.server.bind.clone())),
        }
    }
    free
}

/// The chains of a server that hands TLS on.
pub(super) fn passthrough(context: &Context<'_>, server: &GatewayServer, taken: &mut Taken) -> Vec<Chain> {
    let automatic = server.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::AutoPassthrough);
    if automatic { by_server_name(context, server) } else { by_rules(context, server, taken) }
}

fn by_rules(context: &Context<'_>, server: &GatewayServer, taken: &mut Taken) -> Vec<Chain> {
    let mut chains = Vec::new();
    for service in bound(context, server) {
        for rule in service.tls.iter().filter(|rule| !rule.routes.is_empty()) {
            for one in rule.matches.iter().filter(|one| is_for(server, one.port, &one.gateways)) {
                if !take(taken, server, &one.sni_hosts) {
                    continue;
                }
                let proxy = proxy(context, server, &rule.routes, service);
                chains.extend(proxy.map(|proxy| Chain {
                    snis: names(&one.sni_hosts),
                    ..context.chain(Terminal::Tcp(Box::new(proxy)))
                }));
            }
        }
    }
    chains
}

/// Every service of the mesh whose host the server names, by the name that mutual TLS calls it.
fn by_server_name(context: &Context<'_>, server: &GatewayServer) -> Vec<Chain> {
    let scope = &context.inputs.scope;
    let taken: Vec<Host> = server.sni_hosts.iter().map(|host| Host::new(host)).collect();
    let mut chains = Vec::new();
    let services = scope.services.iter().filter(|scoped| !scoped.service.external);
    for scoped in services.filter(|scoped| taken.iter().any(|host| scoped.service.host.is_subset_of(host))) {
        let host = &scoped.service.host;
        let rule = scope.rule(host).map(|rule| &rule.rule);
        let subsets = rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default();
        for port in scoped.ports().filter(|port| port.protocol != Protocol::Udp) {
            let subsets = std::iter::once("").chain(subsets.iter().map(|subset| &*subset.name));
            chains.extend(subsets.map(|subset| {
                let name: Text = clusters::server_name(port.number, subset, host).into();
                let mut proxy = TcpProxy::to(&context.base.tcp, name.clone());
                let pattern = &context.inputs.mesh.outbound_cluster_stat_name;
                if let Some(prefix) = stat_name(pattern, &scoped.service, port, subset) {
                    proxy.stat_prefix = prefix;
                }
                proxy.protocol = port.protocol;
                proxy.options = TcpOptions { tunnel: None, ..tcp_options(rule, subset) };
                Chain { snis: vec![name], protocols: ISTIO, ..context.chain(Terminal::Tcp(Box::new(proxy))) }
            }));
        }
    }
    chains
}

/// VirtualServices bound to the server's Gateway that share a host with the server.
fn bound<'a>(
    context: &'a Context<'_>,
    server: &'a GatewayServer,
) -> impl Iterator<Item = &'a VirtualService> {
    let all = context.inputs.routes.bound_to(&server.gateway, &context.inputs.profile.namespace);
    let shares = |service: &&VirtualService| {
        hosts::usable(server, service).any(|host| service.hosts.iter().any(|own| own.overlaps(&host)))
    };
    all.map(|service| &**service).filter(shares)
}

fn proxy(
    context: &Context<'_>,
    server: &GatewayServer,
    routes: &[RouteDestination],
    service: &VirtualService,
) -> Option<TcpProxy> {
    let first = routes.first()?;
    let scope = &context.inputs.scope;
    let rule = scope.rule(&first.destination.host).map(|rule| &rule.rule);
    let target = |route| cluster(context, server, route);
    let mut proxy = TcpProxy::to(&context.base.tcp, target(first));
    if routes.len() > 1 {
        let weighted = routes.iter().filter(|route| route.weight > 0);
        proxy.target = TcpTarget::Weighted(weighted.map(|route| (target(route), route.weight)).collect());
        proxy.stat_prefix = format!("{}.{}", service.meta.key.name, service.meta.key.namespace).into();
    } else if let Some(prefix) = stat_prefix(context, server, first) {
        proxy.stat_prefix = prefix;
    }
    proxy.protocol = server.server.protocol;
    proxy.options = tcp_options(rule, &first.destination.subset);
    Some(proxy)
}

fn cluster(context: &Context<'_>, server: &GatewayServer, route: &RouteDestination) -> Text {
    let destination = &route.destination;
    let scoped = context.inputs.scope.service(&destination.host);
    let only = scoped.and_then(ScopedService::only_port);
    let port = destination.port.or(only).unwrap_or(server.server.number);
    let alias = scoped.and_then(|scoped| scoped.service.external_name.as_ref());
    clusters::outbound(port, &destination.subset, alias.unwrap_or(&destination.host)).into()
}

/// By the mesh's pattern, if it has one and the destination is known.
fn stat_prefix(context: &Context<'_>, server: &GatewayServer, route: &RouteDestination) -> Option<Text> {
    let destination = &route.destination;
    let scoped = context.inputs.scope.service(&destination.host)?;
    let port = scoped.port(destination.port.unwrap_or(server.server.number))?;
    let pattern = &context.inputs.mesh.outbound_cluster_stat_name;
    stat_name(pattern, &scoped.service, port, &destination.subset)
}
