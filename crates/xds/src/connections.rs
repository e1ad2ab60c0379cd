//! The streams that are open, and how far each of them is: what status pages and `proxy-status` show.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use dashmap::DashMap;
use tokio::sync::watch;

use envoy_api::Name;
use envoy_api::envoy::config::core::v3::Node;

use crate::interest::Interest;
use crate::view::View;

/// How much of a client's error is kept, in bytes.
const KEPT_ERROR: usize = 4096;

/// The streams that are open, by connection id.
#[derive(Debug, Default)]
pub struct Connections(DashMap<Arc<str>, Arc<Entry>>);

#[derive(Debug)]
struct Entry {
    who: Who,
    views: watch::Receiver<Arc<View>>,
    types: Mutex<BTreeMap<Arc<str>, TypeStatus>>,
}

/// Who is at the other end of a stream.
#[derive(Clone, Debug)]
pub struct Who {
    /// Unique among the connections of this process.
    pub id: Arc<str>,
    /// The node's id.
    pub node: Arc<str>,
    /// As it announced itself, without the list of its extensions.
    pub announced: Arc<Node>,
    /// Where it connects from, if that is known.
    pub peer: Option<SocketAddr>,
    /// When it connected.
    pub connected_at: SystemTime,
    /// Whether it speaks state of the world; else it speaks delta.
    pub state_of_the_world: bool,
}

/// How far a stream is.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// Who is at the other end.
    pub who: Who,
    /// How far it is, by type URL.
    pub types: BTreeMap<Arc<str>, TypeStatus>,
    /// What it is to hold.
    pub view: Arc<View>,
}

/// How far a stream is with one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeStatus {
    /// Whether it wants all.
    pub wildcard: bool,
    /// The names that it gave, ordered.
    pub names: Arc<[Name]>,
    /// The revision of the interest that they are of.
    revision: Option<u64>,
    /// What was last sent.
    pub sent: Option<Mark>,
    /// What was last accepted.
    pub acked: Option<Mark>,
    /// Why the last response was refused, if it was.
    pub error: Option<Arc<str>>,
    /// When that was.
    pub refused_at: Option<SystemTime>,
    /// How many responses were refused.
    pub rejects: u64,
    /// Whether a response waits for its answer.
    pub pending: bool,
}

/// A response, or that the client came with what it is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its nonce; if nothing was sent, the version that the client came with.
    pub nonce: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// The snapshot that it is from.
    pub snapshot: Arc<str>,
    /// When it was sent, or accepted.
    pub at: SystemTime,
}

/// A stream's place in the table; it leaves the table when this is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    connections: Arc<Connections>,
    entry: Arc<Entry>,
}

impl Connections {
    /// How many streams are open.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no stream is open.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, ordered by node and connection.
    pub fn list(&self) -> Vec<ConnectionStatus> {
        let mut all: Vec<_> = self.0.iter().map(|entry| entry.value().status()).collect();
        all.sort_by(|one, two| (&one.who.node, &one.who.id).cmp(&(&two.who.node, &two.who.id)));
        all
    }

    /// The one with this id.
    pub fn get(&self, id: &str) -> Option<ConnectionStatus> {
        self.0.get(id).map(|entry| entry.status())
    }

    pub(crate) fn enter(self: &Arc<Self>, who: Who, views: watch::Receiver<Arc<View>>) -> Listed {
        let entry = Arc::new(Entry { who, views, types: Mutex::default() });
        self.0.insert(Arc::clone(&entry.who.id), Arc::clone(&entry));
        Listed { connections: Arc::clone(self), entry }
    }
}

impl Entry {
    fn status(&self) -> ConnectionStatus {
        let types = self.types.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let view = Arc::clone(&self.views.borrow());
        ConnectionStatus { who: self.who.clone(), types, view }
    }
}

impl Listed {
    /// Who is at the other end.
    pub(crate) fn who(&self) -> &Who {
        &self.entry.who
    }

    /// Changes what is shown of a type.
    pub(crate) fn note<T>(&self, type_url: &Arc<str>, change: impl FnOnce(&mut TypeStatus) -> T) -> T {
        let mut types = self.entry.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = types.get_mut(type_url) {
            return change(status);
        }
        change(types.entry(Arc::clone(type_url)).or_default())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let same = |_: &Arc<str>, entry: &Arc<Entry>| Arc::ptr_eq(entry, &self.entry);
        self.connections.0.remove_if(&self.entry.who.id, same);
    }
}

impl TypeStatus {
    /// Notes what the client wants.
    pub(crate) fn wants(&mut self, interest: &Interest) {
        if self.revision.replace(interest.revision()) != Some(interest.revision()) {
            self.wildcard = interest.is_wildcard();
            self.names = interest.names().iter().cloned().collect();
        }
    }

    /// Notes that the last response was accepted.
    pub(crate) fn acked(&mut self, now: SystemTime) {
        self.acked = self.sent.clone().map(|sent| Mark { at: now, ..sent });
        self.error = None;
        self.refused_at = None;
    }

    /// Notes that a response was refused. Whether the reason is another one than before.
    pub(crate) fn refused(&mut self, error: &str, now: SystemTime) -> bool {
        let mut end = error.len().min(KEPT_ERROR);
        while !error.is_char_boundary(end) {
            end -= 1;
        }
        let error = error.get(..end).unwrap_or_default();
        let new = self.error.as_deref() != Some(error);
        self.rejects += 1;
        self.refused_at = Some(now);
        if new {
            self.error = Some(error.into());
        }
        new
    }
}
