//! What a client says, of either protocol, as plain data.

use std::collections::BTreeMap;

/// A request of one type, without the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The type it is about.
    pub type_url: String,
    /// The nonce of the response that it answers; empty if it answers none.
    pub nonce: String,
    /// Why the client refused that response; without it a request with a nonce is an ACK.
    pub error: Option<String>,
    /// What the client wants to be sent.
    pub asks: Asks,
}

/// What a client wants to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A change to what it wanted before (`DeltaDiscoveryRequest`).
    Delta {
        /// Names it wants from now on.
        subscribe: Vec<String>,
        /// Names it does not want any more.
        unsubscribe: Vec<String>,
        /// Versions of what it holds from an earlier stream, by name.
        initial: BTreeMap<String, String>,
    },
    /// All that it wants (`DiscoveryRequest`).
    StateOfTheWorld {
        /// The names; none may mean all, see [`Interest`](crate::Interest).
        names: Vec<String>,
        /// The version of the last response that it accepted, on this stream or an earlier one.
        version: String,
    },
}

impl Default for Asks {
    fn default() -> Self {
        Self::StateOfTheWorld { names: Vec::new(), version: String::new() }
    }
}

impl Request {
    /// How many names the request mentions.
    pub fn mentions(&self) -> usize {
        match &self.asks {
            Asks::Delta { subscribe, unsubscribe, initial } => {
                subscribe.len() + unsubscribe.len() + initial.len()
            }
            Asks::StateOfTheWorld { names, .. } => names.len(),
        }
    }
}
