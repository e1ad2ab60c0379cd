//! The accept loop: connections, their keepalive, their age and their orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;
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
/// How long a client that speaks HTTP/1.1 may take to send the head of a request, as in istiod.
const HEAD: Duration = Duration::from_secs(30);

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
    /// Whether HTTP/1.1 is spoken too.
    pub http1: bool,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            max_streams: 100_000,
            max_age: None,
            grace: Duration::from_secs(10),
            http1: false,
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

/// What is found out about an encrypted connection goes into its requests; what it is, others know.
pub type Look = fn(&ServerConnection) -> Extensions;

/// TLS. Each connection takes the newest configuration: certificates and roots are exchanged by it.
#[derive(Clone, Debug)]
pub struct Tls {
    configs: watch::Receiver<Arc<ServerConfig>>,
    look: Look,
}

impl Tls {
    /// With these configurations; `look` finds out about a peer once the client has been agreed with.
    pub fn new(configs: watch::Receiver<Arc<ServerConfig>>, look: Look) -> Self {
        Self { configs, look }
    }
}

impl Handshake for Tls {
    type Io = TlsStream<TcpStream>;

    async fn shake(&self, socket: TcpStream) -> io::Result<(Self::Io, Extensions)> {
        let config = Arc::clone(&self.configs.borrow());
        let stream = TlsAcceptor::from(config).accept(socket).await?;
        let (_, connection) = stream.get_ref();
        let known = (self.look)(connection);
        Ok((stream, known))
    }
}

/// Serves HTTP/2, and HTTP/1.1 if `keep` says so, on every connection of `listener` until `shutdown`, then lets the connections end in order and
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
        let (io, service) = (TokioIo::new(io), TowerToHyperService::new(service));
        if self.keep.http1 {
            // Apart, so that connections of proxies are no larger for it.
            let builder = self.either();
            return Box::pin(self.watch(builder.serve_connection(io, service))).await;
        }
        self.watch(self.builder().serve_connection(io, service)).await;
    }

    fn either(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keep.ping_interval)
            .keep_alive_timeout(self.keep.ping_timeout)
            .max_concurrent_streams(self.keep.max_streams);
        builder
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
    async fn watch<E: std::fmt::Display>(&self, served: impl GracefulConnection<Error = E>) {
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
