//! The parts of the process that run until it is told to end: one that ends by itself ends the process.

use std::future::Future;

use anyhow::Error;
use tokio::task::JoinSet;

/// Tasks that are to run for as long as the process does.
#[derive(Default)]
pub(crate) struct Parts(JoinSet<Error>);

impl Parts {
    /// Starts one; what it answers says why it ended, for the person who has only the log.
    pub(crate) fn start(&mut self, name: &'static str, part: impl Future<Output = Error> + Send + 'static) {
        // A task of its own, so that a panic is an end like any other; it goes with whoever waits for it.
        self.0.spawn(async move {
            let mut task = JoinSet::new();
            task.spawn(part);
            match task.join_next().await {
                Some(Ok(reason)) => reason.context(name),
                Some(Err(broken)) => Error::new(broken).context(name),
                None => Error::msg(name),
            }
        });
    }

    /// Why the first one ended that does; does not return before.
    pub(crate) async fn ended(&mut self) -> Error {
        match self.0.join_next().await {
            Some(Ok(reason)) => reason,
            Some(Err(broken)) => broken.into(),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_or_panics_is_told_by_name() {
        let mut parts = Parts::default();
        parts.start("the rest", std::future::pending());
        parts.start("the feed", async { Error::msg("nothing comes any more") });
        assert_eq!(format!("{:#}", parts.ended().await), "the feed: nothing comes any more");
        parts.start("the engine", async { panic!("out of steam") });
        let told = format!("{:#}", parts.ended().await);
        assert!(told.starts_with("the engine: ") && told.contains("out of steam"), "{told}");
    }
}
