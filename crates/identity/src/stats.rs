//! Counters of identity; whoever shows them gives them istiod's names (istiod-surface 10.3).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of identity.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests for certificates.
    pub requests: AtomicU64,
    /// Certificates issued.
    pub issued: AtomicU64,
    /// Requests that were no use, by reason.
    pub refused: Refused,
    /// Callers of the certificate service who could not show who they are.
    pub strangers: AtomicU64,
    /// Streams of proxies that could not show who they are.
    pub strange_streams: AtomicU64,
    /// Certificates of peers without an identity of this mesh.
    pub foreign: AtomicU64,
    /// Tokens that the cluster was asked about.
    pub reviews: AtomicU64,
    /// Tokens that it said no to.
    pub review_refusals: AtomicU64,
    /// Questions that it did not answer.
    pub review_failures: AtomicU64,
    /// Tokens that were known.
    pub known_tokens: AtomicU64,
    /// Times that a new state of the authority, or a new certificate of this server, could not be taken.
    pub failed_renewals: AtomicU64,
}

/// Requests that were no use, by reason.
#[derive(Debug, Default)]
pub struct Refused {
    /// It cannot be read, or is not signed with its own key.
    pub request: AtomicU64,
    /// It asks for longer than there is.
    pub lifetime: AtomicU64,
    /// Signing failed.
    pub signing: AtomicU64,
    /// There was more to do than could be done.
    pub overload: AtomicU64,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
