//! What all watches say, as one stream of changes: first everything, then what happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Change, Kind};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::state_file::StateFile;
use super::status::{Health, Status};
use super::watches::Watches;

/// How long an API server may say nothing at all before what was last read from it is served.
const ANSWER: Duration = Duration::from_millis(500);
/// How long rights may be on their way, as while an installation is going on.
const RIGHTS: Duration = Duration::from_secs(2);
/// How much news is taken in one go.
const AT_ONCE: usize = 1024;

/// What a watch has to say.
pub(super) enum News {
    /// What has changed.
    Changes(&'static str, Vec<Change>),
    /// How it is.
    Health(&'static str, Health),
}

/// Gathers what watches say.
pub(super) struct Gather {
    pub(super) watches: Arc<Watches>,
    pub(super) status: Status,
    /// Where the last good state is kept.
    pub(super) state: Option<StateFile>,
    /// How long a kind may say nothing before the rest starts without it.
    pub(super) patience: Duration,
    pub(super) changes: mpsc::Sender<Vec<Change>>,
    /// Told whenever there is something new to write down.
    pub(super) written: Arc<Notify>,
}

impl Gather {
    /// Sends changes until nobody wants any more: everything, once there is all that can be had, then the rest.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let Some(first) = self.first(&mut news).await else { return };
        let mut waiting = first;
        loop {
            // The first message goes out even if it is empty: an empty cluster is one.
            if self.changes.send(std::mem::take(&mut waiting)).await.is_err() {
                return;
            }
            self.written.notify_one();
            while waiting.is_empty() {
                let mut taken = Vec::new();
                tokio::select! {
                    count = news.recv_many(&mut taken, AT_ONCE) => if count == 0 { return },
                    () = self.changes.closed() => return,
                }
                for news in taken {
                    self.take(news, &mut waiting);
                }
            }
        }
    }

    /// Everything, once it is known, or as much of it as can be had now.
    async fn first(&mut self, news: &mut mpsc::Receiver<News>) -> Option<Vec<Change>> {
        let begun = Instant::now();
        let mut waiting = Vec::new();
        let mut heard: BTreeMap<&'static str, Instant> = BTreeMap::new();
        let mut look = begun + ANSWER;
        let mut is_told = self.state.as_ref().is_some_and(StateFile::is_there);
        loop {
            if !is_told && heard.is_empty() && begun.elapsed() >= ANSWER {
                tracing::warn!("nothing is served until the API server answers: no earlier state is kept");
                is_told = true;
            }
            let mut taken = Vec::new();
            tokio::select! {
                count = news.recv_many(&mut taken, AT_ONCE) => if count == 0 { return None },
                () = tokio::time::sleep_until(look) => look = Instant::now() + ANSWER,
                () = self.changes.closed() => return None,
            }
            for news in taken {
                if let Some(name) = progress(&news) {
                    heard.insert(name, Instant::now());
                }
                self.take(news, &mut waiting);
            }
            if self.may_start(begun, &heard) {
                self.restore(&mut waiting).await;
                return Some(waiting);
            }
        }
    }

    fn take(&self, news: News, waiting: &mut Vec<Change>) {
        match news {
            News::Changes(_, mut changes) => waiting.append(&mut changes),
            News::Health(name, health) => self.status.note(name, health),
        }
    }

    /// Whether nothing better than what there is can be had soon.
    fn may_start(&self, begun: Instant, heard: &BTreeMap<&'static str, Instant>) -> bool {
        let watches = self.status.watches();
        let open: Vec<_> =
            watches.iter().filter(|(_, watch)| !watch.health.is_true()).map(|(name, _)| *name).collect();
        if open.is_empty() {
            return true;
        }
        if heard.is_empty() {
            // Nobody answers: with a state on disk that is reason enough to serve from it.
            let failed = |name: &&str| {
                watches.get(*name).is_some_and(|watch| matches!(watch.health, Health::Unreachable(_)))
            };
            return self.state.as_ref().is_some_and(StateFile::is_there)
                && (begun.elapsed() >= ANSWER || open.iter().all(failed));
        }
        let stuck = |name: &&'static str| {
            let is_forbidden =
                watches.get(name).is_some_and(|watch| matches!(watch.health, Health::Forbidden(_)));
            let patience = if is_forbidden { RIGHTS.min(self.patience) } else { self.patience };
            heard.get(*name).unwrap_or(&begun).elapsed() >= patience
        };
        // An API server that has gone away meanwhile is no reason to serve half of what there is.
        let is_there = watches.values().any(|watch| watch.health == Health::Live)
            || self.state.as_ref().is_some_and(StateFile::is_there);
        let starts = is_there && open.iter().all(stuck);
        if starts {
            tracing::warn!("starting without all objects: nothing comes of {}", open.join(", "));
        }
        starts
    }

    /// Takes from disk what the API server has not said.
    async fn restore(&self, waiting: &mut Vec<Change>) {
        let Some(state) = &self.state else { return };
        if self.status.watches().values().all(|watch| watch.health.is_true()) {
            return;
        }
        let Some(saved) = state.load() else { return };
        let age = std::time::SystemTime::now().duration_since(saved.as_of).unwrap_or_default();
        let watches = self.status.watches();
        let open = watches.iter().filter(|(_, watch)| !watch.health.is_true()).map(|(name, _)| *name);
        self.status.restore(open, saved.as_of);
        let restored = self.watches.restore(saved.objects);
        tracing::warn!(
            objects = restored.len(),
            age_seconds = age.as_secs(),
            "the API server does not answer; what was last read from it is served"
        );
        waiting.extend(restored);
    }
}

/// Which watch has come further, if one has. The mesh's configuration may come from a file, and says nothing of
/// the API server.
fn progress(news: &News) -> Option<&'static str> {
    match news {
        News::Changes(name, _) | News::Health(name, _) if *name == Kind::MeshConfig.as_str() => None,
        News::Changes(name, changes) => (!changes.is_empty()).then_some(*name),
        News::Health(name, Health::Live | Health::NotServed | Health::Listing) => Some(*name),
        News::Health(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::parse::Context;
    use model::revision::Revision;
    use serde_json::json;

    use super::super::mesh_watch::{Mesh, Place};
    use super::*;

    /// A gatherer whose watches are played by the test.
    struct Stage {
        news: mpsc::Sender<News>,
        changes: mpsc::Receiver<Vec<Change>>,
        status: Status,
    }

    fn stage(state: Option<StateFile>) -> Stage {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let places = ["shared", "istio"].map(|name| Place::ConfigMap("istio-system".into(), name.into()));
        let watches = Watches::new(Mesh::new(places, &context), &context, &Revision::new("r"));
        let (status, (news, inbox)) = (Status::default(), mpsc::channel(8));
        let (changes, receiver) = mpsc::channel(8);
        ["Pod", "Service"].into_iter().for_each(|name| status.note(name, Health::Waiting));
        let gather = Gather {
            watches: Arc::new(watches),
            status: status.clone(),
            state,
            patience: Duration::from_secs(10),
            changes,
            written: Arc::default(),
        };
        tokio::spawn(gather.run(inbox));
        Stage { news, changes: receiver, status }
    }

    impl Stage {
        async fn tell(&self, name: &'static str, health: Health) {
            self.news.send(News::Health(name, health)).await.unwrap();
        }

        async fn change(&self, kind: Kind) {
            let key = model::Key { cluster: "c".into(), kind, namespace: "n".into(), name: "a".into() };
            let change = Change { key, value: None, origin: Arc::default(), problems: Vec::new() };
            self.news.send(News::Changes(kind.as_str(), vec![change])).await.unwrap();
        }

        /// How many changes the next message has, if one comes within that time.
        async fn next(&mut self, seconds: u64) -> Option<usize> {
            let next = tokio::time::timeout(Duration::from_secs(seconds), self.changes.recv());
            next.await.ok().flatten().map(|changes| changes.len())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_message_is_everything() {
        let mut stage = stage(None);
        stage.change(Kind::Pod).await;
        stage.tell("Pod", Health::Live).await;
        assert_eq!(stage.next(5).await, None);
        stage.change(Kind::Service).await;
        stage.tell("Service", Health::NotServed).await;
        assert_eq!(stage.next(1).await, Some(2));
        stage.change(Kind::Pod).await;
        assert_eq!(stage.next(1).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_says_nothing_holds_up_the_rest_for_a_while_only() {
        let mut stage = stage(None);
        stage.tell("Pod", Health::Live).await;
        stage.tell("Service", Health::Unreachable("500".into())).await;
        assert_eq!(stage.next(9).await, None);
        assert_eq!(stage.next(2).await, Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn rights_that_are_missing_are_waited_for_shortly() {
        let mut stage = stage(None);
        stage.tell("Pod", Health::Live).await;
        stage.tell("Service", Health::Forbidden("no".into())).await;
        assert_eq!(stage.next(3).await, Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_no_empty_cluster() {
        let mut stage = stage(None);
        for name in ["Pod", "Service"] {
            stage.tell(name, Health::Unreachable("refused".into())).await;
        }
        assert_eq!(stage.next(600).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_kept_is_served_while_the_api_server_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFile::new(folder.path(), "c", "r");
        let kept =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "n"}});
        state.put(&[kept.as_object().unwrap().clone()]);
        let mut stage = stage(Some(state));
        assert_eq!(stage.next(1).await, Some(1));
        assert!(stage.status.restored().is_some());
        for name in ["Pod", "Service"] {
            stage.tell(name, Health::Live).await;
        }
        assert_eq!(stage.next(1).await, None);
        assert!(stage.status.restored().is_none());
    }
}
