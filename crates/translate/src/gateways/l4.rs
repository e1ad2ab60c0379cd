//! TCP and TLS routing on gateways (xds-semantics, TCP and TLS routing on gateways).

use std::collections::BTreeSet;

use mesh::GatewayServer;
use model::networking::{RouteDestination, ServerTlsMode, VirtualService};
use model::{Host, Protocol, Text};

use super::hosts;
use super::listener::{Chain, Context, Terminal, names};
use crate::listeners::{TcpProxy, TcpTarget, tcp_options};
use crate::names as clusters;

const ISTIO: &[&str] = &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The chain of a server for bytes, TLS taken off or not: by the first VirtualService that has a rule for it.
pub(super) fn plain(context: &Context<'_>, server: &GatewayServer) -> Option<Chain> {
    let ends_mutual = server.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::IstioMutual);
    bound(context, server).find_map(|service| {
        let rule = service.tcp.iter().find(|rule| {
            let matched = rule.matches.iter().any(|one| {
                (one.port == 0 || one.port == server.server.number)
                    && (one.gateways.is_empty() || one.gateways.contains(&server.gateway))
            });
            !rule.routes.is_empty() && (rule.matches.is_empty() || matched)
        })?;
        let mut proxy = proxy(context, server, &rule.routes, service)?;
        proxy.options.exchange = ends_mutual;
        Some(context.chain(Terminal::Tcp(Box::new(proxy))))
    })
}

/// The chains of a server that hands TLS on.
pub(super) fn passthrough(context: &Context<'_>, server: &GatewayServer) -> Vec<Chain> {
    let automatic = server.server.tls.as_ref().is_some_and(|tls| tls.mode == ServerTlsMode::AutoPassthrough);
    if automatic { by_server_name(context, server) } else { by_rules(context, server) }
}

fn by_rules(context: &Context<'_>, server: &GatewayServer) -> Vec<Chain> {
    let mut chains = Vec::new();
    let mut used: BTreeSet<&Text> = BTreeSet::new();
    for service in bound(context, server) {
        for rule in service.tls.iter().filter(|rule| !rule.routes.is_empty()) {
            for one in &rule.matches {
                let ours = (one.port == 0 || one.port == server.server.number)
                    && (one.gateways.is_empty() || one.gateways.contains(&server.gateway));
                if !ours || one.sni_hosts.iter().any(|name| used.contains(name)) {
                    continue;
                }
                used.extend(&one.sni_hosts);
                if let Some(proxy) = proxy(context, server, &rule.routes, service) {
                    chains.push(Chain {
                        snis: names(&one.sni_hosts),
                        ..context.chain(Terminal::Tcp(Box::new(proxy)))
                    });
                }
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
        let subsets = scope.rule(host).map(|rule| rule.rule.subsets.as_slice()).unwrap_or_default();
        for port in scoped.ports().filter(|port| port.protocol != Protocol::Udp) {
            let subsets = std::iter::once("").chain(subsets.iter().map(|subset| &*subset.name));
            chains.extend(subsets.map(|subset| {
                let name: Text = clusters::server_name(port.number, subset, host).into();
                let proxy = TcpProxy::to(&context.base.tcp, name.clone());
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
    let target = |route: &RouteDestination| -> Text {
        let destination = &route.destination;
        let only = scope.service(&destination.host).and_then(|scoped| match scoped.port_list() {
            [only] => Some(only.number),
            _ => None,
        });
        let port = destination.port.or(only).unwrap_or(server.server.number);
        clusters::outbound(port, &destination.subset, &destination.host).into()
    };
    let mut proxy = TcpProxy::to(&context.base.tcp, target(first));
    if routes.len() > 1 {
        let weighted = routes.iter().filter(|route| route.weight > 0);
        proxy.target = TcpTarget::Weighted(weighted.map(|route| (target(route), route.weight)).collect());
        proxy.stat_prefix = format!("{}.{}", service.meta.key.name, service.meta.key.namespace).into();
    }
    proxy.protocol = server.server.protocol;
    proxy.options = tcp_options(rule, &first.destination.subset);
    Some(proxy)
}
