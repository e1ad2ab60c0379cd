//! Counters of both webhooks under istiod's names (istiod-surface 5.10 and 10.3).

use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

use crate::Outcome;

const REQUESTS: &str = "sidecar_injection_requests_total";
const SUCCESS: &str = "sidecar_injection_success_total";
const FAILURE: &str = "sidecar_injection_failure_total";
const SKIP: &str = "sidecar_injection_skip_total";
const TIME: &str = "sidecar_injection_time_seconds";
const PASSED: &str = "galley_validation_passed";
const FAILED: &str = "galley_validation_failed";
const HTTP_ERROR: &str = "galley_validation_http_error";

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: &[f64] = &[0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Finer ones below, since an injection takes milliseconds.
const FINE: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.025, 0.05];

/// Counters of both webhooks.
pub struct Stats {
    requests: IntCounter,
    success: IntCounter,
    failure: IntCounter,
    skip: IntCounter,
    time: Histogram,
    passed: IntCounterVec,
    failed: IntCounterVec,
    http_error: IntCounterVec,
}

impl Stats {
    /// All at zero.
    pub fn new() -> prometheus::Result<Self> {
        let buckets = [FINE, SECONDS].concat();
        let time = HistogramOpts::new(TIME, "Total time taken for injection in seconds.").buckets(buckets);
        let object = ["group", "version", "resource"];
        let vector = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        Ok(Self {
            requests: IntCounter::new(REQUESTS, "Total number of sidecar injection requests.")?,
            success: IntCounter::new(SUCCESS, "Total number of successful sidecar injection requests.")?,
            failure: IntCounter::new(FAILURE, "Total number of failed sidecar injection requests.")?,
            skip: IntCounter::new(SKIP, "Total number of skipped sidecar injection requests.")?,
            time: Histogram::with_opts(time)?,
            passed: vector(PASSED, "Resource is valid", &object)?,
            failed: vector(
                FAILED,
                "Resource validation failed",
                &["group", "version", "resource", "reason"],
            )?,
            http_error: vector(HTTP_ERROR, "Resource validation http serve errors", &["status"])?,
        })
    }

    /// Their values now.
    pub fn families(&self) -> Vec<MetricFamily> {
        let counters = [&self.requests, &self.success, &self.failure, &self.skip];
        let mut families: Vec<_> = counters.into_iter().flat_map(|counter| counter.collect()).collect();
        families.extend(self.time.collect());
        for vector in [&self.passed, &self.failed, &self.http_error] {
            families.extend(vector.collect().into_iter().filter(|family| !family.get_metric().is_empty()));
        }
        families
    }

    /// A request for injection begins.
    pub(crate) fn asked(&self) {
        self.requests.inc();
    }

    /// It was answered so, after so long. Every answer counts as a success, as in istiod.
    pub(crate) fn answered(&self, outcome: Outcome, after: Duration) {
        self.time.observe(after.as_secs_f64());
        self.success.inc();
        match outcome {
            Outcome::Injected => {}
            Outcome::Skipped => self.skip.inc(),
            Outcome::Refused => self.failure.inc(),
        }
    }

    /// It was no question.
    pub(crate) fn refused(&self) {
        self.failure.inc();
    }

    /// An object was checked; `reason` says why it is refused.
    pub(crate) fn checked(&self, kind: [&str; 3], reason: Option<&str>) {
        let [group, version, resource] = kind;
        match reason {
            None => self.passed.with_label_values(&kind).inc(),
            Some(reason) => self.failed.with_label_values(&[group, version, resource, reason]).inc(),
        }
    }

    /// A request for validation was no question.
    pub(crate) fn not_understood(&self, status: u16) {
        self.http_error.with_label_values(&[status.to_string().as_str()]).inc();
    }
}
