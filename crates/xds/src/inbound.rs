//! The requests of a stream, one after the other, as they are read from the wire.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Buf;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, Streaming};
use tonic::{Code, Status};

use envoy_api::envoy::config::core::v3::Node;

use crate::request::{Request, decode_delta, decode_list};
use crate::stats::Stats;

/// Read buffer of a stream to begin with; it grows to the size of what is sent.
const BUFFER: usize = 1024;

/// The two methods of `envoy.service.discovery.v3.AggregatedDiscoveryService`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `DeltaAggregatedResources`.
    Delta,
    /// `StreamAggregatedResources`.
    StateOfTheWorld,
}

/// The requests of a stream.
pub(crate) struct Inbound(Streaming<(Request, Option<Node>)>);

impl Inbound {
    /// Requests from the body of a call; a longer one than `limit` bytes ends the stream.
    pub(crate) fn new<B>(body: B, protocol: Protocol, limit: usize, stats: Arc<Stats>) -> Self
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        Self(Streaming::new_request(Reader { protocol, stats }, body, None, Some(limit)))
    }

    /// The next request, with the node if it has one; nothing when the client has said all. Nothing is lost if
    /// this is dropped half-way.
    pub(crate) async fn next(&mut self) -> Result<Option<(Request, Option<Node>)>, Status> {
        self.0.message().await.map_err(|status| match status.code() {
            // This is what gRPC calls a message over the limit, and what istiod answers.
            Code::OutOfRange => Status::resource_exhausted(status.message()),
            _ => status,
        })
    }
}

struct Reader {
    protocol: Protocol,
    stats: Arc<Stats>,
}

impl Decoder for Reader {
    type Item = (Request, Option<Node>);
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        self.stats.longest_request.fetch_max(bytes.remaining() as u64, Relaxed);
        let decoded = match self.protocol {
            Protocol::Delta => decode_delta(bytes),
            Protocol::StateOfTheWorld => decode_list(bytes),
        };
        decoded.map(Some).map_err(|error| Status::invalid_argument(format!("unreadable request: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, BUFFER)
    }
}
