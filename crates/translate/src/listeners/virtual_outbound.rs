//! `virtualOutbound`: where all captured outbound traffic arrives (xds-semantics, virtualOutbound).

use envoy_api::envoy::config::core::v3::TrafficDirection;
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::{Name, Needs, Part, Resource, field};
use memo::Shared;
use model::networking::OutboundMode;
use model::proxy::{Interception, IpMode};
use model::{Protocol, Text};

use super::access_log::AccessLogs;
use super::hcm::HttpBase;
use super::listener_filters as filters;
use super::network_filters::{TcpBase, TcpOptions};
use super::{Base, Class, Hcm, HcmOptions, Inputs, Routes, TcpProxy};
use crate::clusters::dynamic_cache_of_any;
use crate::routes::{ANY_NAME, AnyNameInputs};
use crate::wire::DnsCache;
use crate::{names, wire};

/// The listener's name.
pub(super) const NAME: &str = "virtualOutbound";

/// Everything that the listener may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct VirtualInputs {
    port: u16,
    ip_mode: IpMode,
    /// The other family's address, if it is listened at too.
    second: Option<&'static str>,
    transparent: bool,
    per_event: u32,
    catch_all: Text,
    any_name: Option<AnyName>,
    tcp: Shared<TcpBase>,
    logs: Shared<AccessLogs>,
}

/// How HTTP requests to destinations that nobody declares are sent on by the names that they call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct AnyName {
    http: Shared<HttpBase>,
    routes: AnyNameInputs,
    cache: DnsCache,
    protocols: &'static [&'static str],
}

/// The words by which plain HTTP is told; with the oldest version where that is served.
pub(super) fn plain_http(http10: bool) -> &'static [&'static str] {
    if http10 { &["http/1.0", "http/1.1", "h2c"] } else { &["http/1.1", "h2c"] }
}

/// The cluster of traffic to destinations that nobody declares.
pub(super) fn catch_all(inputs: &Inputs) -> Text {
    let policy = &inputs.scope.outbound;
    match (&policy.egress_proxy, policy.mode) {
        (_, OutboundMode::RegistryOnly) => names::BLACK_HOLE.into(),
        (Some(proxy), _) => {
            names::outbound(proxy.port.unwrap_or_default(), &proxy.subset, &proxy.host).into()
        }
        (None, _) => names::PASSTHROUGH.into(),
    }
}

/// The listener; `None` where nothing is captured.
pub(super) fn listener(inputs: &Inputs, memos: &super::Memos) -> Option<Shared<Resource>> {
    if inputs.profile.interception == Interception::None {
        return None;
    }
    let base = Base::of(inputs, Class::SidecarOutbound, memos);
    let settings = &inputs.settings;
    let key = VirtualInputs {
        port: inputs.mesh.proxy_listen_port,
        ip_mode: inputs.profile.ip_mode,
        second: match inputs.profile.ip_mode {
            IpMode::Dual if settings.dual_stack => Some("::"),
            IpMode::V6 if settings.ipv4_outbound_for_ipv6 => Some("0.0.0.0"),
            _ => None,
        },
        transparent: inputs.profile.interception == Interception::Tproxy,
        per_event: settings.max_connections_per_event_loop,
        catch_all: catch_all(inputs),
        any_name: AnyName::of(inputs, &base),
        tcp: base.tcp,
        logs: base.logs,
    };
    Some(memos.virtual_outbound.get(&key, VirtualInputs::build))
}

impl AnyName {
    /// `None` unless the proxy's policy is to resolve any name.
    fn of(inputs: &Inputs, base: &Base) -> Option<Self> {
        let (profile, settings) = (&inputs.profile, &inputs.settings);
        (inputs.scope.outbound.mode == OutboundMode::AllowAnyDynamicDns).then(|| Self {
            http: base.http.clone(),
            routes: AnyNameInputs::of(&profile.config.headers),
            cache: dynamic_cache_of_any(profile.ip_mode, profile.dns_capture, settings),
            protocols: plain_http(settings.http10),
        })
    }

    fn chain(&self) -> api::FilterChain {
        let hcm = Hcm {
            base: self.http.clone(),
            stat_prefix: format!("outbound_{NAME}_{ANY_NAME};").into(),
            protocol: Protocol::Http,
            routes: Routes::AnyName(self.routes),
            options: HcmOptions { forward_proxies: vec![self.cache.clone()], ..HcmOptions::default() },
        };
        api::FilterChain {
            name: "virtualOutbound-catchall-tcp-http".into(),
            filter_chain_match: Some(api::FilterChainMatch {
                application_protocols: self.protocols.iter().map(|&word| word.into()).collect(),
                ..Default::default()
            }),
            filters: vec![hcm.filter()],
            ..Default::default()
        }
    }
}

impl VirtualInputs {
    fn build(&self) -> Resource {
        let second = self.second.map(|address| api::AdditionalAddress {
            address: Some(wire::address(address, self.port)),
            ..Default::default()
        });
        let message = api::Listener {
            name: NAME.into(),
            address: Some(wire::address(self.ip_mode.wildcard(), self.port)),
            additional_addresses: second.into_iter().collect(),
            traffic_direction: TrafficDirection::Outbound as i32,
            use_original_dst: Some(true),
            transparent: self.transparent.then_some(true),
            max_connections_to_accept_per_socket_event: (self.per_event > 0).then_some(self.per_event),
            access_log: self.logs.listener.clone(),
            listener_filters: self.any_name.iter().map(|_| filters::http_inspector()).collect(),
            ..Default::default()
        };
        let by_name = self.any_name.as_ref().map(AnyName::chain);
        let chains = [Some(self.looping()), by_name, Some(self.rest())];
        let parts: Vec<Part> =
            chains.iter().flatten().map(|chain| Part::field(field::FILTER_CHAINS, chain)).collect();
        let mut clusters: Vec<Name> = vec![names::BLACK_HOLE.into(), self.catch_all.clone()];
        clusters.extend(self.any_name.iter().map(|_| names::ALLOW_ANY_DYNAMIC_DNS.into()));
        let needs = Needs { clusters: clusters.into(), ..Needs::default() };
        Resource::with_parts(NAME.into(), &message, field::FILTER_CHAINS, &parts, needs)
    }

    /// Connections to the listener's own port would go round for ever.
    fn looping(&self) -> api::FilterChain {
        let mut proxy = TcpProxy::to(&self.tcp, names::BLACK_HOLE);
        proxy.options = TcpOptions { silent: true, ..TcpOptions::default() };
        api::FilterChain {
            name: "virtualOutbound-blackhole".into(),
            filter_chain_match: Some(api::FilterChainMatch {
                destination_port: Some(self.port.into()),
                ..Default::default()
            }),
            filters: proxy.filters(),
            ..Default::default()
        }
    }

    fn rest(&self) -> api::FilterChain {
        api::FilterChain {
            name: "virtualOutbound-catchall-tcp".into(),
            filters: TcpProxy::to(&self.tcp, self.catch_all.clone()).filters(),
            ..Default::default()
        }
    }
}
