//! How many streams are brought to a new state at once.
//!
//! A change that takes several responses, each answered before the next, would bring everybody to the second only
//! after all had the first. A few at a time, and each to the end, has half of them there in half of the time, and
//! takes less memory. A stream whose client takes its time does not hold up others: its place is soon given away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// How long a stream keeps its place if its client does not answer.
const LEASE: Duration = Duration::from_millis(20);
/// Places, unless another number is asked for: enough to keep all processors at work while clients answer.
const PLACES: usize = 64;

/// The places of all streams of a server.
#[derive(Clone, Debug)]
pub(crate) struct Throttle(Arc<Semaphore>);

/// One stream's place, or its way to one.
#[derive(Default)]
pub(crate) enum Pass {
    /// Nothing new is to be sent.
    #[default]
    Idle,
    /// Others have their turn before.
    Waits(oneshot::Receiver<oneshot::Sender<()>>),
    /// Has its turn, until this is dropped or the lease is over.
    Held(oneshot::Sender<()>),
}

impl Throttle {
    /// So many at once; zero means [`PLACES`].
    pub(crate) fn new(places: usize) -> Self {
        let places = if places == 0 { PLACES } else { places.min(Semaphore::MAX_PERMITS) };
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Waits for a place, unless the pass is for one. What was waited for is not lost if this is dropped.
    pub(crate) async fn enter(&self, pass: &mut Pass) {
        if pass.is_held() {
            return;
        }
        if !pass.waits() {
            *pass = self.queue();
        }
        let Pass::Waits(granted) = pass else { return };
        *pass = granted.await.map_or(Pass::Idle, Pass::Held);
    }

    /// A way to a place. The lease begins when the place is there and not when the stream looks, since one whose
    /// client does not read never looks.
    fn queue(&self) -> Pass {
        let places = Arc::clone(&self.0);
        let (grant, granted) = oneshot::channel();
        tokio::spawn(async move {
            // It is never closed.
            let Ok(_place) = places.acquire().await else { return };
            let (pass, ended) = oneshot::channel();
            if grant.send(pass).is_ok() {
                // An error is how it ends: the lease is over, or the pass was dropped.
                let _ = timeout(LEASE, ended).await;
            }
        });
        Pass::Waits(granted)
    }
}

impl Pass {
    /// Whether the stream may go on to newer states as they come.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Held(lease) if !lease.is_closed())
    }

    /// Whether something new is known to be there, and others have their turn before.
    pub(crate) fn waits(&self) -> bool {
        matches!(self, Self::Waits(_))
    }

    /// Gives the place away.
    pub(crate) fn end(&mut self) {
        if matches!(self, Self::Held(_)) {
            *self = Self::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn places_are_given_away_when_a_pass_ends_and_when_a_client_takes_its_time() {
        let throttle = Throttle::new(1);
        let [mut one, mut two, mut three] = [Pass::Idle, Pass::Idle, Pass::Idle];
        throttle.enter(&mut one).await;
        assert!(throttle.enter(&mut two).now_or_never().is_none() && two.waits());
        assert!(throttle.enter(&mut three).now_or_never().is_none());
        one.end();
        tokio::task::yield_now().await;
        throttle.enter(&mut two).await;
        assert!(two.is_held() && three.waits());
        let begun = Instant::now();
        throttle.enter(&mut three).await;
        assert_eq!(begun.elapsed().as_millis(), LEASE.as_millis());
        assert!(three.is_held() && !two.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_does_not_look_keeps_no_place() {
        let throttle = Throttle::new(1);
        let [mut one, mut stuck, mut three] = [Pass::Idle, Pass::Idle, Pass::Idle];
        throttle.enter(&mut one).await;
        assert!(throttle.enter(&mut stuck).now_or_never().is_none());
        one.end();
        let entered = timeout(LEASE * 3, throttle.enter(&mut three)).await;
        assert!(entered.is_ok() && three.is_held());
    }
}
