//! `google.protobuf.Any`: a message of a type that its type URL names.

use bytes::Bytes;
use prost::{Message, Name};

/// A message with its type, as extensions are configured. Its value is shared, not copied, when cloned.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// What the value is: `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Any {
    /// The message, encoded, under its own type URL.
    pub fn pack<M: Message + Name>(message: &M) -> Self {
        Self { type_url: M::type_url(), value: message.encode_to_vec().into() }
    }

    /// The value as a message of type `M`, or nothing if it is of another type or malformed.
    pub fn unpack<M: Message + Name + Default>(&self) -> Option<M> {
        if self.type_url != M::type_url() {
            return None;
        }
        M::decode(self.value.clone()).ok()
    }
}

impl Name for Any {
    const NAME: &'static str = "Any";
    const PACKAGE: &'static str = "google.protobuf";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::extensions::filters::http::router::v3::Router;
    use crate::stats::PluginConfig;

    #[test]
    fn a_packed_message_knows_its_type_and_comes_back() {
        let router = Router { suppress_envoy_headers: true, dynamic_stats: Some(true), ..Default::default() };
        let any = Any::pack(&router);
        assert_eq!(any.type_url, "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");
        assert_eq!(any.unpack::<Router>(), Some(router));
        assert_eq!(any.unpack::<PluginConfig>(), None);
    }
}
