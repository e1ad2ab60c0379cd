//! An inbound listener around its chains.

use std::time::Duration;

use envoy_api::envoy::config::core::v3::TrafficDirection;
use envoy_api::envoy::config::listener::v3 as api;
use envoy_api::{Name, Needs, Part, Resource, field};
use memo::Shared;
use model::Text;
use model::proxy::Interception;

use super::Inputs;
use super::chains::PortChains;
use super::ports::{self, Port};
use crate::listeners::access_log::AccessLogs;
use crate::listeners::listener_filters as filters;
use crate::wire::{address, duration};

/// What a listener may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ListenerInputs {
    pub(super) head: Head,
    pub(super) chains: Vec<Shared<PortChains>>,
}

/// Everything about a listener but its chains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Head {
    name: Text,
    binds: Vec<Text>,
    port: u16,
    /// Captured traffic; else the port is bound for what is sent to it.
    captured: bool,
    transparent: bool,
    exact_balance: bool,
    detection_timeout: Duration,
    connections_per_event: u32,
    logs: Shared<AccessLogs>,
}

impl Head {
    /// The listener for captured traffic.
    pub(super) fn captured(inputs: &Inputs) -> Self {
        let port = inputs.mesh.proxy_inbound_listen_port;
        let wildcard = inputs.profile.ip_mode.wildcard();
        let transparent = inputs.profile.interception == Interception::Tproxy;
        Self { captured: true, transparent, ..Self::bound(super::NAME.into(), (wildcard, port), inputs) }
    }

    /// The listener of a port that is bound for itself.
    pub(super) fn of_port(port: &Port, inputs: &Inputs) -> Self {
        let name = format!("{}_{}", port.bind, port.target);
        let mut head = Self::bound(name.into(), (&port.bind, port.target), inputs);
        if port.is_bind_written() {
            head.binds.truncate(1);
        }
        head
    }

    fn bound(name: Text, (bind, port): (&str, u16), inputs: &Inputs) -> Self {
        Self {
            name,
            binds: std::iter::once(bind.into()).chain(ports::further_binds(bind, inputs)).collect(),
            port,
            captured: false,
            transparent: false,
            exact_balance: inputs.profile.inbound_exact_balance,
            detection_timeout: inputs.mesh.protocol_detection_timeout,
            connections_per_event: inputs.settings.max_connections_per_event_loop,
            logs: inputs.base.logs.clone(),
        }
    }
}

impl ListenerInputs {
    pub(super) fn build(&self) -> Resource {
        let head = &self.head;
        let mut addresses = head.binds.iter().map(|bind| address(bind, head.port));
        let per_event = head.connections_per_event;
        let message = api::Listener {
            name: head.name.to_string(),
            address: addresses.next(),
            additional_addresses: addresses
                .map(|address| api::AdditionalAddress { address: Some(address), ..Default::default() })
                .collect(),
            traffic_direction: TrafficDirection::Inbound as i32,
            continue_on_listener_filters_timeout: true,
            max_connections_to_accept_per_socket_event: (per_event > 0).then_some(per_event),
            connection_balance_config: head.exact_balance.then(filters::exact_balance),
            transparent: head.transparent.then_some(true),
            access_log: head.logs.listener.clone(),
            listener_filters: self.filters(),
            listener_filters_timeout: Some(duration(head.detection_timeout)),
            ..Default::default()
        };
        let name: Name = (*head.name).into();
        let parts: Vec<Part> =
            self.chains.iter().flat_map(|port| port.parts.iter().map(|part| (**part).clone())).collect();
        Resource::with_parts(name, &message, field::FILTER_CHAINS, &parts, self.needs())
    }

    fn needs(&self) -> Needs {
        let mut clusters: Vec<Name> = self.chains.iter().map(|port| (*port.cluster).into()).collect();
        clusters.sort();
        clusters.dedup();
        Needs { clusters: clusters.into(), ..Needs::default() }
    }

    fn filters(&self) -> Vec<api::ListenerFilter> {
        let mut list = Vec::with_capacity(4);
        if self.head.captured {
            list.push(filters::original_destination());
        }
        if self.head.transparent {
            list.push(filters::original_source());
        }
        list.extend(self.tls_inspector());
        list.extend(self.http_inspector());
        list
    }

    /// Where ports that nobody declares are looked at, the others are taken out; else they are put in.
    fn tls_inspector(&self) -> Option<api::ListenerFilter> {
        let ports = |looked_at| self.ports(move |port| port.inspects_tls == looked_at && port.port != 0);
        if !self.chains.iter().any(|port| port.inspects_tls) {
            return None;
        }
        let rest = self.chains.iter().any(|port| port.port == 0 && port.inspects_tls);
        let filter = filters::tls_inspector();
        Some(if rest { filters::except(filter, &ports(false)) } else { filters::only(filter, &ports(true)) })
    }

    fn http_inspector(&self) -> Option<api::ListenerFilter> {
        if !self.chains.iter().any(|port| port.inspects_http) {
            return None;
        }
        Some(filters::except(filters::http_inspector(), &self.ports(|port| !port.inspects_http)))
    }

    fn ports(&self, wanted: impl Fn(&PortChains) -> bool) -> Vec<u16> {
        let mut ports: Vec<u16> =
            self.chains.iter().filter(|port| wanted(port)).map(|port| port.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}
