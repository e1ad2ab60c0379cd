//! That a proxy has connected, and why it has left, for the log.

use std::time::Instant;

use tonic::Status;

use envoy_api::type_url;

use crate::connections::Who;

/// Tells of a stream's beginning and, when it is dropped, of its end. Who only asks how things are is told at the
/// level of debugging.
pub(crate) struct Farewell {
    who: Who,
    is_question: bool,
    since: Instant,
    reason: Option<String>,
}

impl Farewell {
    /// A proxy has connected, with a first request of this type.
    pub(crate) fn new(who: Who, first: &str) -> Self {
        let is_question = first.starts_with(type_url::DEBUG);
        let (node, id, peer) = (quoted(&who.node), quoted(&who.id), shown(&who));
        let protocol = if who.state_of_the_world { "state of the world" } else { "delta" };
        match is_question {
            true => tracing::debug!(%node, connection = %id, peer, protocol, "somebody asks"),
            false => tracing::info!(%node, connection = %id, peer, protocol, "a proxy has connected"),
        }
        Self { who, is_question, since: Instant::now(), reason: None }
    }

    /// Notes why the stream ends.
    pub(crate) fn because(&mut self, error: Option<&Status>) {
        self.reason = Some(match error {
            None => "it ended its stream".to_owned(),
            Some(status) => format!("{} ({:?})", quoted(status.message()), status.code()),
        });
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let Self { who, is_question, since, reason } = self;
        let (node, id, peer, after) = (quoted(&who.node), quoted(&who.id), shown(who), since.elapsed());
        // Nobody came to say why: what it was asked over is gone.
        let reason = reason.as_deref().unwrap_or("its connection is closed");
        match is_question {
            true => tracing::debug!(%node, connection = %id, peer, ?after, reason, "somebody has asked"),
            false => tracing::info!(%node, connection = %id, peer, ?after, reason, "a proxy has left"),
        }
    }
}

/// What a client says of itself, for the log: in one line, and no more of it than anybody reads.
pub(crate) fn quoted(words: &str) -> String {
    words.chars().take(256).flat_map(char::escape_debug).collect()
}

fn shown(who: &Who) -> String {
    who.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string())
}
