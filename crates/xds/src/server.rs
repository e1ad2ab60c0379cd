//! The accept loop: connections, their keepalive, their age and their orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use crate::service::{Closing, Peer};

/// How long a client may take to agree on encryption.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait before accepting again after the system refused.
const BREATH: Duration = Duration::from_millis(100);
/// How much of requests that were not read yet is buffered per stream, in bytes.
const WINDOW: u32 = 256 << 10;

/// How connections are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// A connection that is silent for this long is asked whether it is alive.
    pub ping_interval: Duration,
    /// If it does not answer for this long it is closed.
    pub ping_timeout: Duration,
    /// Streams that one connection may have open (`ISTIO_GPRC_MAXSTREAMS`).
    pub max_streams: u32,
    /// The age at which a connection is closed, give or take a tenth, so that load spreads (`--keepaliveMaxServerConnectionAge`).
    pub max_age: Option<Duration>,
    /// How long a connection that is being closed may take to finish.
    pub grace: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            max_streams: 100_000,
            max_age: None,
            grace: Duration::from_secs(10),
        }
    }
}

/// Turns an accepted socket into the connection that is spoken over, encrypted or plain.
pub trait Handshake: Clone + Send + Sync + 'static {
    /// The connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Agrees with the client. What is found out about it goes into every request of the connection.
    fn shake(&self, socket: TcpStream) -> impl Future<Output = io::Result<(Self::Io, Extensions)>> + Send;
}

/// No encryption.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Handshake for Plain {
    type Io = TcpStream;

    async fn shake(&self, socket: TcpStream) -> io::Result<(TcpStream, Extensions)> {
        Ok((socket, Extensions::new()))
    }
}

/// Serves HTTP/2 on every connection of `listener` until `shutdown`, then lets the connections end in order and
/// returns when the last one has, at the latest after the time that `keep` grants.
pub async fn serve<A, S, B>(
    listener: TcpListener,
    handshake: A,
    service: S,
    keep: Keep,
    shutdown: CancellationToken,
) where
    A: Handshake,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(BREATH).await;
                continue;
            }
        };
        let connection = Connection { peer, keep, closing: shutdown.child_token() };
        let (handshake, service) = (handshake.clone(), service.clone());
        connections.spawn(async move { connection.run(socket, handshake, service).await });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

struct Connection {
    peer: SocketAddr,
    keep: Keep,
    /// Ends the streams of this connection.
    closing: CancellationToken,
}

impl Connection {
    async fn run<A, S, B>(self, socket: TcpStream, handshake: A, service: S)
    where
        A: Handshake,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let peer = self.peer;
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "could not turn off delays");
        }
        let (io, extensions) = match timeout(HANDSHAKE, handshake.shake(socket)).await {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(error)) => return tracing::info!(%peer, %error, "no agreement on encryption"),
            Err(_) => return tracing::info!(%peer, "no agreement on encryption in time"),
        };
        let closing = Closing(self.closing.clone());
        let service = service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().extend(extensions.clone());
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(closing.clone());
            request
        });
        let served = self.builder().serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
        self.watch(served).await;
    }

    fn builder(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keep.ping_interval)
            .keep_alive_timeout(self.keep.ping_timeout)
            .max_concurrent_streams(self.keep.max_streams)
            .initial_stream_window_size(WINDOW);
        builder
    }

    /// Serves until the client goes, the connection is too old, or the server shuts down; the latter two let the
    /// client know and end its streams, so that it finds another connection before this one closes.
    async fn watch(self, served: impl GracefulConnection<Error = hyper::Error>) {
        let mut served = std::pin::pin!(served);
        let ended = tokio::select! {
            ended = served.as_mut() => Some(ended),
            () = self.closing.cancelled() => None,
            () = wait(self.keep.max_age.map(jitter)) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                served.as_mut().graceful_shutdown();
                self.closing.cancel();
                match timeout(self.keep.grace, served).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::debug!(peer = %self.peer, "connection cut off"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, %error, "connection ended");
        }
    }
}

/// An age within a tenth of this one.
fn jitter(age: Duration) -> Duration {
    let chance = RandomState::new().hash_one(()) % 2001;
    age.mul_f64(0.9 + chance as f64 / 10_000.0)
}

async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}
