//! What becomes of two ports that want to listen at the same place (xds-semantics, conflict resolution).

use model::{Protocol, Text};

use super::chain::{Chain, Terminal};

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

    /// What happens when another port claims the same place.
    pub(super) fn meet(&mut self, incoming: Self) {
        // Whoever waits for the server's first words is not helped by looking at the client's.
        let server_first = |protocol| matches!(protocol, Protocol::Mongo | Protocol::Mysql);
        if incoming.protocol == Protocol::HttpProxy {
            *self = incoming;
            return;
        }
        if self.protocol != incoming.protocol
            && (server_first(self.protocol) || server_first(incoming.protocol))
        {
            return;
        }
        match (self.kind, incoming.kind) {
            (Kind::Http, Kind::Auto) => *self = incoming,
            (Kind::Auto, Kind::Auto) => {
                let is_tcp = |chain: &Chain| matches!(chain.terminal, Terminal::Tcp { .. });
                self.merge(incoming.chains.into_iter().filter(is_tcp));
            }
            (kind, other) => {
                self.merge(incoming.chains);
                if kind != other {
                    self.kind = Kind::Auto;
                }
            }
        }
    }

    fn merge(&mut self, chains: impl IntoIterator<Item = Chain>) {
        for chain in chains {
            if !self.chains.iter().any(|known| known.same_match(&chain)) {
                self.chains.push(chain);
            }
        }
    }
}
