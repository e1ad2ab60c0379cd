//! A list of objects and all that happens to it, for as long as anybody wants to know.

use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use kube::api::ListParams;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// How many messages are taken in one go.
const AT_ONCE: usize = 512;
/// The first and the longest wait after a failure.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How soon a watch that cannot go on says so.
const SILENCE: Duration = Duration::from_millis(300);
/// After so many refusals to go on from where the watch stood everything is listed anew: the API server may have
/// been put back to an earlier state.
const PATIENCE: u32 = 3;

/// Why nothing comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchFailure {
    /// The API server does not know the kind.
    NotServed,
    /// Our rights do not reach that far.
    Forbidden(String),
    /// The API server cannot be reached, or is not well.
    Unreachable(String),
}

/// Objects of one type under a watch that never ends.
pub(super) struct Following<K> {
    api: Api<K>,
    config: Config,
    messages: Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>,
    failures: u32,
    refusals: u32,
    is_listed: bool,
}

impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Following<K> {
    /// Follows what the configuration selects.
    pub(super) fn new(api: Api<K>, config: Config) -> Self {
        let messages = Box::pin(watcher(api.clone(), config.clone()));
        Self { api, config, messages, failures: 0, refusals: 0, is_listed: false }
    }

    /// Whether everything has been listed and a watch tells of what happens since.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The next messages, none if all that there is to say is that the watch goes on after a failure; or why there
    /// are none, after which the next call waits a while first.
    pub(super) async fn next(&mut self) -> Result<Vec<Event<K>>, WatchFailure> {
        let mut next = match self.failures {
            0 => self.messages.next().await,
            _ => match self.after_failure().await? {
                None => return Ok(Vec::new()),
                next => next,
            },
        };
        let mut events = Vec::new();
        loop {
            match next {
                Some(Ok(event)) => events.push(self.noted(event)),
                Some(Err(error)) if events.is_empty() => return Err(self.failed(&error)),
                // Told by the next call: a watch that has failed goes on failing.
                Some(Err(error)) => {
                    let _ = self.failed(&error);
                    return Ok(events);
                }
                None => return Ok(events),
            }
            if events.len() >= AT_ONCE {
                return Ok(events);
            }
            match self.messages.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(events),
            }
        }
    }

    fn noted(&mut self, event: Event<K>) -> Event<K> {
        match event {
            // That a list begins says nothing yet: it may fail all the same.
            Event::Init => self.is_listed = false,
            Event::InitDone => self.is_listed = true,
            _ => {}
        }
        if !matches!(event, Event::Init) {
            (self.failures, self.refusals) = (0, 0);
        }
        event
    }

    /// Waits, and tries again. A watch that goes on where it stood says nothing until something happens: that it is
    /// well again is found out by asking.
    async fn after_failure(&mut self) -> Result<Option<watcher::Result<Event<K>>>, WatchFailure> {
        tokio::time::sleep(wait(self.failures)).await;
        if !self.is_listed {
            return Ok(self.messages.next().await);
        }
        if let Ok(next) = tokio::time::timeout(SILENCE, self.messages.next()).await {
            return Ok(next);
        }
        match self.api.list(&ListParams::default().limit(1)).await {
            Ok(_) => {
                (self.failures, self.refusals) = (0, 0);
                Ok(None)
            }
            Err(error) => {
                self.failures += 1;
                Err(of(&error))
            }
        }
    }

    fn failed(&mut self, error: &watcher::Error) -> WatchFailure {
        self.failures += 1;
        let (failure, is_refusal) = failure(error);
        if is_refusal {
            self.refusals += 1;
        }
        if self.refusals >= PATIENCE {
            self.refusals = 0;
            self.messages = Box::pin(watcher(self.api.clone(), self.config.clone()));
        }
        failure
    }
}

/// What a failure means, and whether it is a refusal to go on from where a watch stood.
fn failure(error: &watcher::Error) -> (WatchFailure, bool) {
    let (cause, resumed) = match error {
        watcher::Error::InitialListFailed(cause) => (cause, false),
        watcher::Error::WatchStartFailed(cause) | watcher::Error::WatchFailed(cause) => (cause, true),
        other => return (WatchFailure::Unreachable(other.to_string()), false),
    };
    let failure = of(cause);
    let is_refusal =
        resumed && matches!(cause, kube::Error::Api(_)) && matches!(failure, WatchFailure::Unreachable(_));
    (failure, is_refusal)
}

/// What a failed request means.
pub(super) fn of(error: &kube::Error) -> WatchFailure {
    match error {
        kube::Error::Api(status) if status.code == 404 => WatchFailure::NotServed,
        kube::Error::Api(status) if status.code == 403 => WatchFailure::Forbidden(status.message.clone()),
        kube::Error::Api(status) => WatchFailure::Unreachable(format!("{} {}", status.code, status.message)),
        other => WatchFailure::Unreachable(causes(other)),
    }
}

/// An error with all that led to it, each once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

/// How long to wait after so many failures: ever longer, and not all at the same moment.
pub(super) fn wait(failures: u32) -> Duration {
    let longest = WAITS.0.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(WAITS.1);
    let chance = RandomState::new().build_hasher().finish() % 1024;
    longest.mul_f64(0.75 + 0.25 * (chance as f64 / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        for (failures, from, to) in [(1, 75, 100), (3, 300, 400), (20, 3750, 5000), (u32::MAX, 3750, 5000)] {
            let waited = wait(failures).as_millis();
            assert!((from..=to).contains(&waited), "{failures}: {waited}");
        }
    }
}
