//! What the demo says: one line a fact, and a mark where a fact is not as it should be.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use testkit::load::Report;

use super::place::Place;
use crate::output::say;

/// Points by which a measured share may differ from the configured one.
const TOLERANCE: f64 = 4.0;

/// The narrator, who remembers what went wrong.
#[derive(Default)]
pub(super) struct Voice {
    step: usize,
    wrong: Vec<String>,
}

impl Voice {
    /// Opens the next step.
    ///
    /// # Errors
    /// If nobody listens any more, which ends the story.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.step += 1;
        say!("\n{}. {title}", self.step)
    }

    /// Says a fact.
    pub(super) fn say(&self, fact: &str) {
        self.line(format_args!("   {fact}"));
    }

    /// Says how long a saved file took to have its effect.
    pub(super) fn effect(&self, what: &str, time: Duration) {
        self.line(format_args!("   {what} {} after the save", spell(time)));
    }

    /// Says a fact that must hold.
    pub(super) fn check(&mut self, is_so: bool, fact: &str) {
        self.line(format_args!("   {}{fact}", if is_so { "" } else { "WRONG: " }));
        if !is_so {
            self.wrong.push(fact.to_owned());
        }
    }

    /// Says the shares of measured traffic beside what they should be; no call may have failed.
    pub(super) fn shares(&mut self, who: &str, report: &Report, wanted: &[(&str, f64)]) {
        let shares: Vec<String> =
            report.kinds.keys().map(|kind| format!("{kind} {:.1} %", report.share(kind))).collect();
        let fact = format!("{who}: {} requests, {}", report.sent, shares.join(", "));
        self.check(are_right(report, wanted), &fact);
        self.unharmed(who, report);
    }

    /// Checks that no call failed, and says which did.
    pub(super) fn unharmed(&mut self, who: &str, report: &Report) {
        for (cause, count) in &report.failures {
            self.check(false, &format!("{who}: {count} requests failed: {cause}"));
        }
    }

    /// The end of the story; unattended, anything wrong is a failure.
    pub(super) fn verdict(&self, once: bool) -> Result<()> {
        match self.wrong.len() {
            0 => say!("\nAll as it should be."),
            count if once => bail!("{count} things were not as they should be: {}", self.wrong.join("; ")),
            count => say!("\n{count} things were not as they should be, marked WRONG above."),
        }
    }

    /// What to do with the mesh that is left.
    pub(super) fn farewell(&self, place: &Place) -> Result<()> {
        let steps = place.folder.join("steps");
        let config = place.config();
        say!(
            "\nThe mesh stays up until Ctrl-C.\n   \
             open   http://{}/productpage\n   \
             edit   {}\n   \
             try    cp {}/reviews-jason.yaml {}/routes-reviews.yaml\n   \
             logs   {}\n   \
             state  http://{}/debug/syncz",
            place.address(1, 8080),
            config.display(),
            steps.display(),
            config.display(),
            place.run().display(),
            place.address(2, 8080)
        )
    }

    /// What cannot be said is not: the next step ends a story that nobody hears.
    fn line(&self, text: fmt::Arguments<'_>) {
        let _ = say!("{text}");
    }
}

/// Whether measured shares are what they should be, and nothing else answered.
pub(super) fn are_right(report: &Report, wanted: &[(&str, f64)]) -> bool {
    let is_off = |(kind, share): &(&str, f64)| (report.share(kind) - share).abs() > TOLERANCE;
    let is_strange = |kind: &String| wanted.iter().all(|(known, _)| known != kind);
    !report.kinds.keys().any(is_strange) && !wanted.iter().any(is_off)
}

/// A time as a person says it.
pub(super) fn spell(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kinds: &[(&str, usize)]) -> Report {
        let kinds: std::collections::BTreeMap<_, _> =
            kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        Report { sent: kinds.values().sum(), kinds, ..Report::default() }
    }

    fn wrong(kinds: &[(&str, usize)], wanted: &[(&str, f64)]) -> usize {
        let mut voice = Voice::default();
        voice.shares("all", &report(kinds), wanted);
        voice.wrong.len()
    }

    #[test]
    fn shares_may_be_four_points_off() {
        let wanted = [("v1", 80.0), ("v3", 20.0)];
        assert_eq!(wrong(&[("v1", 836), ("v3", 164)], &wanted), 0);
        assert_eq!(wrong(&[("v1", 845), ("v3", 155)], &wanted), 1);
    }

    #[test]
    fn missing_and_strange_versions_are_wrong() {
        assert_eq!(wrong(&[("v1", 1000)], &[("v1", 80.0), ("v3", 20.0)]), 1);
        assert_eq!(wrong(&[("v1", 999), ("v2", 1)], &[("v1", 100.0)]), 1);
    }

    #[test]
    fn failed_request_is_wrong() {
        let mut report = report(&[("v1", 10)]);
        report.failures.insert("503 no healthy upstream".to_owned(), 1);
        let mut voice = Voice::default();
        voice.shares("all", &report, &[("v1", 100.0)]);
        assert_eq!(voice.wrong.len(), 1);
        assert!(voice.verdict(true).is_err() && voice.verdict(false).is_ok());
    }

    #[test]
    fn times_are_spelled() {
        assert_eq!(spell(Duration::from_micros(7_400)), "7 ms");
        assert_eq!(spell(Duration::from_millis(1_240)), "1.2 s");
    }
}
