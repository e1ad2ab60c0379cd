//! What a client says, of either protocol, as plain data.

use std::collections::BTreeMap;

use prost::{DecodeError, Message};

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_api::google::rpc::Status;

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

impl Asks {
    /// The names that are asked for.
    pub fn into_names(self) -> Vec<String> {
        match self {
            Self::Delta { subscribe, .. } => subscribe,
            Self::StateOfTheWorld { names, .. } => names,
        }
    }
}

impl Default for Asks {
    fn default() -> Self {
        Self::StateOfTheWorld { names: Vec::new(), version: String::new() }
    }
}

/// Reads a `DeltaDiscoveryRequest`, and the node if it has one.
pub fn decode_delta(bytes: impl bytes::Buf) -> Result<(Request, Option<Node>), DecodeError> {
    let message = DeltaDiscoveryRequest::decode(bytes)?;
    let asks = Asks::Delta {
        subscribe: message.resource_names_subscribe,
        unsubscribe: message.resource_names_unsubscribe,
        initial: message.initial_resource_versions,
    };
    let error = message.error_detail.map(text);
    Ok((Request { type_url: message.type_url, nonce: message.response_nonce, error, asks }, message.node))
}

/// Reads a `DiscoveryRequest`, and the node if it has one.
pub fn decode_list(bytes: impl bytes::Buf) -> Result<(Request, Option<Node>), DecodeError> {
    let message = DiscoveryRequest::decode(bytes)?;
    let asks = Asks::StateOfTheWorld { names: message.resource_names, version: message.version_info };
    let error = message.error_detail.map(text);
    Ok((Request { type_url: message.type_url, nonce: message.response_nonce, error, asks }, message.node))
}

fn text(status: Status) -> String {
    if status.message.is_empty() { format!("code {}", status.code) } else { status.message }
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
