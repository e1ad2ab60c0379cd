//! An outbound listener: a claim with the filters of one workload.

use std::time::Duration;

use envoy_api::envoy::config::core::v3::TrafficDirection;
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::{Name, Needs, Part, Resource, field};
use memo::Shared;
use model::Text;

use super::chain::{Chain, Terminal};
use super::conflicts::Claimed;
use crate::listeners::hcm::HttpBase;
use crate::listeners::listener_filters as filters;
use crate::listeners::network_filters::TcpBase;
use crate::listeners::virtual_outbound::{catch_all, plain_http};
use crate::listeners::{Base, Hcm, HcmOptions, Inputs, Memos, Routes, TcpProxy};
use crate::wire::{address, duration, object_metadata, pipe};

/// What a listener may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ListenerInputs {
    claimed: Shared<Claimed>,
    /// Only where some chain is for HTTP, since it carries the workload's tags.
    http: Option<Shared<HttpBase>>,
    tcp: Shared<TcpBase>,
    /// Where connections go that no chain is for.
    catch_all: Text,
    /// The workload's own address, where a chain is for the endpoint there.
    own: Option<Text>,
    head: Head,
}

/// What is the same for all listeners of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Head {
    exact_balance: bool,
    detection_timeout: Duration,
    handshake_timeout: Duration,
    per_event: u32,
    http10: bool,
}

/// What a chain may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainInputs {
    claimed: Shared<Claimed>,
    at: usize,
    http: Option<Shared<HttpBase>>,
    tcp: Shared<TcpBase>,
    handshake_timeout: Duration,
    http10: bool,
}

impl ListenerInputs {
    /// Those of all claims.
    pub(super) fn of_all(
        claims: &[Shared<Claimed>],
        base: &Base,
        inputs: &Inputs,
    ) -> impl Iterator<Item = Self> {
        let settings = &inputs.settings;
        let head = Head {
            exact_balance: inputs.profile.outbound_exact_balance,
            detection_timeout: inputs.mesh.protocol_detection_timeout,
            handshake_timeout: settings.transport_socket_connect_timeout,
            per_event: settings.max_connections_per_event_loop,
            http10: settings.http10,
        };
        let own: Option<Text> = inputs.profile.ips.first().map(|ip| ip.to_string().into());
        let catch_all = catch_all(inputs);
        claims.iter().filter_map(move |claimed| {
            let is_own = |chain: &Chain| chain.endpoint.is_some() && chain.endpoint == own;
            if claimed.chains.iter().all(is_own) {
                return None;
            }
            let http = claimed.chains.iter().any(|chain| matches!(chain.terminal, Terminal::Http { .. }));
            Some(Self {
                claimed: claimed.clone(),
                http: http.then(|| base.http.clone()),
                tcp: base.tcp.clone(),
                catch_all: catch_all.clone(),
                own: own.clone().filter(|_| claimed.chains.iter().any(is_own)),
                head,
            })
        })
    }

    pub(super) fn build(&self, memos: &Memos) -> Resource {
        let (claimed, head) = (&self.claimed, &self.head);
        let mut addresses = claimed.binds.iter().map(|bind| match claimed.port {
            0 => pipe(bind.strip_prefix("unix://").unwrap_or(bind)),
            port => address(bind, port),
        });
        let inspects_http = self.chains().any(|(_, chain)| chain.http);
        let timeout = if inspects_http { head.detection_timeout } else { Duration::ZERO };
        let per_event = Some(head.per_event).filter(|number| claimed.real && *number > 0);
        let (listed, default) = self.arranged();
        let message = api::Listener {
            name: claimed.name.to_string(),
            address: addresses.next(),
            additional_addresses: addresses
                .map(|address| api::AdditionalAddress { address: Some(address), ..Default::default() })
                .collect(),
            traffic_direction: TrafficDirection::Outbound as i32,
            bind_to_port: (!claimed.real).then_some(false),
            continue_on_listener_filters_timeout: true,
            max_connections_to_accept_per_socket_event: per_event,
            connection_balance_config: head.exact_balance.then(filters::exact_balance),
            listener_filters: self.filters(inspects_http),
            listener_filters_timeout: Some(duration(timeout)),
            default_filter_chain: default,
            ..Default::default()
        };
        let name: Name = (*claimed.name).into();
        let parts: Vec<Part> = listed
            .into_iter()
            .map(|at| (*memos.outbound.chains.get(&self.chain(at), ChainInputs::part)).clone())
            .collect();
        Resource::with_parts(name, &message, field::FILTER_CHAINS, &parts, self.needs())
    }

    /// The chains that are listed, and the default one: that which every connection is for, if there are
    /// others; else what is done with unknown destinations, unless the only chain is for all. Of several
    /// chains for everything the last one counts.
    fn arranged(&self) -> (Vec<usize>, Option<api::FilterChain>) {
        let all = self.chains().filter(|(_, chain)| chain.matches_all()).map(|(at, _)| at).last();
        let others: Vec<usize> =
            self.chains().filter(|(_, chain)| !chain.matches_all()).map(|(at, _)| at).collect();
        match all {
            Some(at) if others.is_empty() => (vec![at], None),
            Some(at) => (others, self.chain(at).build()),
            None => (others, Some(self.passthrough())),
        }
    }

    /// The chains that the workload has a use for.
    fn chains(&self) -> impl Iterator<Item = (usize, &Chain)> {
        let all = self.claimed.chains.iter().enumerate();
        all.filter(|(_, chain)| self.own.is_none() || chain.endpoint != self.own)
    }

    fn chain(&self, at: usize) -> ChainInputs {
        ChainInputs {
            claimed: self.claimed.clone(),
            at,
            http: self.http.clone(),
            tcp: self.tcp.clone(),
            handshake_timeout: self.head.handshake_timeout,
            http10: self.head.http10,
        }
    }

    fn passthrough(&self) -> api::FilterChain {
        api::FilterChain {
            name: "PassthroughFilterChain".into(),
            filter_chain_match: Some(api::FilterChainMatch::default()),
            filters: TcpProxy::to(&self.tcp, self.catch_all.clone()).filters(),
            ..Default::default()
        }
    }

    fn filters(&self, inspects_http: bool) -> Vec<api::ListenerFilter> {
        let by_name = |chain: &Chain| match &chain.terminal {
            Terminal::Tcp { options, .. } => !chain.snis.is_empty() || options.sni_forward_proxy.is_some(),
            Terminal::Http { .. } => !chain.snis.is_empty(),
        };
        let tls = self.chains().any(|(_, chain)| by_name(chain)).then(filters::tls_inspector);
        tls.into_iter().chain(inspects_http.then(filters::http_inspector)).collect()
    }

    fn needs(&self) -> Needs {
        let (mut clusters, mut routes): (Vec<Name>, Vec<Name>) = (Vec::new(), Vec::new());
        for (_, chain) in self.chains() {
            match &chain.terminal {
                Terminal::Http { route, .. } => routes.push(route.clone()),
                Terminal::Tcp { target, .. } => clusters.extend(target.clusters().cloned()),
            }
        }
        clusters.sort();
        clusters.dedup();
        routes.sort();
        routes.dedup();
        Needs { clusters: clusters.into(), routes: routes.into(), ..Needs::default() }
    }
}

impl ChainInputs {
    fn part(&self) -> Part {
        Part::field(field::FILTER_CHAINS, &self.build().unwrap_or_default())
    }

    fn build(&self) -> Option<api::FilterChain> {
        let chain = self.claimed.chains.get(self.at)?;
        let filters = match &chain.terminal {
            Terminal::Tcp { stat_prefix, target, protocol, options } => TcpProxy {
                base: self.tcp.clone(),
                stat_prefix: stat_prefix.clone(),
                target: target.clone(),
                protocol: *protocol,
                options: (**options).clone(),
            }
            .filters(),
            Terminal::Http { route, protocol, absolute_url, forward_proxies } => {
                let options = HcmOptions {
                    absolute_url: *absolute_url,
                    forward_proxies: forward_proxies.clone(),
                    ..HcmOptions::default()
                };
                let hcm = Hcm {
                    base: self.http.clone()?,
                    stat_prefix: format!("outbound_{};", self.claimed.name).into(),
                    protocol: *protocol,
                    routes: Routes::Discovered(route.clone()),
                    options,
                };
                vec![hcm.filter()]
            }
        };
        Some(api::FilterChain {
            filter_chain_match: (!chain.matches_all()).then(|| self.matches(chain)),
            filters,
            metadata: chain
                .rule
                .as_ref()
                .map(|(namespace, name)| object_metadata("virtual-service", namespace, name)),
            transport_socket_connect_timeout: (!self.handshake_timeout.is_zero())
                .then(|| duration(self.handshake_timeout)),
            ..Default::default()
        })
    }

    fn matches(&self, chain: &Chain) -> api::FilterChainMatch {
        let protocols = if chain.http { plain_http(self.http10) } else { &[] };
        api::FilterChainMatch {
            transport_protocol: if chain.http { "raw_buffer".into() } else { String::new() },
            application_protocols: protocols.iter().map(|&word| word.to_owned()).collect(),
            server_names: chain.server_names().iter().map(ToString::to_string).collect(),
            prefix_ranges: chain.ranges().collect(),
            ..Default::default()
        }
    }
}
