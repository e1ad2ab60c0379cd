//! When a change is pushed: at once if the mesh was quiet, coalesced for a bounded time in a storm.

use std::time::Duration;

use tokio::time::Instant;

/// Bounds of coalescing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it must have been quiet for changes that wait to be pushed (`PILOT_DEBOUNCE_AFTER`).
    pub after: Duration,
    /// The longest time that a change waits (`PILOT_DEBOUNCE_MAX`).
    pub max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { after: Duration::from_millis(20), max: Duration::from_millis(500) }
    }
}

/// Decides when waiting changes are due.
#[derive(Debug)]
pub struct Pace {
    limits: Limits,
    pushed: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Pace {
    /// How much longer than [`Limits::after`] it must have been since the last push for the mesh to count as quiet.
    const QUIET: u32 = 5;

    /// A mesh that has been quiet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pushed: None, first: None, last: None }
    }

    /// A change has come.
    pub fn note(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// When what waits is due; `None` if nothing waits.
    pub fn due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        match self.pushed {
            Some(pushed) if first < pushed + self.limits.after * Self::QUIET => {
                Some((last + self.limits.after).min(first + self.limits.max))
            }
            _ => Some(first),
        }
    }

    /// What waited was pushed.
    pub fn pushed(&mut self, now: Instant) {
        (self.pushed, self.first, self.last) = (Some(now), None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_due_at_once_and_a_storm_waits_for_a_bounded_time() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let mut pace = Pace::new(Limits { after: ms(10), max: ms(30) });
        assert_eq!(pace.due(), None);
        pace.note(start);
        assert_eq!(pace.due(), Some(start));
        pace.pushed(start);
        for at in [5, 12, 20, 28] {
            pace.note(start + ms(at));
        }
        assert_eq!(pace.due(), Some(start + ms(35)), "thirty after the first");
        pace.pushed(start + ms(35));
        pace.note(start + ms(35) + ms(10) * 5);
        assert_eq!(pace.due(), Some(start + ms(85)), "quiet again");
    }
}
