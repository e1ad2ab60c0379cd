//! Clusters that a client has just been given and cannot use yet.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use envoy_api::Name;

/// New clusters of one stream, until their endpoints are acknowledged or the time is up.
///
/// The time of a cluster counts from its first being sent and never starts again.
#[derive(Debug, Default)]
pub(crate) struct Warming(VecDeque<Batch>);

/// The new clusters of one response.
#[derive(Debug)]
struct Batch {
    since: Instant,
    accepted: bool,
    names: HashSet<Name>,
}

impl Warming {
    /// Notes new clusters that are being sent.
    pub(crate) fn add(&mut self, names: HashSet<Name>, now: Instant) {
        if !names.is_empty() {
            self.0.push_back(Batch { since: now, accepted: false, names });
        }
    }

    /// Whether no cluster is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this cluster is still waited for.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|batch| batch.names.contains(name))
    }

    /// The client has accepted clusters of these names; of those, `expects` says whose endpoints it will ask for.
    pub(crate) fn accept(&mut self, names: &[Name], expects: impl Fn(&str) -> bool) {
        for batch in &mut self.0 {
            for name in names {
                batch.accepted |= batch.names.contains(name);
                if !expects(name) {
                    batch.names.remove(name);
                }
            }
        }
        self.tidy();
    }

    /// The client has said whose endpoints it wants: of the clusters that it accepted, no others have any.
    pub(crate) fn narrow(&mut self, wants: impl Fn(&str) -> bool) {
        for batch in self.0.iter_mut().filter(|batch| batch.accepted) {
            batch.names.retain(|name| wants(name));
        }
        self.tidy();
    }

    /// The client holds the endpoints of these clusters, or does not have the clusters any more.
    pub(crate) fn done<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        for name in names {
            for batch in &mut self.0 {
                batch.names.remove(name);
            }
        }
        self.tidy();
    }

    /// Gives up on what has been waited for since `bound` ago. Whether there was any.
    pub(crate) fn expire(&mut self, now: Instant, bound: Duration) -> bool {
        let before = self.0.len();
        self.0.retain(|batch| batch.since + bound > now);
        self.0.len() < before
    }

    /// Since when the oldest cluster is waited for.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.0.front().map(|batch| batch.since)
    }

    fn tidy(&mut self) {
        self.0.retain(|batch| !batch.names.is_empty());
    }
}
