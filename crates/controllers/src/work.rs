//! The loop of every controller: what happens goes into its state, what its state says is to be written is written.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::error::Error;
use crate::pace::Pace;
use crate::store::{Edited, Key, Store};
use crate::trouble::Trouble;

/// So many objects are written side by side.
const SIDE_BY_SIDE: usize = 16;
/// After so many writes it is looked whether something has happened meanwhile.
const IN_ONE_GO: usize = 64;

/// What one object is to become. Data, so that a table can say what is decided.
pub(crate) trait Edit: Clone + Debug + PartialEq + Send + Sync {
    /// The object as it is to be, given what it is (`None`: there is none); nothing, if it is to stay as it is.
    fn of(&self, current: Option<&Value>) -> Option<Value>;
}

/// What is to be written of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write<E> {
    pub(crate) key: Key,
    pub(crate) edit: E,
}

/// A duty: a state, and the decision what is to be written. It reads no clock and does no I/O.
pub(crate) trait Controller: Send {
    /// What may happen.
    type News: Send;
    /// How objects are edited.
    type Edit: Edit;
    /// The work, as it is told.
    const WORK: &'static str;

    /// Takes what has happened.
    fn take(&mut self, news: Self::News);

    /// What is to be written now; nothing, if all is as it should be.
    fn writes(&self) -> Vec<Write<Self::Edit>>;

    /// Takes an object as it was found or left by a write; `None` if there is none.
    fn found(&mut self, key: &Key, object: Option<&Value>);

    /// Hears what came of a write.
    fn outcome(&mut self, _key: &Key, _outcome: &Result<Edited, Error>) {}
}

/// Does a duty until nothing more can happen.
pub(crate) async fn run<C: Controller>(
    mut controller: C,
    mut news: impl Stream<Item = C::News> + Send + Unpin,
    store: Store,
) {
    let mut desk = Desk { store, pace: Pace::default(), trouble: Trouble::new(C::WORK) };
    loop {
        let (due, next) = desk.due(controller.writes());
        if due.is_empty() {
            let wait = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                one = news.next() => match one {
                    Some(one) => controller.take(one),
                    None => return,
                },
                () = wait => {}
            }
        } else {
            desk.write(&mut controller, due).await;
        }
        while let Some(Some(one)) = news.next().now_or_never() {
            controller.take(one);
        }
    }
}

struct Desk {
    store: Store,
    pace: Pace,
    trouble: Trouble,
}

impl Desk {
    /// The writes that are due, and if none is, when the first will be.
    fn due<E>(&mut self, writes: Vec<Write<E>>) -> (Vec<Write<E>>, Option<Instant>) {
        let now = Instant::now();
        if !self.pace.is_empty() {
            let wanted: BTreeSet<&Key> = writes.iter().map(|write| &write.key).collect();
            self.pace.sweep(now, |key| wanted.contains(key));
            if self.pace.is_well() {
                self.trouble.is_well();
            }
        }
        let mut next: Option<Instant> = None;
        let mut due = Vec::new();
        for write in writes {
            match self.pace.due(&write.key, now) {
                Some(later) => next = Some(next.map_or(later, |next| next.min(later))),
                None if due.len() < IN_ONE_GO => due.push(write),
                None => {}
            }
        }
        (due, next)
    }

    async fn write<C: Controller>(&mut self, controller: &mut C, due: Vec<Write<C::Edit>>) {
        let store = &self.store;
        let edits = due.into_iter().map(|Write { key, edit }| async move {
            let outcome = store.edit(&key, |current| edit.of(current)).await;
            (key, outcome)
        });
        let outcomes: Vec<_> = stream::iter(edits).buffer_unordered(SIDE_BY_SIDE).collect().await;
        let now = Instant::now();
        for (key, outcome) in outcomes {
            controller.outcome(&key, &outcome);
            match outcome {
                Ok(Edited { object, is_written }) => {
                    controller.found(&key, object.as_ref());
                    self.done(&key, is_written, now);
                }
                Err(error) if is_of_no_use(&error) => self.pace.postponed(&key, now),
                Err(error) => {
                    self.pace.failed(&key, now);
                    self.trouble.failed(&error.reason(), &error);
                }
            }
        }
    }

    fn done(&mut self, key: &Key, is_written: bool, now: Instant) {
        if !is_written {
            self.pace.settled(key, now);
            return;
        }
        tracing::debug!("{key} was written");
        if self.pace.written(key, now) {
            tracing::warn!(
                "{key} is changed back whenever it has been written; who else writes it? It is written less often now"
            );
        }
    }
}

/// Whether an object cannot be written as long as nothing else changes, and nobody needs to know: its namespace is going.
fn is_of_no_use(error: &Error) -> bool {
    error.code() == Some(404) || (error.code() == Some(403) && error.is_about_an_ending_namespace())
}
