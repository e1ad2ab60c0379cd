//! The one task that turns changes into snapshots and snapshots into views.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use memo::Shared;
use mesh::{Config, Snapshot};
use model::settings::Settings;
use model::{Change, Kind, Proxy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use translate::Memos;
use xds::View;

use crate::pace::{Limits, Pace};
use crate::planner::{Planner, Seat, Wanted};
use crate::stats::Stats;

/// What the engine is asked.
pub enum Command {
    /// Objects have changed.
    Changes(Vec<Change>),
    /// A proxy has connected; it is answered with its number and its views.
    Connect(Box<Proxy>, oneshot::Sender<(u64, watch::Receiver<Arc<View>>)>),
    /// A proxy wants other names than before.
    Want(u64, Wanted),
    /// A proxy is gone.
    Disconnect(u64),
}

/// How others reach the engine.
#[derive(Clone)]
pub struct Handle {
    /// Where commands go.
    #[allow(clippy::disallowed_types, reason = "a stream sends one command at a time, and Drop cannot wait")]
    pub commands: mpsc::UnboundedSender<Command>,
    /// The newest snapshot; its generation is 0 until there is one.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The engine's counters.
    pub stats: Arc<Stats>,
    /// The memos, for theirs.
    pub memos: Arc<Memos>,
}

/// The state of the engine; plain data with methods, run by [`Engine::run`].
pub struct Engine {
    snapshot: Snapshot,
    config: Config,
    planner: Planner,
    proxies: HashMap<u64, Connected>,
    count: u64,
    published: watch::Sender<Arc<Snapshot>>,
    stats: Arc<Stats>,
}

struct Connected {
    seat: Seat,
    wanted: Wanted,
    views: watch::Sender<Arc<View>>,
}

impl Engine {
    /// An engine without any object, and the way to reach it.
    pub fn new(settings: Settings) -> (Self, Handle, mpsc::UnboundedReceiver<Command>) {
        #[allow(
            clippy::disallowed_methods,
            reason = "a stream sends one command at a time, and Drop cannot wait"
        )]
        let (commands, receiver) = mpsc::unbounded_channel();
        let config = Config { settings: Shared::new(settings), ..Config::default() };
        let mut snapshot = Snapshot::default();
        snapshot.config = config.clone();
        let (published, snapshots) = watch::channel(Arc::new(snapshot.clone()));
        let (planner, stats) = (Planner::default(), Arc::<Stats>::default());
        let memos = Arc::clone(planner.memos());
        let engine = Self {
            snapshot,
            config,
            planner,
            proxies: HashMap::new(),
            count: 0,
            published,
            stats: Arc::clone(&stats),
        };
        (engine, Handle { commands, snapshots, stats, memos }, receiver)
    }

    /// Takes commands until nobody is left to send any.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>, limits: Limits) {
        let mut pace = Pace::new(limits);
        let mut waiting: Vec<Change> = Vec::new();
        let mut since = Instant::now();
        loop {
            let due = pace.due();
            let command = tokio::select! {
                biased;
                () = sleep_until(due) => {
                    let changes = std::mem::take(&mut waiting);
                    tokio::task::block_in_place(|| self.change(changes, since));
                    pace.pushed(Instant::now());
                    continue;
                }
                command = commands.recv() => command,
            };
            match command {
                None => return,
                Some(Command::Changes(changes)) => {
                    let now = Instant::now();
                    let (endpoints, config): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_endpoint);
                    if !config.is_empty() {
                        if waiting.is_empty() {
                            since = now;
                        }
                        pace.note(now);
                        waiting.extend(config);
                    }
                    // Before there is any state, all belongs to the first one.
                    if self.snapshot.generation == 0 {
                        waiting.extend(endpoints);
                        pace.note(now);
                    } else if !endpoints.is_empty() {
                        tokio::task::block_in_place(|| self.change(endpoints, now));
                    }
                }
                Some(other) => tokio::task::block_in_place(|| self.command(other)),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Changes(changes) => self.change(changes, Instant::now()),
            Command::Connect(proxy, reply) => drop(reply.send(self.connect(*proxy))),
            Command::Want(number, wanted) => self.want(number, wanted),
            Command::Disconnect(number) => drop(self.proxies.remove(&number)),
        }
    }

    /// Puts changes in; if anything is different then, makes the next snapshot and everybody's view.
    pub fn change(&mut self, changes: Vec<Change>, since: Instant) {
        let mut changed = self.snapshot.generation == 0;
        let mut causes = BTreeSet::new();
        for change in changes {
            let known = self.config.origins.get(&change.key).is_some();
            causes.insert(self.stats.note(&change, known));
            changed |= self.config.apply(change);
        }
        if !changed {
            self.stats.same();
            // Origins and problems may be new all the same; debug pages show them.
            self.snapshot.config = self.config.clone();
            self.published.send_replace(Arc::new(self.snapshot.clone()));
            return;
        }
        self.stats.pushed(causes);
        self.stats.waited.time(since.elapsed());
        let begun = Instant::now();
        let next = self.snapshot.next(self.config.clone());
        let before = std::mem::replace(&mut self.snapshot, next);
        self.stats.snapshots.time(begun.elapsed());
        self.published.send_replace(Arc::new(self.snapshot.clone()));
        self.plan_all(&before, since);
    }

    /// Makes everybody's view. Where only endpoints have changed, who sees what stays as it was.
    fn plan_all(&mut self, before: &Snapshot, since: Instant) {
        let only_endpoints = self.snapshot.differs_in_endpoints_only(before);
        let begun = Instant::now();
        for connected in self.proxies.values_mut() {
            if !only_endpoints || connected.seat.member.hangs_on_endpoints {
                let member = self.snapshot.member(&connected.seat.member.proxy);
                connected.seat = self.planner.seat(member, Some(&connected.seat));
            }
            let view = self.planner.view(&self.snapshot, &connected.seat, &connected.wanted, since);
            publish(&connected.views, view);
        }
        self.stats.views.time(begun.elapsed());
        self.planner.sweep(self.snapshot.generation);
        self.stats.note_sets(self.planner.counts());
        self.snapshot.sweep();
    }

    /// Lets a proxy in: its number and views.
    pub fn connect(&mut self, proxy: Proxy) -> (u64, watch::Receiver<Arc<View>>) {
        let seat = self.planner.seat(self.snapshot.member(&Shared::new(proxy)), None);
        let wanted = Wanted::default();
        let view = self.planner.view(&self.snapshot, &seat, &wanted, Instant::now());
        let (views, receiver) = watch::channel(Arc::new(view));
        self.count += 1;
        self.proxies.insert(self.count, Connected { seat, wanted, views });
        (self.count, receiver)
    }

    /// Lets a proxy have these names beside those that its listeners mention.
    pub fn want(&mut self, number: u64, wanted: Wanted) {
        let Some(connected) = self.proxies.get_mut(&number) else { return };
        if connected.wanted != wanted {
            connected.wanted = wanted;
            let view = self.planner.view(&self.snapshot, &connected.seat, &connected.wanted, Instant::now());
            publish(&connected.views, view);
        }
    }

    /// The planner, for its counters.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// Sends a view unless the proxy is served all the same already.
fn publish(views: &watch::Sender<Arc<View>>, view: View) {
    views.send_if_modified(|old| {
        let same = old.wants == view.wants
            && old.types.len() == view.types.len()
            && old.types.iter().zip(&view.types).all(|((_, one), (_, two))| one.same(two));
        if !same {
            *old = Arc::new(view);
        }
        !same
    });
}

/// Endpoint changes do not wait for configuration that is being coalesced.
fn is_endpoint(change: &Change) -> bool {
    matches!(change.key.kind, Kind::EndpointSlice | Kind::Pod | Kind::WorkloadEntry | Kind::Node)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
