//! All controllers of one control plane: what they hear of, and their start.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use kube::Client;
use mesh::Snapshot;
use model::Text;
use model::revision::Revision;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gateways::{self, Gateways, places};
use crate::leader::{self, Lock, Who};
use crate::roots::{self, Roots};
use crate::stats::Stats;
use crate::store::{Resource, Store, label};
use crate::watching::{Seen, Selection, watching};
use crate::webhooks::{self, Webhooks, Which, prove};
use crate::work;

/// The webhook of the tag `default`: its revision is the one that comes before others.
const DEFAULT_TAG: &str = "istio-revision-tag-default";

/// Who we are, and what is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of this process, by which it is told from others: that of its pod.
    pub identity: String,
    /// Its revision as it was set; empty for one without a name.
    pub revision: String,
    /// The namespace of the control planes.
    pub namespace: String,
    /// The only namespace that counts (`ISTIO_WATCH_NAMESPACE`); empty for all.
    pub only_namespace: String,
    /// Whether of several processes one leads (`ENABLE_LEADER_ELECTION`); if not, each does everything.
    pub elects: bool,
    /// Whether the webhooks that inject are kept right, and those that validate.
    pub webhooks: (bool, bool),
    /// The name of the ConfigMaps with root certificates (`PILOT_CA_CERT_CONFIGMAP`); nothing, if there are to be none.
    pub root_certificates: Option<String>,
}

/// Where the controllers hear of what they depend on.
#[derive(Clone)]
pub struct Inputs {
    /// States of the mesh.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The certificates that everybody is to trust, in PEM.
    pub roots: watch::Receiver<Arc<str>>,
    /// Where is counted what they do.
    pub stats: Arc<Stats>,
}

/// Runs all controllers until `shutdown`; a lock that is held is given back then.
pub async fn serve(client: Client, options: Options, inputs: Inputs, shutdown: CancellationToken) {
    let store = Store::new(client);
    let mut tasks = JoinSet::new();
    let mut locks = JoinSet::new();
    if let Some(name) = &options.root_certificates {
        let leads = lock(&store, leader::NAMESPACES, &options, (&mut tasks, &mut locks), &shutdown);
        let roots = Roots::new(name, &options.only_namespace);
        let selection = Selection {
            resource: Resource::CONFIG_MAP,
            name: Some(name.clone()),
            work: "the watch of root certificates",
        };
        let news = stream::select_all([
            newest(leads).map(roots::News::Leads).boxed(),
            newest(inputs.roots.clone()).map(roots::News::Roots).boxed(),
            namespaces(inputs.snapshots.clone()).map(roots::News::Namespaces).boxed(),
            watching(&store, selection).map(roots::News::Seen).boxed(),
        ]);
        tasks.spawn(work::run(roots, news, store.clone()));
    }
    for (which, is_wanted) in [(Which::Inject, options.webhooks.0), (Which::Validate, options.webhooks.1)] {
        if is_wanted {
            tasks.spawn(webhooks(&store, which, &options, &inputs));
        }
    }
    tasks.spawn(gateways(&store, &options, &inputs));
    shutdown.cancelled().await;
    while locks.join_next().await.is_some() {}
}

/// Keeps the mesh's configuration beside gateways. Every replica does it; they agree, since there is one source.
fn gateways(store: &Store, options: &Options, inputs: &Inputs) -> impl Future<Output = ()> + Send + use<> {
    let revision = Revision::new(&options.revision);
    let name = revision.named("istio");
    let gateways = Gateways::new(&name, &options.namespace);
    let selection = Selection {
        resource: Resource::CONFIG_MAP,
        name: Some(name),
        work: "the watch of the mesh's configuration beside gateways",
    };
    let news = stream::select_all([
        places(store.clone(), revision, newest(inputs.snapshots.clone()))
            .map(gateways::News::Gateways)
            .boxed(),
        watching(store, selection).map(gateways::News::Seen).boxed(),
    ]);
    work::run(gateways, news, store.clone())
}

/// Keeps the webhooks of one kind right.
fn webhooks(
    store: &Store,
    which: Which,
    options: &Options,
    inputs: &Inputs,
) -> impl Future<Output = ()> + Send + use<> {
    let revision = leader::key(&options.revision);
    let (webhooks, wanted) = Webhooks::new(which, revision, Arc::clone(&inputs.stats));
    let selection = Selection { resource: which.resource(), name: None, work: "the watch of webhooks" };
    let proof = prove(store.clone(), options.namespace.clone(), revision.to_owned(), wanted);
    let news = stream::select_all([
        newest(inputs.roots.clone()).map(webhooks::News::Roots).boxed(),
        watching(store, selection).map(webhooks::News::Seen).boxed(),
        stream::once(proof).map(|()| webhooks::News::Proven).boxed(),
    ]);
    work::run(webhooks, news, store.clone())
}

/// Starts to contend for a lock; the receiver says whether it is held.
fn lock(
    store: &Store,
    name: &str,
    options: &Options,
    (tasks, locks): (&mut JoinSet<()>, &mut JoinSet<()>),
    shutdown: &CancellationToken,
) -> watch::Receiver<bool> {
    if !options.elects {
        return watch::channel(true).1;
    }
    let (sender, default) = watch::channel(None);
    tasks.spawn(follow_default(store.clone(), sender));
    let Options { identity, revision, namespace, .. } = options.clone();
    let (lock, leads) = Lock::new(store.clone(), name, &Who { identity, revision, namespace }, default);
    locks.spawn(lock.run(shutdown.clone()));
    leads
}

/// Tells which revision is the default one.
async fn follow_default(store: Store, default: watch::Sender<Option<String>>) {
    let selection = Selection {
        resource: Resource::MUTATING,
        name: Some(DEFAULT_TAG.to_owned()),
        work: "the watch of the tag default",
    };
    let mut seen = watching(&store, selection);
    while let Some(seen) = seen.next().await {
        let webhook = match seen {
            Seen::All(all) => all.into_iter().next().map(|(_, object)| object),
            Seen::One(_, object) => object,
        };
        let revision = webhook.and_then(|one| label(&one, model::revision::REVISION).map(str::to_owned));
        default.send_if_modified(|known| {
            let is_other = *known != revision;
            *known = revision;
            is_other
        });
    }
}

/// The value and each that follows it, the newest only.
fn newest<T: Clone + Send + Sync + 'static>(
    receiver: watch::Receiver<T>,
) -> impl Stream<Item = T> + Send + Unpin {
    let first = Some(receiver);
    stream::unfold((first, true), |(receiver, is_first)| async move {
        let mut receiver = receiver?;
        if !is_first && receiver.changed().await.is_err() {
            // Nobody will change it any more: it stays what it is.
            std::future::pending::<()>().await;
        }
        let value = receiver.borrow_and_update().clone();
        Some((value, (Some(receiver), false)))
    })
    .boxed()
}

/// The namespaces that count, whenever they are others.
fn namespaces(
    snapshots: watch::Receiver<Arc<Snapshot>>,
) -> impl Stream<Item = BTreeSet<Text>> + Send + Unpin {
    let mut before: Option<Arc<Snapshot>> = None;
    let changed = move |now: Arc<Snapshot>| {
        let is_same = before.as_ref().is_some_and(|before| {
            before.config.namespaces.changed(&now.config.namespaces).is_empty()
                && before.config.mesh == now.config.mesh
        });
        let namespaces = (!is_same).then(|| now.namespaces());
        before = Some(now);
        std::future::ready(namespaces)
    };
    newest(snapshots).filter_map(changed)
}
