//! How many streams may begin per second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tonic::Status;

/// The longest that a stream waits for its turn before it is turned away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets streams begin at a steady rate; one at a time, none in advance.
#[derive(Debug)]
pub(crate) struct Rate {
    interval: Option<Duration>,
    next: Mutex<Instant>,
}

impl Rate {
    /// That many per second; zero, or nothing that is a number, means as many as come.
    pub(crate) fn new(per_second: f64) -> Self {
        let interval = Duration::try_from_secs_f64(1.0 / per_second).ok().filter(|_| per_second > 0.0);
        Self { interval, next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn, at most a second.
    pub(crate) async fn turn(&self) -> Result<(), Status> {
        let Some(interval) = self.interval else { return Ok(()) };
        let now = Instant::now();
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(now);
            if at > now + PATIENCE {
                return Err(Status::resource_exhausted("too many new streams; try again later"));
            }
            *next = at + interval;
            at
        };
        sleep_until(at).await;
        Ok(())
    }
}
