//! Measured traffic: many calls at once or a steady flow, and what became of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::calls::{Answer, Client, NoAnswer};

/// What is called, and how an answer is told from another one.
#[derive(Clone)]
pub struct Target {
    /// Where to; the host in the headers may be another.
    pub address: SocketAddr,
    /// Path and query.
    pub path: String,
    /// Sent with each call.
    pub headers: HeaderMap,
    /// The kind of a good answer, for instance the version that gave it.
    pub kind: fn(&Answer) -> String,
}

/// What became of a number of calls.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Calls made.
    pub sent: usize,
    /// Good answers by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Answers that are no success and calls without one, by cause.
    pub failures: BTreeMap<String, usize>,
    /// From a call's first byte to its answer's last, of good answers, in order of arrival.
    pub times: Vec<Duration>,
    /// From the first call to the last answer.
    pub took: Duration,
}

impl Report {
    /// Calls that got no good answer.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// Good answers of a kind, in percent of all good answers.
    pub fn share(&self, kind: &str) -> f64 {
        let good: usize = self.kinds.values().sum();
        let of_kind = self.kinds.get(kind).copied().unwrap_or(0);
        100.0 * as_number(of_kind) / as_number(good.max(1))
    }

    /// The time that so many percent of the good answers stayed within.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or_default()
    }

    /// Adds another report to this one.
    pub fn merge(&mut self, other: Report) {
        self.sent += other.sent;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (cause, count) in other.failures {
            *self.failures.entry(cause).or_default() += count;
        }
        self.times.extend(other.times);
        self.took = self.took.max(other.took);
    }

    fn add(&mut self, target: &Target, answer: Result<Answer, NoAnswer>, time: Duration) {
        self.sent += 1;
        let cause = match answer {
            Ok(answer) if answer.status.is_success() => {
                *self.kinds.entry((target.kind)(&answer)).or_default() += 1;
                return self.times.push(time);
            }
            Ok(answer) => format!("{} {}", answer.status.as_u16(), beginning(&answer)),
            Err(error) => error.to_string(),
        };
        *self.failures.entry(cause).or_default() += 1;
    }
}

/// Makes a number of calls, so many at a time, over kept connections.
pub async fn burst(client: &Client, target: &Target, calls: usize, at_once: usize) -> Report {
    let start = Instant::now();
    let left = Arc::new(AtomicUsize::new(calls));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        workers.spawn(work(client.clone(), target.clone(), Arc::clone(&left)));
    }
    let mut report = Report::default();
    while let Some(part) = workers.join_next().await {
        report.merge(part.unwrap_or_default());
    }
    report.took = start.elapsed();
    report
}

async fn work(client: Client, target: Target, left: Arc<AtomicUsize>) -> Report {
    let mut report = Report::default();
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        one(&client, &target, &mut report).await;
    }
    report
}

async fn one(client: &Client, target: &Target, report: &mut Report) {
    let start = Instant::now();
    let answer = client.get(target.address, &target.path, &target.headers).await;
    report.add(target, answer, start.elapsed());
}

/// Calls at a steady rate until it is stopped.
pub struct Flow {
    is_over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Report>,
}

impl Flow {
    /// Starts so many calls a second; a late answer does not hold up the next call.
    pub fn start(client: Client, target: Target, per_second: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(flow(client, target, per_second.max(1), Arc::clone(&is_over)));
        Self { is_over, task }
    }

    /// Waits for the calls under way and says what became of all.
    pub async fn stop(self) -> Report {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.unwrap_or_default()
    }
}

async fn flow(client: Client, target: Target, per_second: u32, is_over: Arc<AtomicBool>) -> Report {
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calls = JoinSet::new();
    let mut report = Report::default();
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (client, target) = (client.clone(), target.clone());
        calls.spawn(async move {
            let mut report = Report::default();
            one(&client, &target, &mut report).await;
            report
        });
        while let Some(part) = calls.try_join_next() {
            report.merge(part.unwrap_or_default());
        }
    }
    while let Some(part) = calls.join_next().await {
        report.merge(part.unwrap_or_default());
    }
    report.took = begin.elapsed();
    report
}

/// Enough of a body to recognise it by.
fn beginning(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim().chars().take(80).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn as_number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kinds: &[(&str, usize)], times: &[u64]) -> Report {
        Report {
            kinds: kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            times: times.iter().map(|time| Duration::from_millis(*time)).collect(),
            ..Report::default()
        }
    }

    #[test]
    fn shares_are_of_good_answers() {
        let report = report(&[("v1", 800), ("v3", 200)], &[]);
        assert!((report.share("v1") - 80.0).abs() < 1e-9);
        assert!(report.share("v2").abs() < 1e-9);
    }

    #[test]
    fn percentile_of_few_and_none() {
        assert_eq!(report(&[], &[]).percentile(50), Duration::ZERO);
        assert_eq!(report(&[], &[3, 1, 2]).percentile(50), Duration::from_millis(2));
        assert_eq!(report(&[], &[3, 1, 2]).percentile(99), Duration::from_millis(3));
    }

    #[test]
    fn reports_add_up() {
        let mut sum = report(&[("v1", 1)], &[1]);
        sum.merge(report(&[("v1", 2), ("v2", 1)], &[2]));
        assert_eq!(sum.kinds, report(&[("v1", 3), ("v2", 1)], &[]).kinds);
        assert_eq!(sum.times.len(), 2);
    }
}
