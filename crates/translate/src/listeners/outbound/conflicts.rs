//! What becomes of two ports that want to listen at the same place (xds-semantics, conflict resolution).

use std::collections::BTreeSet;

use model::{Protocol, Text};

use super::chain::{Chain, Match, Terminal};

/// An address and port with what listens there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claimed {
    pub(super) name: Text,
    /// Addresses to bind, the first one names the listener; a path for a Unix socket.
    pub(super) binds: Vec<Text>,
    pub(super) port: u16,
    /// Whether the port is bound for itself; else captured traffic is handed on.
    pub(super) real: bool,
    pub(super) chains: Vec<Chain>,
    pub(super) kind: Kind,
    pub(super) protocol: Protocol,
    /// Whether nobody else may come here.
    pub(super) locked: bool,
}

/// A claim while others may still come to its place.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) claimed: Claimed,
    /// What its chains are for, once another port has come; thousands of them may share a place.
    taken: Option<BTreeSet<Match>>,
}

/// What a port speaks, as far as listeners differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Http,
    Tcp,
    Auto,
}

impl Kind {
    /// That of a protocol.
    pub(super) fn of(protocol: Protocol) -> Self {
        match protocol {
            _ if protocol.is_http() => Self::Http,
            Protocol::Auto => Self::Auto,
            _ => Self::Tcp,
        }
    }
}

impl Claimed {
    /// Whether a port of this protocol is served by what is there, or not welcome: connection managers are
    /// shared, their routes tell hosts apart.
    pub(super) fn absorbs(&self, protocol: Protocol) -> bool {
        let shares = Kind::of(protocol) == Kind::Http && self.kind != Kind::Tcp;
        self.locked || (shares && protocol != Protocol::HttpProxy)
    }
}

impl From<Claimed> for Open {
    fn from(claimed: Claimed) -> Self {
        Self { claimed, taken: None }
    }
}

impl Open {
    /// What happens when another port claims the same place.
    pub(super) fn meet(&mut self, incoming: Claimed) {
        // Whoever waits for the server's first words is not helped by looking at the client's.
        let server_first = |protocol| matches!(protocol, Protocol::Mongo | Protocol::Mysql);
        let here = &mut self.claimed;
        if incoming.protocol == Protocol::HttpProxy {
            *self = incoming.into();
            return;
        }
        if here.protocol != incoming.protocol
            && (server_first(here.protocol) || server_first(incoming.protocol))
        {
            return;
        }
        match (here.kind, incoming.kind) {
            (Kind::Http, Kind::Auto) => *self = incoming.into(),
            (Kind::Auto, Kind::Auto) => {
                let is_tcp = |chain: &Chain| matches!(chain.terminal, Terminal::Tcp { .. });
                self.merge(incoming.chains.into_iter().filter(is_tcp));
            }
            (kind, other) => {
                if kind != other {
                    here.kind = Kind::Auto;
                }
                self.merge(incoming.chains);
            }
        }
    }

    /// Adds the chains that Envoy could tell from those that are there.
    fn merge(&mut self, chains: impl IntoIterator<Item = Chain>) {
        let here = &mut self.claimed.chains;
        let taken = self.taken.get_or_insert_with(|| here.iter().map(Chain::matched).collect());
        here.extend(chains.into_iter().filter(|chain| taken.insert(chain.matched())));
    }
}
