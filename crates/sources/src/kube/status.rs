//! How the watches are, for whoever asks: is the process ready, and how old is what it serves?

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::following::WatchFailure;

/// How all watches are; a clone is a handle to the same.
#[derive(Clone, Default)]
pub struct Status(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    watches: BTreeMap<&'static str, Watch>,
    /// When what was restored from disk was last known to be true.
    restored: Option<SystemTime>,
}

/// How the watch of one kind is.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// What is known of it.
    pub health: Health,
    /// Failures by their reason: `forbidden` or `unreachable`.
    pub failures: BTreeMap<&'static str, u64>,
    /// When what is known was last known to be true; nothing if nothing ever was.
    pub as_of: Option<SystemTime>,
}

/// What is known of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    #[default]
    Waiting,
    /// It is being listed for the first time, or after a failure.
    Listing,
    /// All, and changes come as they happen.
    Live,
    /// The cluster has no such kind, and so no object of it.
    NotServed,
    /// What was known before, if anything: our rights do not reach that far.
    Forbidden(String),
    /// What was known before, if anything: the API server cannot be reached.
    Unreachable(String),
}

impl Health {
    /// Whether what is served is what the cluster has.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Live | Self::NotServed)
    }
}

impl From<WatchFailure> for Health {
    fn from(failure: WatchFailure) -> Self {
        match failure {
            WatchFailure::NotServed => Self::NotServed,
            WatchFailure::Forbidden(why) => Self::Forbidden(why),
            WatchFailure::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("nothing is known yet"),
            Self::Listing => f.write_str("being listed"),
            Self::Live => f.write_str("watched"),
            Self::NotServed => f.write_str("the cluster has no such kind"),
            Self::Forbidden(why) => write!(f, "the API server forbids to list and watch it: {why}"),
            Self::Unreachable(why) => write!(f, "the API server does not answer: {why}"),
        }
    }
}

impl Status {
    /// Every watch by what it watches.
    pub fn watches(&self) -> BTreeMap<&'static str, Watch> {
        self.lock().watches.clone()
    }

    /// How long ago all that is served was last known to be true; zero while it is.
    pub fn age(&self) -> Duration {
        let inner = self.lock();
        let stale = inner.watches.values().filter(|watch| !watch.health.is_true());
        let since = stale.filter_map(|watch| watch.as_of).min();
        since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default()).unwrap_or_default()
    }

    /// When the state that was read from disk was last known to be true, while any of it is served.
    pub fn restored(&self) -> Option<SystemTime> {
        self.lock().restored
    }

    /// Whether all that is served is true.
    pub(super) fn is_true(&self) -> bool {
        self.lock().watches.values().all(|watch| watch.health.is_true())
    }

    /// Notes a watch, which is told only when it is another one than before.
    pub(super) fn note(&self, name: &'static str, health: Health) {
        let mut inner = self.lock();
        let watch = inner.watches.entry(name).or_default();
        let reason = match &health {
            Health::Forbidden(_) => Some("forbidden"),
            Health::Unreachable(_) => Some("unreachable"),
            _ => None,
        };
        if let Some(reason) = reason {
            *watch.failures.entry(reason).or_default() += 1;
        }
        if watch.health.is_true() && !health.is_true() {
            watch.as_of = Some(SystemTime::now());
        }
        let before = std::mem::replace(&mut watch.health, health);
        let is_new = std::mem::discriminant(&before) != std::mem::discriminant(&watch.health);
        let now = watch.health.clone();
        // An API server that is away is told once, and so is that it is back.
        let others = inner.watches.iter().filter(|(other, _)| **other != name);
        let is_away = others.map(|(_, watch)| &watch.health).any(|one| matches!(one, Health::Unreachable(_)));
        if inner.watches.values().all(|watch| watch.health.is_true()) {
            inner.restored = None;
        }
        drop(inner);
        if is_new {
            tell(name, &before, &now, is_away);
        }
    }

    /// Notes what was read from disk instead, and when it was true.
    pub(super) fn restore(&self, names: impl IntoIterator<Item = &'static str>, as_of: SystemTime) {
        let mut inner = self.lock();
        for name in names {
            inner.watches.entry(name).or_default().as_of = Some(as_of);
        }
        inner.restored = Some(as_of);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `is_away` is whether other watches fail because the API server does not answer.
fn tell(name: &str, before: &Health, now: &Health, is_away: bool) {
    match now {
        Health::Unreachable(_) if is_away => tracing::debug!("watching {name}: {now}"),
        Health::Unreachable(_) if matches!(before, Health::Waiting) => {
            tracing::warn!("watching {name}: {now}")
        }
        Health::Unreachable(_) => tracing::warn!("watching {name}: {now}; what it said before holds"),
        Health::Forbidden(_) => tracing::warn!("watching {name}: {now}"),
        Health::Live if matches!(before, Health::Forbidden(_)) => {
            tracing::info!("watching {name} is allowed now")
        }
        Health::Live | Health::NotServed if matches!(before, Health::Unreachable(_)) && !is_away => {
            tracing::info!("the API server answers again");
        }
        Health::NotServed => tracing::info!("watching {name}: {now}; it is read as soon as there is one"),
        _ => tracing::debug!("watching {name}: {now}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_as_old_as_the_watch_that_failed_first() {
        let status = Status::default();
        status.note("Pod", Health::Live);
        status.note("Node", Health::NotServed);
        assert_eq!((status.age(), status.is_true()), (Duration::ZERO, true));
        status.restore(["Service"], SystemTime::now() - Duration::from_secs(60));
        status.note("Service", Health::Unreachable("refused".into()));
        status.note("Pod", Health::Unreachable("refused".into()));
        assert!(status.age() >= Duration::from_secs(60) && status.restored().is_some());
        status.note("Service", Health::Live);
        assert!(status.age() < Duration::from_secs(60));
        status.note("Pod", Health::Listing);
        assert!(!status.is_true());
        status.note("Pod", Health::Live);
        assert_eq!((status.age(), status.restored()), (Duration::ZERO, None));
        assert_eq!(status.watches()["Pod"].failures["unreachable"], 1);
    }
}
