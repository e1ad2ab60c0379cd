//! `virtualOutbound`: where all captured outbound traffic arrives (xds-semantics, virtualOutbound).

use envoy_api::envoy::config::core::v3::TrafficDirection;
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::{Name, Needs, Part, Resource, field};
use memo::Shared;
use model::Text;
use model::networking::OutboundMode;
use model::proxy::{Interception, IpMode};

use super::access_log::AccessLogs;
use super::network_filters::{TcpBase, TcpOptions};
use super::{Base, Class, Inputs, TcpProxy};
use crate::{names, wire};

/// The listener's name.
pub(super) const NAME: &str = "virtualOutbound";

/// Everything that the listener may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct VirtualInputs {
    port: u16,
    ip_mode: IpMode,
    dual_stack: bool,
    transparent: bool,
    per_event: u32,
    catch_all: Text,
    tcp: Shared<TcpBase>,
    logs: Shared<AccessLogs>,
}

/// The cluster of traffic to destinations that nobody declares.
pub(super) fn catch_all(inputs: &Inputs) -> Text {
    let policy = &inputs.scope.outbound;
    match (&policy.egress_proxy, policy.mode) {
        (_, OutboundMode::RegistryOnly) => names::BLACK_HOLE.into(),
        (Some(proxy), OutboundMode::AllowAny) => {
            names::outbound(proxy.port.unwrap_or_default(), &proxy.subset, &proxy.host).into()
        }
        _ => names::PASSTHROUGH.into(),
    }
}

/// The listener; `None` where nothing is captured.
pub(super) fn listener(inputs: &Inputs, memos: &super::Memos) -> Option<Shared<Resource>> {
    if inputs.profile.interception == Interception::None {
        return None;
    }
    let base = Base::of(inputs, Class::SidecarOutbound, memos);
    let key = VirtualInputs {
        port: inputs.mesh.proxy_listen_port,
        ip_mode: inputs.profile.ip_mode,
        dual_stack: inputs.settings.dual_stack,
        transparent: inputs.profile.interception == Interception::Tproxy,
        per_event: inputs.settings.max_connections_per_event_loop,
        catch_all: catch_all(inputs),
        tcp: base.tcp,
        logs: base.logs,
    };
    Some(memos.virtual_outbound.get(&key, VirtualInputs::build))
}

impl VirtualInputs {
    fn build(&self) -> Resource {
        let second =
            (self.ip_mode == IpMode::Dual && self.dual_stack).then(|| wire::address("::", self.port));
        let second =
            second.map(|address| api::AdditionalAddress { address: Some(address), ..Default::default() });
        let message = api::Listener {
            name: NAME.into(),
            address: Some(wire::address(self.ip_mode.wildcard(), self.port)),
            additional_addresses: second.into_iter().collect(),
            traffic_direction: TrafficDirection::Outbound as i32,
            use_original_dst: Some(true),
            transparent: self.transparent.then_some(true),
            max_connections_to_accept_per_socket_event: (self.per_event > 0).then_some(self.per_event),
            access_log: self.logs.listener.clone(),
            ..Default::default()
        };
        let parts = [self.looping(), self.rest()].map(|chain| Part::field(field::FILTER_CHAINS, &chain));
        let clusters: Vec<Name> = vec![names::BLACK_HOLE.into(), self.catch_all.clone()];
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
