//! The service as tower sees it: discovery streams are ours, everything else goes to the other services.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::body::{Body, Conversation, Outlet};
use crate::connections::Connections;
use crate::hooks::Hooks;
use crate::inbound::{Inbound, Protocol};
use crate::names::Names;
use crate::rate::Rate;
use crate::session::Limits;
use crate::stats::Stats;
use crate::stream::{Call, converse};
use crate::throttle::Throttle;

/// The full name of the service that this crate serves.
pub const SERVICE: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bounds of one stream.
    pub limits: Limits,
    /// The longest request, in bytes (`ISTIO_GPRC_MAXRECVMSGSIZE`).
    pub max_request_bytes: usize,
    /// How many streams may begin per second (`PILOT_MAX_REQUESTS_PER_SECOND`); zero means as many as come.
    pub streams_per_second: f64,
    /// How many streams are brought to a new state at once (`PILOT_PUSH_THROTTLE`); zero means 64.
    pub pushes_at_once: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_request_bytes: 4 << 20,
            streams_per_second: 0.0,
            pushes_at_once: 0,
        }
    }
}

/// Where a call comes from; the accept loop puts it into the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Tells the streams of a connection to end; the accept loop puts it into the request.
#[derive(Clone, Debug, Default)]
pub struct Closing(pub CancellationToken);

/// The discovery service, and the other gRPC services of its port. A clone is a handle.
pub struct Discovery<H> {
    shared: Arc<Shared<H>>,
    others: Routes,
}

/// What all streams of a server have in common.
pub(crate) struct Shared<H> {
    pub(crate) hooks: H,
    pub(crate) config: Config,
    pub(crate) names: Names,
    pub(crate) rate: Rate,
    pub(crate) throttle: Throttle,
    pub(crate) connections: Arc<Connections>,
    pub(crate) stats: Arc<Stats>,
}

impl<H> Shared<H> {
    /// A text that no other stream begins its nonces with, but for chance.
    pub(crate) fn nonce_prefix(&self) -> String {
        format!("{:016x}-", RandomState::new().hash_one(()))
    }

    /// Counts a stream that the rest of the house ends, if that is an error of ours and none of the client's.
    pub(crate) fn note_error(&self, status: &Status) {
        if status.code() == Code::Internal {
            self.stats.internal_errors.fetch_add(1, Relaxed);
            tracing::error!(reason = status.message(), "a stream is ended by an error of ours");
        }
    }
}

impl<H: Hooks> Discovery<H> {
    /// A server of what `hooks` has to offer; `others` are the further services of the port.
    pub fn new(hooks: H, config: Config, others: Routes) -> Self {
        let shared = Shared {
            hooks,
            config,
            names: Names::default(),
            rate: Rate::new(config.streams_per_second),
            throttle: Throttle::new(config.pushes_at_once),
            connections: Arc::default(),
            stats: Arc::default(),
        };
        Self { shared: Arc::new(shared), others }
    }

    /// The same server on a port with other further services.
    pub fn with_others(&self, change: impl FnOnce(Routes) -> Routes) -> Self {
        Self { shared: Arc::clone(&self.shared), others: change(self.others.clone()) }
    }

    /// The open streams.
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.shared.connections)
    }

    /// The counters.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    fn begin<B>(&self, request: Request<B>, protocol: Protocol) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let (head, body) = request.into_parts();
        let outlet = Outlet::default();
        let call = Call {
            protocol,
            inbound: Inbound::new(body, protocol, self.shared.config.max_request_bytes, self.stats()),
            outlet: outlet.clone(),
            peer: head.extensions.get().map(|Peer(peer)| *peer),
            closing: head.extensions.get().map(|Closing(token)| token.clone()).unwrap_or_default(),
            extensions: head.extensions,
        };
        let talk = converse(Arc::clone(&self.shared), call);
        let mut response = Response::new(Conversation::new(outlet, Box::pin(talk)).into());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

impl<H> Clone for Discovery<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), others: self.others.clone() }
    }
}

impl<H, B> Service<Request<B>> for Discovery<H>
where
    H: Hooks,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = match request.uri().path() {
            DELTA => Protocol::Delta,
            STATE_OF_THE_WORLD => Protocol::StateOfTheWorld,
            _ => {
                let answer = self.others.clone().oneshot(request.map(tonic::body::Body::new));
                return Box::pin(async { Ok(answer.await?.map(Body::from)) });
            }
        };
        let response = self.begin(request, protocol);
        Box::pin(async { Ok(response) })
    }
}
