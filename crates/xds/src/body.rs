//! The body of a streamed answer: a conversation that hands over one message whenever the transport takes one.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use http_body::Frame;
use tonic::Status;

use crate::segments::Segments;

/// Where a conversation puts the message that goes out next. There is room for one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlet(Arc<Mutex<Option<Segments>>>);

impl Outlet {
    /// Hands over a message and waits until the transport has taken it.
    pub(crate) async fn send(&self, message: Segments) {
        *self.lock() = Some(message);
        // No waker: the transport takes the message and polls the conversation again in one go.
        poll_fn(|_| if self.lock().is_some() { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Segments>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a streamed answer. The conversation runs when the transport asks for more, so that it is as fast
/// as its client; when the client is gone the body is dropped and the conversation with it.
pub(crate) struct Conversation {
    outlet: Outlet,
    talk: Option<Talk>,
}

/// What is said; it ends with the status of the stream.
pub(crate) type Talk = Pin<Box<dyn Future<Output = Status> + Send>>;

impl Conversation {
    pub(crate) fn new(outlet: Outlet, talk: Talk) -> Self {
        Self { outlet, talk: Some(talk) }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Segments>>> {
        let Some(talk) = &mut self.talk else { return Poll::Ready(None) };
        let end = talk.as_mut().poll(context);
        if let Some(message) = self.outlet.lock().take() {
            return Poll::Ready(Some(Frame::data(message)));
        }
        let status = ready!(end);
        self.talk = None;
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("13"));
        }
        Poll::Ready(Some(Frame::trailers(trailers)))
    }
}

/// The body of any answer of the server.
pub struct Body(Kind);

enum Kind {
    Conversation(Conversation),
    Other(tonic::body::Body),
}

impl From<Conversation> for Body {
    fn from(conversation: Conversation) -> Self {
        Self(Kind::Conversation(conversation))
    }
}

impl From<tonic::body::Body> for Body {
    fn from(body: tonic::body::Body) -> Self {
        Self(Kind::Other(body))
    }
}

impl http_body::Body for Body {
    type Data = Segments;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Segments>, Status>>> {
        match &mut self.get_mut().0 {
            Kind::Conversation(conversation) => conversation.poll(context).map(|frame| frame.map(Ok)),
            Kind::Other(body) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(Segments::from))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Conversation(conversation) => conversation.talk.is_none(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }
}
