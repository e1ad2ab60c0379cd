//! How soon an object is written again: at once after the first change of somebody else's, ever later after failures and where
//! somebody changes it back each time.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::Key;

/// The first and the longest wait after a failure.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Writes of one object that follow each other faster than this are one quarrel.
const QUARREL: Duration = Duration::from_secs(10);
/// So many writes of a quarrel are done at once.
const AT_ONCE: u32 = 5;

/// When each object may be written next.
#[derive(Default)]
pub(crate) struct Pace(BTreeMap<Key, Object>);

struct Object {
    failures: u32,
    writes: u32,
    last: Instant,
    due: Instant,
}

impl Pace {
    /// When this object may be written; nothing, if at once.
    pub(crate) fn due(&self, key: &Key, now: Instant) -> Option<Instant> {
        self.0.get(key).map(|object| object.due).filter(|due| *due > now)
    }

    /// It was not written; it may be tried again after a wait, which is answered.
    pub(crate) fn failed(&mut self, key: &Key, now: Instant) -> Duration {
        let object = self.object(key, now);
        object.failures = object.failures.saturating_add(1);
        let wait = wait(object.failures);
        object.due = now + wait;
        wait
    }

    /// There is no point in writing it for now.
    pub(crate) fn postponed(&mut self, key: &Key, now: Instant) {
        self.object(key, now).due = now + WAITS.1;
    }

    /// It was written; whether a quarrel over it has just become one.
    pub(crate) fn written(&mut self, key: &Key, now: Instant) -> bool {
        let object = self.object(key, now);
        object.writes = if now - object.last < QUARREL { object.writes + 1 } else { 1 };
        object.failures = 0;
        object.last = now;
        if object.writes > AT_ONCE {
            object.due = now + wait(object.writes - AT_ONCE);
        }
        object.writes == AT_ONCE + 1
    }

    /// It was as it should be already; whoever still thinks otherwise is not to ask without end.
    pub(crate) fn settled(&mut self, key: &Key, now: Instant) {
        let object = self.object(key, now);
        object.failures = 0;
        object.due = now + WAITS.0;
    }

    /// What is at peace is forgotten, and so are failures to write what is not to be written any more.
    pub(crate) fn sweep(&mut self, now: Instant, is_wanted: impl Fn(&Key) -> bool) {
        self.0.retain(|key, object| {
            let is_failing = object.failures > 0 && is_wanted(key);
            is_failing || object.due > now && object.failures == 0 || now - object.last < QUARREL
        });
        for (key, object) in &mut self.0 {
            if !is_wanted(key) {
                object.failures = 0;
            }
        }
    }

    /// Whether nothing is known of any object.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing is waited for because of a failure.
    pub(crate) fn is_well(&self) -> bool {
        self.0.values().all(|object| object.failures == 0)
    }

    fn object(&mut self, key: &Key, now: Instant) -> &mut Object {
        let new = || Object { failures: 0, writes: 0, last: now, due: now };
        self.0.entry(key.clone()).or_insert_with(new)
    }
}

/// How long to wait after so many failures: ever longer, and not all at the same moment.
pub(crate) fn wait(failures: u32) -> Duration {
    let longest = WAITS.0.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(WAITS.1);
    let chance = RandomState::new().build_hasher().finish() % 1024;
    longest.mul_f64(0.75 + 0.25 * (chance as f64 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Resource;

    fn key() -> Key {
        Key::new(Resource::CONFIG_MAP, "shop", "istio-ca-root-cert")
    }

    #[tokio::test]
    async fn failures_wait_ever_longer_and_a_success_ends_that() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let waits: Vec<u128> = (0..20).map(|_| pace.failed(&key(), now).as_millis()).collect();
        assert!((75..=100).contains(&waits[0]) && (22_500..=30_000).contains(&waits[19]), "{waits:?}");
        assert!(pace.due(&key(), now).is_some() && !pace.is_well());
        pace.sweep(now, |_| true);
        assert!(!pace.is_well());
        assert!(!pace.written(&key(), now + Duration::from_secs(60)));
        assert!(pace.is_well());
    }

    #[tokio::test]
    async fn a_quarrel_slows_down_and_is_told_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let told: Vec<bool> = (0..8).map(|_| pace.written(&key(), now)).collect();
        assert_eq!(told, [false, false, false, false, false, true, false, false]);
        assert!(pace.due(&key(), now).is_some());
        let later = now + Duration::from_secs(60);
        pace.sweep(later, |_| false);
        assert!(!pace.written(&key(), later) && pace.due(&key(), later).is_none());
    }
}
