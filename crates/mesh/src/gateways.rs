//! Gateways merged into the servers of one gateway workload (xds-semantics, gateways 6.1–6.4).

use memo::{Shared, Table};
use model::networking::{Gateway, Server};
use model::proxy::Proxy;
use model::{Key, Text};

use crate::{Config, ServiceTarget};

/// All Gateways, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayIndex {
    pub(crate) ordered: Table<(model::Created, Text, Text, Key), Gateway>,
}

/// What one gateway workload opens: servers merged from the Gateways that apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedGateway {
    /// One entry per (listener port, protocol, bind), in the order in which they came up.
    pub servers: Vec<MergedServer>,
    /// Route name → indexes into the servers that share it, in merge order: (entry, server).
    pub routes: std::collections::BTreeMap<Text, Vec<(usize, usize)>>,
    /// Union of server hosts of AUTO_PASSTHROUGH servers, sorted, namespace taken off.
    pub auto_passthrough: Vec<Text>,
}

/// Servers that share a listener entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedServer {
    /// The port that is bound.
    pub listener_port: u16,
    /// The protocol word as written.
    pub protocol: Text,
    /// The address to bind, may be empty.
    pub bind: Text,
    /// Route name of plaintext HTTP servers, empty otherwise.
    pub route: Text,
    /// Servers in order with what is known of each.
    pub servers: Vec<GatewayServer>,
}

/// A server and the Gateway it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayServer {
    /// The server; hosts normalised (`ns/host` or `host`).
    pub server: Shared<Server>,
    /// `<namespace>/<name>` of its Gateway, as VirtualServices name it.
    pub gateway: Text,
    /// Its Gateway.
    pub object: Shared<Gateway>,
    /// Its own route name, empty if it has none.
    pub route: Text,
    /// Server names without namespaces, sorted.
    pub sni_hosts: Vec<Text>,
}

impl GatewayIndex {
    /// The index of `now`.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The servers of one gateway workload; `None` if no Gateway applies to it.
    pub fn merged(&self, proxy: &Proxy, targets: &[ServiceTarget], config: &Config) -> Option<MergedGateway> {
        let _ = (proxy, targets, config);
        None
    }
}
