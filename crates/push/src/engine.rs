//! The one thread that turns changes into snapshots and snapshots into views.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use memo::Shared;
use mesh::{Config, Snapshot};
use model::settings::Settings;
use model::{Change, Kind, Proxy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use translate::Memos;
use xds::View;

use crate::pace::{Limits, Pace};
use crate::planner::{Planner, Seat, Wanted};
use crate::stats::Stats;
use crate::touched::Touched;
use crate::wishes::{Wish, Wishes};

/// Commands that wait for the engine; whoever has another one waits too.
const COMMANDS: usize = 64;
/// After so many departures and changes of mind what they leave behind is let go, although nothing has changed.
const CHURN: usize = 256;

/// What the engine is asked.
pub enum Command {
    /// Objects have changed.
    Changes(Vec<Change>),
    /// A proxy has connected; it is answered with its number and its views.
    Connect(Box<Proxy>, oneshot::Sender<(u64, watch::Receiver<Arc<View>>)>),
}

/// How others reach the engine.
#[derive(Clone)]
pub struct Handle {
    /// Where commands go.
    pub commands: mpsc::Sender<Command>,
    /// What connected proxies want.
    pub(crate) wishes: Arc<Wishes>,
    /// The newest snapshot; its generation is 0 until there is one.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The engine's counters.
    pub stats: Arc<Stats>,
    /// The memos, for theirs.
    pub memos: Arc<Memos>,
}

/// What the engine takes its work from.
pub struct Inbox {
    commands: mpsc::Receiver<Command>,
    wishes: Arc<Wishes>,
}

/// The state of the engine; plain data with methods, run by [`Engine::run`].
pub struct Engine {
    snapshot: Snapshot,
    config: Config,
    planner: Planner,
    proxies: HashMap<u64, Connected>,
    count: u64,
    /// Departures and changes of mind since the last sweep.
    churn: usize,
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
    pub fn new(settings: Settings) -> (Self, Handle, Inbox) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let config = Config { settings: Shared::new(settings), ..Config::default() };
        let mut snapshot = Snapshot::default();
        snapshot.config = config.clone();
        let (published, snapshots) = watch::channel(Arc::new(snapshot.clone()));
        let (planner, stats, wishes) =
            (Planner::default(), Arc::<Stats>::default(), Arc::<Wishes>::default());
        let memos = Arc::clone(planner.memos());
        let engine = Self {
            snapshot,
            config,
            planner,
            proxies: HashMap::new(),
            count: 0,
            churn: 0,
            published,
            stats: Arc::clone(&stats),
        };
        let inbox = Inbox { commands: receiver, wishes: Arc::clone(&wishes) };
        (engine, Handle { commands, wishes, snapshots, stats, memos }, inbox)
    }

    /// [Runs](Self::run) on a thread of its own, which planning holds for milliseconds.
    ///
    /// # Errors
    /// If the thread's runtime cannot be made.
    pub fn start(self, inbox: Inbox, limits: Limits) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        Ok(tokio::task::spawn_blocking(move || runtime.block_on(self.run(inbox, limits))))
    }

    /// Takes commands until nobody is left to send any.
    pub async fn run(mut self, mut inbox: Inbox, limits: Limits) {
        let mut pace = Pace::new(limits);
        let mut waiting: Vec<Change> = Vec::new();
        let mut since = Instant::now();
        loop {
            let command = tokio::select! {
                () = sleep_until(pace.due()) => {
                    self.change(std::mem::take(&mut waiting), since);
                    pace.pushed(Instant::now());
                    continue;
                }
                wishes = inbox.wishes.take() => {
                    self.grant(wishes);
                    continue;
                }
                command = inbox.commands.recv() => command,
            };
            let now = Instant::now();
            match command {
                None => return,
                Some(Command::Connect(proxy, reply)) => self.let_in(*proxy, reply),
                Some(Command::Changes(changes)) => {
                    let (mut later, mut at_once): (Vec<_>, Vec<_>) = changes.into_iter().partition(waits);
                    // Before there is any state, all belongs to the first one.
                    if self.snapshot.generation == 0 {
                        later.append(&mut at_once);
                    }
                    // An empty folder is a state as well.
                    if !later.is_empty() || self.snapshot.generation == 0 {
                        since = if waiting.is_empty() { now } else { since };
                        pace.note(now);
                        waiting.append(&mut later);
                    }
                    if !at_once.is_empty() {
                        self.change(at_once, now);
                    }
                }
            }
        }
    }

    fn let_in(&mut self, proxy: Proxy, reply: oneshot::Sender<(u64, watch::Receiver<Arc<View>>)>) {
        if let Err((number, _)) = reply.send(self.connect(proxy)) {
            // The client was gone before it was let in, and nobody else will say so.
            self.proxies.remove(&number);
        }
    }

    /// Serves proxies what they have come to want, and lets go of what those that are gone had.
    fn grant(&mut self, wishes: BTreeMap<u64, Wish>) {
        self.churn += wishes.len();
        for (number, wish) in wishes {
            match wish {
                Wish::Names(wanted) => self.want(number, wanted),
                Wish::Gone => drop(self.proxies.remove(&number)),
            }
        }
        if self.churn >= CHURN.max(self.proxies.len() / 4) {
            self.planner.begin();
            for connected in self.proxies.values() {
                self.planner.view(&self.snapshot, &connected.seat, &connected.wanted, Instant::now());
            }
            self.sweep(false);
        }
    }

    /// Puts changes in; if anything is different then, makes the next snapshot and everybody's view.
    pub fn change(&mut self, changes: Vec<Change>, since: Instant) {
        let mut changed = self.snapshot.generation == 0;
        let mut causes = BTreeSet::new();
        let mut touched = Touched::default();
        for change in changes {
            let known = self.config.origins.get(&change.key).is_some();
            causes.insert(self.stats.note(&change, known));
            let (key, is_gone) = (change.key.clone(), change.value.is_none());
            if self.config.apply(change) {
                touched.note(&key, is_gone);
                changed = true;
            }
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
        let made = begun.elapsed();
        self.plan_all(&before, since);
        touched.tell(before.generation == 0);
        tracing::debug!(
            generation = self.snapshot.generation,
            proxies = self.proxies.len(),
            waited = ?begun.saturating_duration_since(since),
            snapshot = ?made,
            views = ?begun.elapsed().saturating_sub(made),
            "{touched}"
        );
    }

    /// Makes everybody's view. Where only endpoints have changed, who sees what stays as it was.
    fn plan_all(&mut self, before: &Snapshot, since: Instant) {
        let only_endpoints = self.snapshot.differs_in_endpoints_only(before);
        let begun = Instant::now();
        self.planner.begin();
        for connected in self.proxies.values_mut() {
            if !only_endpoints || connected.seat.member.hangs_on_endpoints {
                let member = self.snapshot.member(&connected.seat.member.proxy);
                connected.seat = self.planner.seat(member, Some(&connected.seat));
            }
            let view = self.planner.view(&self.snapshot, &connected.seat, &connected.wanted, since);
            publish(&connected.views, view);
        }
        self.stats.views.time(begun.elapsed());
        self.sweep(only_endpoints);
    }

    /// Lets go of what no proxy has been seated or served by since the planner began.
    fn sweep(&mut self, only_endpoints: bool) {
        self.churn = 0;
        self.planner.sweep(only_endpoints);
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
fn waits(change: &Change) -> bool {
    !is_of_endpoints(change.key.kind)
}

/// Whether objects of a kind come and go as workloads do.
pub(crate) fn is_of_endpoints(kind: Kind) -> bool {
    matches!(kind, Kind::EndpointSlice | Kind::Pod | Kind::WorkloadEntry | Kind::Node)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
