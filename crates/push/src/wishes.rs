//! What connected proxies have come to want since the engine last looked: of each only the newest.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::planner::Wanted;

/// The wishes that wait, by the number of the proxy; there are never more than proxies.
#[derive(Default)]
pub(crate) struct Wishes {
    waiting: Mutex<BTreeMap<u64, Wish>>,
    bell: Notify,
}

/// What a proxy wants of the engine.
pub(crate) enum Wish {
    /// Other names than before.
    Names(Wanted),
    /// Nothing any more: it is gone.
    Gone,
}

impl Wishes {
    /// Replaces what this proxy wanted before.
    pub(crate) fn put(&self, number: u64, wish: Wish) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, wish);
        self.bell.notify_one();
    }

    /// All that wait; waits until there is one.
    pub(crate) async fn take(&self) -> BTreeMap<u64, Wish> {
        loop {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !waiting.is_empty() {
                return waiting;
            }
            self.bell.notified().await;
        }
    }
}
