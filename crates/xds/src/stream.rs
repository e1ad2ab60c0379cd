//! The task of one stream: it reads, writes and waits; what to say it asks its session.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use http::Extensions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::type_url;

use crate::body::Outlet;
use crate::connections::{Listed, Mark, TypeStatus, Who};
use crate::farewell::{Farewell, quoted};
use crate::hooks::{Hello, Hooks, Link, Planned, Question};
use crate::inbound::{Inbound, Protocol};
use crate::request::Request;
use crate::segments::{encode_answer, encode_delta, encode_list};
use crate::service::Shared;
use crate::session::{Excess, Response, Session};
use crate::subscription::Decision;
use crate::throttle::{Pass, Throttle};
use crate::view::View;

/// How many requests are read at most before a response has its turn.
const REQUESTS_AT_ONCE: usize = 64;
/// How often one and the same refusal of a type is logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What a stream begins with.
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    pub(crate) inbound: Inbound,
    pub(crate) outlet: Outlet,
    pub(crate) extensions: Extensions,
    pub(crate) peer: Option<std::net::SocketAddr>,
    pub(crate) closing: CancellationToken,
}

/// One stream, from the first request to its end.
pub(crate) async fn converse<H: Hooks>(shared: Arc<Shared<H>>, call: Call) -> Status {
    match Stream::open(&shared, call).await {
        Ok(Some(mut stream)) => {
            let ended = stream.run().await;
            stream.farewell.because(ended.as_ref().err());
            ended.err().unwrap_or_else(done)
        }
        Ok(None) => done(),
        Err(status) => status,
    }
}

fn done() -> Status {
    Status::new(tonic::Code::Ok, "")
}

struct Stream<'a, H> {
    shared: &'a Shared<H>,
    call: Call,
    node: Arc<Node>,
    listed: Listed,
    views: watch::Receiver<Arc<View>>,
    link: Box<dyn Link>,
    session: Session,
    pass: Pass,
    progress: Progress,
    farewell: Farewell,
}

/// The generations that a stream is through with.
#[derive(Default)]
struct Progress {
    sent: Option<u64>,
    current: Option<u64>,
    logged: Option<Instant>,
}

impl<'a, H: Hooks> Stream<'a, H> {
    /// Lets the client in. Nothing if it goes away before it has said anything.
    async fn open(shared: &'a Shared<H>, mut call: Call) -> Result<Option<Self>, Status> {
        if !shared.hooks.is_ready() {
            return Err(Status::unavailable("server is not ready to serve discovery information"));
        }
        shared.rate.turn().await?;
        let began = timeout(shared.config.limits.first, first(&mut call)).await;
        let began = began.map_err(|_| Status::deadline_exceeded("there was no first request in time"))?;
        let Some((request, node)) = began? else { return Ok(None) };
        let Some(node) = node.filter(|node| !node.id.is_empty()) else {
            return Err(Status::invalid_argument("missing node information"));
        };
        let hello = Hello {
            node: node.clone(),
            type_url: request.type_url.clone(),
            state_of_the_world: call.protocol == Protocol::StateOfTheWorld,
            peer: call.peer,
            extensions: call.extensions.clone(),
        };
        let connected = shared.hooks.connect(hello).await;
        let mut connection = connected.inspect_err(|status| {
            shared.note_error(status);
            let [node, reason] = [&*node.id, status.message()].map(quoted);
            tracing::warn!(node, reason, "a proxy is turned away");
        })?;
        let node = Arc::new(Node { extensions: Vec::new(), ..node });
        let who = Who {
            id: connection.id,
            node: node.id.as_str().into(),
            announced: Arc::clone(&node),
            peer: call.peer,
            connected_at: SystemTime::now(),
            state_of_the_world: call.protocol == Protocol::StateOfTheWorld,
        };
        let view = Arc::clone(&connection.views.borrow_and_update());
        let list = call.protocol == Protocol::StateOfTheWorld;
        let session = Session::new(view, shared.config.limits, list, shared.nonce_prefix(), Instant::now());
        let farewell = Farewell::new(who.clone(), &request.type_url);
        let listed = shared.connections.enter(who, connection.views.clone());
        let (views, link, progress) = (connection.views, connection.link, Progress::default());
        let mut pass = Pass::default();
        shared.throttle.enter(&mut pass).await;
        let mut stream = Self { shared, call, node, listed, views, link, session, pass, progress, farewell };
        let heard = stream.hear(request).await;
        heard.inspect_err(|status| stream.farewell.because(Some(status)))?;
        Ok(Some(stream))
    }

    async fn run(&mut self) -> Result<(), Status> {
        loop {
            while let Some(response) = self.next_response() {
                self.send(response).await;
                if !self.catch_up().await? {
                    return Ok(());
                }
            }
            self.note_rest();
            let deadline = self.session.deadline();
            let closing = self.call.closing.clone();
            tokio::select! {
                biased;
                () = closing.cancelled() => return Err(Status::unavailable("server closes the connection")),
                request = self.call.inbound.next() => match request? {
                    Some((request, _)) => self.hear(request).await?,
                    None => return Ok(()),
                },
                changed = newer(&mut self.views, &mut self.pass, &self.shared.throttle) => match changed {
                    Ok(()) => self.take_view(),
                    Err(_) => return Err(Status::unavailable("the proxy is not served any more")),
                },
                () = wait(deadline) => {}
            }
        }
    }

    fn next_response(&mut self) -> Option<(Response, Instant)> {
        let begun = Instant::now();
        self.session.next(begun).map(|response| (response, begun))
    }

    /// Takes in what has arrived meanwhile, requests first. Whether the client is still there.
    async fn catch_up(&mut self) -> Result<bool, Status> {
        for _ in 0..REQUESTS_AT_ONCE {
            match self.call.inbound.next().now_or_never() {
                None => break,
                Some(Ok(Some((request, _)))) => self.hear(request).await?,
                Some(Ok(None)) => return Ok(false),
                Some(Err(status)) => return Err(status),
            }
        }
        if self.pass.is_held() && self.views.has_changed().unwrap_or(false) {
            self.take_view();
        }
        Ok(true)
    }

    fn take_view(&mut self) {
        let view = Arc::clone(&self.views.borrow_and_update());
        self.session.set_view(view);
    }

    /// Takes in a request.
    async fn hear(&mut self, request: Request) -> Result<(), Status> {
        if request.type_url == type_url::HEALTH {
            return Ok(());
        }
        if request.type_url.starts_with(type_url::DEBUG) {
            return self.answer_question(request).await;
        }
        let decision = self.session.request(&request, &self.shared.names).map_err(too_much)?;
        if let Some(interest) = self.session.new_interest(&request.type_url)
            && let Planned::From(wants) = self.link.wanted(&request.type_url, interest)?
        {
            self.session.plan_from(&request.type_url, wants);
        }
        self.note_request(&request, decision);
        Ok(())
    }

    async fn answer_question(&mut self, request: Request) -> Result<(), Status> {
        let names = request.asks.into_names();
        let question = Question {
            type_url: request.type_url.clone(),
            names,
            node: Arc::clone(&self.node),
            connection: Arc::clone(&self.listed.who().id),
            extensions: self.call.extensions.clone(),
        };
        let answer = self.shared.hooks.debug(question).await;
        let answer = answer.inspect_err(|status| self.shared.note_error(status))?;
        let nonce = self.shared.nonce_prefix();
        let list = self.call.protocol == Protocol::StateOfTheWorld;
        self.call.outlet.send(encode_answer(answer, &request.type_url, nonce, list)).await;
        Ok(())
    }

    /// Counts, logs and lists what the client said.
    fn note_request(&mut self, request: &Request, decision: Decision) {
        let Some(subscription) = self.session.subscription(&request.type_url) else { return };
        let pending = subscription.is_pending();
        let stats = self.shared.stats.of(&request.type_url);
        let now = SystemTime::now();
        let url = self.shared.names.intern(&request.type_url);
        let (new_reason, is_well) = self.listed.note(&url, |status| {
            let was_refused = status.error.is_some();
            status.pending = pending;
            let new_reason = note_decision(status, request, &decision, now);
            (new_reason, was_refused && status.error.is_none())
        });
        if is_well {
            tracing::info!(
                node = quoted(&self.listed.who().node),
                connection = %self.listed.who().id,
                type_url = request.type_url,
                "a proxy accepts its configuration again"
            );
        }
        match decision {
            Decision::Nack => {
                stats.rejects.fetch_add(1, Relaxed);
                self.log_refusal(request, new_reason);
            }
            Decision::Expired | Decision::Ack { newest: false, .. } => {
                stats.expired_nonces.fetch_add(1, Relaxed);
            }
            Decision::Ack { .. } | Decision::Started | Decision::Changed => {}
        }
    }

    fn log_refusal(&mut self, request: &Request, new_reason: bool) {
        let now = Instant::now();
        if !new_reason && self.progress.logged.is_some_and(|logged| now < logged + LOG_EVERY) {
            return;
        }
        self.progress.logged = Some(now);
        tracing::warn!(
            node = quoted(&self.listed.who().node),
            connection = %self.listed.who().id,
            type_url = request.type_url,
            nonce = request.nonce,
            reason = request.error.as_deref().unwrap_or_default(),
            "a proxy refused its configuration"
        );
    }

    /// Encodes a response and waits until the transport has taken it.
    async fn send(&mut self, (response, begun): (Response, Instant)) {
        let encode = if self.call.protocol == Protocol::Delta { encode_delta } else { encode_list };
        let message = encode(&response);
        let stats = self.shared.stats.of(&response.type_url);
        stats.pushes.fetch_add(1, Relaxed);
        stats.resources.fetch_add(response.resources.len() as u64, Relaxed);
        stats.removed.fetch_add(response.removed.len() as u64, Relaxed);
        stats.sizes.note(message.message_len() as f64);
        self.note_response(&response);
        let mut sending = Sending { errors: &stats.send_errors, done: false };
        let handed = Instant::now();
        self.call.outlet.send(message).await;
        sending.done = true;
        self.shared.stats.send_times.time(handed.elapsed());
        stats.push_times.time(begun.elapsed());
        if self.progress.sent.replace(response.view.generation) != Some(response.view.generation) {
            self.shared.stats.queue.time(response.view.since.elapsed());
        }
    }

    fn note_response(&self, response: &Response) {
        let mark = Mark {
            nonce: response.nonce.as_str().into(),
            version: response.version.to_string().into(),
            snapshot: Arc::clone(&response.view.label),
            at: SystemTime::now(),
        };
        self.listed.note(&response.type_url, |status| {
            status.sent = Some(mark);
            status.pending = true;
        });
    }

    /// Notes what the client holds without having been sent it, and whether it is through with its view.
    fn note_rest(&mut self) {
        let view = self.session.view();
        for (url, subscription) in self.session.subscriptions() {
            self.listed.note(url, |status| {
                status.wants(subscription.interest());
                if status.sent.is_none() && subscription.is_proven() {
                    let version: Arc<str> =
                        view.types.get(url).map(|view| view.version().to_string().into()).unwrap_or_default();
                    let snapshot = Arc::clone(&view.label);
                    let mark = Mark { nonce: Arc::clone(&version), version, snapshot, at: SystemTime::now() };
                    status.acked = Some(mark.clone());
                    status.sent = Some(mark);
                }
            });
        }
        let generation = view.generation;
        let is_current = self.session.is_current();
        if is_current {
            self.pass.end();
        }
        if is_current && self.progress.current != Some(generation) {
            self.progress.current = Some(generation);
            if self.progress.sent == Some(generation) {
                self.shared.stats.convergence.time(view.since.elapsed());
            }
            self.link.current(generation);
        }
    }
}

/// Counts a response that was not taken before the stream ended.
struct Sending<'a> {
    errors: &'a AtomicU64,
    done: bool,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.errors.fetch_add(u64::from(!self.done), Relaxed);
    }
}

/// The request that a stream begins with; reports of health that come before it are passed over.
async fn first(call: &mut Call) -> Result<Option<(Request, Option<Node>)>, Status> {
    loop {
        match call.inbound.next().await? {
            Some((request, _)) if request.type_url == type_url::HEALTH => {}
            other => return Ok(other),
        }
    }
}

/// Shows what a client said. Whether it refused something for a new reason.
fn note_decision(status: &mut TypeStatus, request: &Request, decision: &Decision, now: SystemTime) -> bool {
    match decision {
        Decision::Nack => return status.refused(request.error.as_deref().unwrap_or_default(), now),
        Decision::Ack { newest: true, .. } => status.acked(now),
        Decision::Ack { .. } | Decision::Started | Decision::Changed | Decision::Expired => {}
    }
    false
}

fn too_much(excess: Excess) -> Status {
    Status::resource_exhausted(match excess {
        Excess::Names => "the stream asks for too many resources",
        Excess::Types => "the stream asks for too many types",
    })
}

/// Waits for a view that is newer, and for the stream's turn to serve it.
async fn newer(
    views: &mut watch::Receiver<Arc<View>>,
    pass: &mut Pass,
    throttle: &Throttle,
) -> Result<(), watch::error::RecvError> {
    if !pass.waits() {
        views.changed().await?;
    }
    throttle.enter(pass).await;
    Ok(())
}

async fn wait(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
