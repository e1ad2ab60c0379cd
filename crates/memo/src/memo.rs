//! Many derived values, keyed by everything they may depend on, held weakly.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use foldhash::fast::FixedState;

use crate::Shared;

type Map<K, V> = std::collections::HashMap<K, Entry<V>, FixedState>;

/// A memo: key → value, where the key is the only argument of the function that makes the value.
///
/// An entry lives as long as anybody holds its value, plus [`Memo::KEEP`] generations. There is no
/// invalidation: another key is another entry.
pub struct Memo<K, V> {
    entries: Mutex<Map<K, V>>,
    generation: AtomicU64,
    made: AtomicU64,
    reused: AtomicU64,
}

struct Entry<V> {
    value: Weak<V>,
    kept: Option<Arc<V>>,
    used: u64,
    /// Whether the value is another memo's too.
    borrowed: bool,
}

/// How often a memo made a value and how often it had one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values made.
    pub made: u64,
    /// Values that were there.
    pub reused: u64,
    /// Entries held now.
    pub entries: u64,
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self {
            entries: Mutex::new(Map::with_hasher(FixedState::default())),
            generation: AtomicU64::new(0),
            made: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }
    }
}

impl<K: Eq + Hash + Clone, V> Memo<K, V> {
    /// Generations that an entry outlives its last use by.
    pub const KEEP: u64 = 4;

    /// The value of `key`, made by `make` if it is not there.
    ///
    /// Two callers at once may both make it; the first one kept is returned to both.
    pub fn get(&self, key: &K, make: impl FnOnce(&K) -> V) -> Shared<V> {
        let generation = self.generation.load(Ordering::Relaxed);
        match self.look_up(key, generation) {
            Some(value) => value,
            None => self.keep(key, Arc::new(make(key)), generation, false),
        }
    }

    /// Like [`Memo::get`], for a value that `make` takes from elsewhere (another memo) or finds not to
    /// exist; nothing is kept for `None`.
    ///
    /// The entry lives [`Memo::KEEP`] generations after its last use, whoever holds the value: many keys
    /// may share one value, and those that nobody asks for any more must not live as long as it does.
    pub fn share(&self, key: &K, make: impl FnOnce(&K) -> Option<Shared<V>>) -> Option<Shared<V>> {
        let generation = self.generation.load(Ordering::Relaxed);
        if let Some(value) = self.look_up(key, generation) {
            return Some(value);
        }
        let value = make(key)?;
        Some(self.keep(key, value.arc().clone(), generation, true))
    }

    fn look_up(&self, key: &K, generation: u64) -> Option<Shared<V>> {
        let value = self.known(key, generation)?;
        self.reused.fetch_add(1, Ordering::Relaxed);
        Some(value.into())
    }

    fn keep(&self, key: &K, value: Arc<V>, generation: u64, borrowed: bool) -> Shared<V> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let mut entries = self.lock();
        if let Some(other) = entries.get(key).and_then(|entry| entry.value.upgrade()) {
            return other.into();
        }
        let weak = Arc::downgrade(&value);
        let entry = Entry { value: weak, kept: Some(value.clone()), used: generation, borrowed };
        entries.insert(key.clone(), entry);
        value.into()
    }

    fn known(&self, key: &K, generation: u64) -> Option<Arc<V>> {
        let mut entries = self.lock();
        let entry = entries.get_mut(key)?;
        let value = entry.value.upgrade()?;
        if entry.used != generation {
            entry.used = generation;
            entry.kept = Some(value.clone());
        }
        Some(value)
    }

    /// Begins a new generation and lets go of what nobody holds and nobody has asked for of late.
    pub fn sweep(&self) {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.lock().retain(|_, entry| {
            if entry.used + Self::KEEP < generation {
                entry.kept = None;
            }
            entry.kept.is_some() || !entry.borrowed && entry.value.strong_count() > 0
        });
    }

    /// The counters.
    pub fn counts(&self) -> Counts {
        Counts {
            made: self.made.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            entries: self.lock().len() as u64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Map<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_once_and_forgets_what_nobody_holds() {
        let memo = Memo::default();
        let held = memo.get(&1, |n| n * 10);
        memo.get(&2, |n| n * 10);
        assert_eq!(memo.get(&1, |_| unreachable!()), held);
        for _ in 0..=Memo::<i32, i32>::KEEP + 1 {
            memo.sweep();
        }
        assert_eq!(memo.counts(), Counts { made: 2, reused: 1, entries: 1 });
    }

    #[test]
    fn a_shared_value_outlives_the_keys_that_nobody_asks_for() {
        let memo = Memo::default();
        let value = Shared::new(10);
        assert_eq!(memo.share(&1, |_| None), None);
        for key in [1, 2] {
            assert_eq!(memo.share(&key, |_| Some(value.clone())), Some(value.clone()));
        }
        for _ in 0..=Memo::<i32, i32>::KEEP + 1 {
            memo.sweep();
            assert_eq!(memo.share(&1, |_| unreachable!()), Some(value.clone()));
        }
        assert_eq!(memo.counts().entries, 1);
    }
}
