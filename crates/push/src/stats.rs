//! Counters of the engine; `admin` gives them istiod's names.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::{Change, Kind};
use xds::Histogram;

use crate::planner::Counts;

/// Upper bounds of the buckets of times, in seconds (istiod's `pilot_debounce_time`).
const SECONDS: &[f64] = &[0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Event {
    Add,
    Update,
    Delete,
}

/// Counters of the engine.
#[derive(Debug)]
pub struct Stats {
    events: Mutex<BTreeMap<(Kind, Event), u64>>,
    triggers: Mutex<BTreeMap<&'static str, u64>>,
    changed: Mutex<Option<Instant>>,
    sets: Mutex<Counts>,
    /// From a change received to its push.
    pub waited: Histogram,
    /// To make a snapshot.
    pub snapshots: Histogram,
    /// To make everybody's view of a snapshot.
    pub views: Histogram,
    /// Changes after which nothing was different.
    pub unchanged: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            triggers: Mutex::default(),
            changed: Mutex::default(),
            sets: Mutex::default(),
            waited: Histogram::new(SECONDS),
            snapshots: Histogram::new(SECONDS),
            views: Histogram::new(SECONDS),
            unchanged: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// Changes received, by kind and by what became of the object.
    pub fn events(&self) -> BTreeMap<(Kind, Event), u64> {
        lock(&self.events).clone()
    }

    /// Pushes by what caused them, in istiod's words; a push may have several causes.
    pub fn triggers(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.triggers).clone()
    }

    /// How long ago the mesh last changed; `None` before its first state.
    pub fn age(&self) -> Option<Duration> {
        lock(&self.changed).map(|changed| changed.elapsed())
    }

    /// The number of sets by family, as of the last push.
    pub fn sets(&self) -> Counts {
        *lock(&self.sets)
    }

    /// Counts a change of an object that was `known` before or not; answers how istiod calls what it causes.
    pub(crate) fn note(&self, change: &Change, known: bool) -> &'static str {
        let event = match (&change.value, known) {
            (None, false) => None,
            (None, true) => Some(Event::Delete),
            (Some(_), true) => Some(Event::Update),
            (Some(_), false) => Some(Event::Add),
        };
        if let Some(event) = event {
            *lock(&self.events).entry((change.key.kind, event)).or_default() += 1;
        }
        trigger(change.key.kind)
    }

    /// Counts a push with its causes.
    pub(crate) fn pushed(&self, causes: impl IntoIterator<Item = &'static str>) {
        *lock(&self.changed) = Some(Instant::now());
        let mut triggers = lock(&self.triggers);
        causes.into_iter().for_each(|cause| *triggers.entry(cause).or_default() += 1);
    }

    /// Counts changes that changed nothing.
    pub(crate) fn same(&self) {
        self.unchanged.fetch_add(1, Relaxed);
    }

    /// Notes how many sets there are.
    pub(crate) fn note_sets(&self, counts: Counts) {
        *lock(&self.sets) = counts;
    }
}

/// What istiod calls the cause of a push that changes of this kind bring (`pilot_push_triggers`).
fn trigger(kind: Kind) -> &'static str {
    match kind {
        Kind::EndpointSlice | Kind::Pod | Kind::WorkloadEntry => "endpoint",
        Kind::Service | Kind::ServiceEntry => "service",
        Kind::MeshConfig => "global",
        Kind::Namespace => "namespace",
        Kind::File | Kind::Node => "unknown",
        _ => "config",
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
