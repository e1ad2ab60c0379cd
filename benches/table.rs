//! The table: what was measured, its figure, its limit.

use std::fmt::Write as _;
use std::time::Duration;

use crate::server::Memory;

/// One line: figures beside limits in the same order.
pub(crate) struct Line {
    what: String,
    figures: Vec<Figure>,
}

/// One figure with its limit.
struct Figure {
    value: f64,
    limit: f64,
    unit: Unit,
    exact: bool,
    /// Shown beside it, without a limit.
    note: String,
}

/// How a figure is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    Megabytes,
    Times,
    Percent,
    Count,
}

impl Line {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), figures: Vec::new() }
    }

    /// A figure that may not be more than its limit.
    #[must_use]
    pub(crate) fn most(mut self, value: f64, limit: f64, unit: Unit) -> Self {
        self.figures.push(Figure { value, limit, unit, exact: false, note: String::new() });
        self
    }

    /// A count that must be exactly this.
    #[must_use]
    pub(crate) fn exactly(mut self, value: f64, limit: f64) -> Self {
        self.figures.push(Figure { value, limit, unit: Unit::Count, exact: true, note: String::new() });
        self
    }

    /// Says something beside the last figure.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        if let Some(last) = self.figures.last_mut() {
            last.note = note.into();
        }
        self
    }

    /// Two percentiles of repeats.
    #[must_use]
    pub(crate) fn percentiles(self, times: &Times, limits: (f64, f64)) -> Self {
        self.most(millis(times.percentile(50)), limits.0, Unit::Millis)
            .note("p50")
            .most(millis(times.percentile(99)), limits.1, Unit::Millis)
            .note("p99")
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.figures.iter().all(Figure::is_kept)
    }
}

impl Figure {
    fn is_kept(&self) -> bool {
        if self.exact { (self.value - self.limit).abs() < f64::EPSILON } else { self.value <= self.limit }
    }

    fn show(&self) -> String {
        let note = if self.note.is_empty() { String::new() } else { format!(" {}", self.note) };
        let past = if self.is_kept() { "" } else { " (!)" };
        format!("{}{note}{past}", self.unit.show(self.value))
    }

    fn show_limit(&self) -> String {
        self.unit.show(self.limit)
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.2} s"),
            Self::Millis => format!("{value:.1} ms"),
            Self::Micros => format!("{value:.2} µs"),
            Self::Nanos => format!("{value:.0} ns"),
            Self::Megabytes => format!("{value:.0} MB"),
            Self::Times => format!("{value:.1} ×"),
            Self::Percent => format!("{value:.1} %"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// All lines under one head, each with a mark.
pub(crate) fn show(lines: &[Line]) -> String {
    let rows: Vec<[String; 3]> = lines
        .iter()
        .map(|line| {
            let join =
                |of: fn(&Figure) -> String| line.figures.iter().map(of).collect::<Vec<_>>().join(" · ");
            [line.what.clone(), join(Figure::show), join(Figure::show_limit)]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let (one, two) = (width(0), width(1));
    let mut text = format!("{:one$}  {:two$}  limit\n", "what", "measured");
    for (line, [what, measured, limit]) in lines.iter().zip(&rows) {
        let mark = if line.is_kept() { "" } else { "   PAST ITS LIMIT" };
        // Cannot fail: a string grows.
        let _ = writeln!(text, "{what:one$}  {measured:two$}  {limit}{mark}");
    }
    text
}

/// Repeats of one measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(pub(crate) Vec<Duration>);

impl Times {
    /// The time that so many percent of the repeats stayed within.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort();
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or_default()
    }

    /// All repeats in the order in which they were made, in milliseconds.
    pub(crate) fn raw(&self) -> String {
        let times: Vec<String> = self.0.iter().map(|time| format!("{:.1}", millis(*time))).collect();
        times.join(" ")
    }
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    number(bytes) / 1e6
}

/// The most that a process held, to stand beside what it holds.
pub(crate) fn peak(memory: Memory) -> String {
    format!(" (peak {:.0} MB)", megabytes(memory.peak)).trim_start().to_owned()
}
