//! Counters of the discovery server; `admin` gives them istiod's names.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::order::{LABELS, label_of};

/// Upper bounds of the buckets of times, in seconds (istiod's `pilot_proxy_convergence_time`).
pub const SECONDS: &[f64] = &[0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Upper bounds of the buckets of the time to make and send a response, in seconds (`pilot_xds_push_time`).
pub const PUSH_SECONDS: &[f64] = &[0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Upper bounds of the buckets of the time to send a response, in seconds (`pilot_xds_send_time`).
pub const SEND_SECONDS: &[f64] = &[0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Upper bounds of the buckets of sizes, in bytes (`pilot_xds_config_size_bytes`).
pub const SIZES: &[f64] = &[1.0, 1e4, 1e6, 4e6, 1e7, 4e7];

/// Counters of the discovery server.
#[derive(Debug)]
pub struct Stats {
    types: [TypeStats; LABELS.len()],
    /// From a change received to the answer to the last response that it causes, per proxy.
    pub convergence: Histogram,
    /// From a change received to the first response that it causes, per proxy.
    pub queue: Histogram,
    /// Until the transport has taken a response.
    pub send_times: Histogram,
    /// The longest request so far, in bytes.
    pub longest_request: AtomicU64,
    /// Streams that ended because of an error of the server.
    pub internal_errors: AtomicU64,
}

/// Counters of one type.
#[derive(Debug)]
pub struct TypeStats {
    /// Responses sent.
    pub pushes: AtomicU64,
    /// Responses that could not be sent because the stream ended.
    pub send_errors: AtomicU64,
    /// Responses that were refused.
    pub rejects: AtomicU64,
    /// Requests that answer a response which is not the newest.
    pub expired_nonces: AtomicU64,
    /// Resources sent.
    pub resources: AtomicU64,
    /// Removals sent.
    pub removed: AtomicU64,
    /// Sizes of responses.
    pub sizes: Histogram,
    /// Times to make a response and hand it to the transport.
    pub push_times: Histogram,
}

/// How often values fell into each of some ranges.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    /// In millionths, since a sum of integers can be atomic.
    sum: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            types: std::array::from_fn(|_| TypeStats::new()),
            convergence: Histogram::new(SECONDS),
            queue: Histogram::new(SECONDS),
            send_times: Histogram::new(SEND_SECONDS),
            longest_request: AtomicU64::new(0),
            internal_errors: AtomicU64::new(0),
        }
    }
}

impl Stats {
    /// The counters of a type, by its URL.
    pub fn of(&self, type_url: &str) -> &TypeStats {
        let [.., other] = &self.types;
        self.types.get(label_of(type_url)).unwrap_or(other)
    }

    /// The counters by istiod's short names of types; `other` is for all that have none.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &TypeStats)> {
        LABELS.into_iter().zip(&self.types)
    }
}

impl TypeStats {
    fn new() -> Self {
        Self {
            pushes: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            rejects: AtomicU64::new(0),
            expired_nonces: AtomicU64::new(0),
            resources: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            sizes: Histogram::new(SIZES),
            push_times: Histogram::new(PUSH_SECONDS),
        }
    }
}

impl Histogram {
    /// Of ranges with these upper bounds, which ascend.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, count: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Notes a time.
    pub fn time(&self, time: Duration) {
        self.note(time.as_secs_f64());
    }

    /// Notes a value that is not negative.
    pub fn note(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Relaxed);
    }

    /// Upper bounds, each with the number of values that are not above it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.buckets.iter().scan(0, |sum, bucket| {
            *sum += bucket.load(Relaxed);
            Some(*sum)
        });
        self.bounds.iter().copied().zip(sums)
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// The sum of the values.
    pub fn sum(&self) -> f64 {
        self.sum.load(Relaxed) as f64 / 1e6
    }
}
