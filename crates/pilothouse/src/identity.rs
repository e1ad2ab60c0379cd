//! The port over TLS: which certificate it shows, who is let in, and who gets certificates.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use admin::{Number, Part, Report, names};
use anyhow::{Context as _, Error, Result, anyhow};
use axum::Router;
use identity::{
    Authenticator, Authority, Certificates, Client, Guard, Issuer, Keeper, Lifetimes, Mesh, Places, Renewal,
    Reviews, RootRules, Serving, Showing, Stand, Stats, ask_cluster,
};
use model::Text;
use pilothouse::settings::Identity as Settings;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xds::{Keep, Plain, Tls};

use crate::parts::Parts;

/// How long the authority is waited for before what the last process showed is shown again.
const PATIENCE: Duration = Duration::from_millis(300);

type Snapshots = watch::Receiver<Arc<mesh::Snapshot>>;
type Server = xds::Discovery<push::Discovery>;

/// Who lets whom in, from the moment at which that is known. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Identity {
    ready: watch::Receiver<Option<Ready>>,
    stats: Arc<Stats>,
    settings: Settings,
    house: House,
}

/// What there is once an authority was found or made.
#[derive(Clone)]
struct Ready {
    serving: Serving,
    /// None while the cluster, which keeps it, cannot be asked.
    authority: Option<Authority>,
    authenticator: Authenticator,
    certificates: Option<Certificates>,
}

/// Where this process runs.
#[derive(Clone)]
pub(crate) struct House {
    /// The cluster's id, and a client of it if there is one.
    pub(crate) cluster: (Text, Option<Client>),
    /// The namespace of the control plane: of its names in the DNS and of the root's Secret.
    pub(crate) namespace: Text,
    /// The revision, one of its names in the DNS; may be empty.
    pub(crate) revision: Text,
    /// The folder in which what this server shows is kept, if it is.
    pub(crate) kept: Option<PathBuf>,
}

impl Identity {
    /// Starts finding an authority; the mesh's first state says for which trust domain. Without a cluster a root is
    /// made for as long as the process lives, unless one is plugged in, and no tokens are known. What this server
    /// shows is kept in a folder, if there is one, for a start at which the cluster does not answer.
    pub(crate) fn start(
        settings: &Settings,
        house: House,
        snapshots: Snapshots,
        working: &mut Parts,
    ) -> Self {
        let (sender, ready) = watch::channel(None);
        let identity = Self { ready, stats: Arc::default(), settings: settings.clone(), house };
        let opening = identity.clone();
        working.start("identity", async move {
            match opening.open(snapshots, sender).await {
                Ok((keeper, renewal, follower)) => tokio::select! {
                    () = keeper.run() => anyhow!("the authority is not kept any more"),
                    () = renewal.run() => anyhow!("the server's certificate is not renewed any more"),
                    error = follower => error,
                },
                Err(error) => error,
            }
        });
        identity
    }

    async fn open(
        &self,
        mut snapshots: Snapshots,
        known: watch::Sender<Option<Ready>>,
    ) -> Result<(Keeper, Renewal, impl Future<Output = Error> + use<>)> {
        let settings = &self.settings;
        let (cluster, client) = self.house.cluster.clone();
        let first = snapshots.wait_for(|state| state.generation > 0).await.map(|state| facts(&state));
        let (sender, mesh) = watch::channel(first.context("the mesh's state")?);
        let places = Places {
            folder: settings.folder.as_ref().into(),
            cluster: client.clone().map(|client| (client, self.house.namespace.to_string())),
        };
        let audiences: Vec<String> = settings.audiences.iter().map(ToString::to_string).collect();
        let reviews =
            client.map(|client| Reviews::new(ask_cluster(client, audiences), Arc::clone(&self.stats)));
        let authenticator = Authenticator::new(reviews, mesh.clone(), cluster, Arc::clone(&self.stats));
        let (issuer, issuers) = watch::channel(None);
        let stats = Arc::clone(&self.stats);
        let certificates = settings.issues.then(|| Certificates::new(issuers, authenticator.clone(), stats));
        let ready = |serving, authority| Ready {
            serving,
            authority,
            authenticator: authenticator.clone(),
            certificates: certificates.clone(),
        };
        let rules = rules(settings, &mesh.borrow());
        let mut opening = pin!(Authority::open(places, rules, Arc::clone(&self.stats)));
        let mut earlier = None;
        let opened = match timeout(PATIENCE, &mut opening).await {
            Ok(opened) => opened,
            Err(_) => {
                earlier = self.kept(&mesh.borrow());
                if let Some((serving, _)) = &earlier {
                    known.send_replace(Some(ready(serving.clone(), None)));
                }
                opening.await
            }
        };
        let (authority, keeper) = opened?;
        let stand = self.stand();
        let (serving, renewal) = Serving::new(authority.clone(), mesh, stand, earlier)?;
        let lifetimes = Lifetimes { default: settings.default_lifetime, max: settings.max_lifetime };
        issuer.send_replace(Some(Issuer::new(authority.clone(), lifetimes)));
        known.send_replace(Some(ready(serving, Some(authority))));
        Ok((keeper, renewal, follow(snapshots, sender)))
    }

    fn stand(&self) -> Stand {
        let House { namespace, revision, kept, .. } = self.house.clone();
        let Settings { hosts, root_lifetime: lifetime, .. } = self.settings.clone();
        Stand { namespace, revision, hosts, lifetime, kept }
    }

    /// What the last process showed, while nobody can be asked for the authority.
    fn kept(&self, mesh: &Mesh) -> Option<(Serving, Showing)> {
        match Serving::kept(&self.stand(), mesh, &self.stats) {
            Ok(Some(kept)) => {
                tracing::warn!(
                    "the authority cannot be asked: this server shows the certificate that it kept, and nobody gets a new one"
                );
                Some(kept)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "the certificate that was kept is not taken");
                None
            }
        }
    }

    /// Where this process runs, and whether workloads get certificates here.
    pub(crate) fn house(&self) -> (&House, bool) {
        (&self.house, self.settings.issues)
    }

    /// The authority, once it is known; `None` if there will be none.
    pub(crate) async fn authority(&self) -> Option<Authority> {
        let mut ready = self.ready.clone();
        let has_authority = |ready: &Option<Ready>| ready.as_ref().is_some_and(|one| one.authority.is_some());
        let seen = ready.wait_for(has_authority).await.ok()?;
        seen.as_ref()?.authority.clone()
    }

    async fn ready(&self) -> Option<Ready> {
        self.ready.clone().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Serves gRPC over TLS: discovery to those whose identity is known, and certificates.
    pub(crate) async fn serve_grpc(
        self,
        listener: TcpListener,
        server: Server,
        keep: Keep,
        shutdown: CancellationToken,
    ) {
        let Some(ready) = until(&shutdown, self.ready()).await else { return };
        let server = server.with_others(|others| match ready.certificates {
            Some(certificates) => others.add_service(certificates),
            None => others,
        });
        let authenticator = self.settings.authenticates.then_some(ready.authenticator);
        let tls = Tls::new(ready.serving.grpc, identity::known);
        tracing::info!("serving xDS and certificates over TLS");
        xds::serve(listener, tls, Guard::new(server, authenticator), keep, shutdown).await;
    }

    /// Serves gRPC in plaintext, to those alone who show a token (`XDS_AUTH_PLAINTEXT`).
    pub(crate) async fn serve_plain(
        self,
        listener: TcpListener,
        server: Server,
        keep: Keep,
        shutdown: CancellationToken,
    ) {
        let Some(ready) = until(&shutdown, self.ready()).await else { return };
        xds::serve(listener, Plain, Guard::new(server, Some(ready.authenticator)), keep, shutdown).await;
    }

    /// Serves HTTP over TLS to whoever comes; no certificate is asked for.
    pub(crate) async fn serve_https(
        self,
        listener: TcpListener,
        router: Router,
        keep: Keep,
        shutdown: CancellationToken,
    ) {
        let Some(ready) = until(&shutdown, self.ready()).await else { return };
        let tls = Tls::new(ready.serving.https, identity::known);
        xds::serve(listener, tls, router, keep, shutdown).await;
    }

    /// Whether there is a certificate to show.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.borrow().is_some()
    }

    /// Its counters, and until when the authority holds.
    pub(crate) fn part(&self) -> Part {
        let identity = self.clone();
        Arc::new(move || Report { is_ready: true, numbers: identity.numbers(), ..Report::default() })
    }

    fn numbers(&self) -> Vec<Number> {
        let mut numbers = counters(&self.stats);
        let Some(authority) = self.ready.borrow().as_ref().and_then(|ready| ready.authority.clone()) else {
            return numbers;
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (root, own) = authority.ends();
        for (metrics, end) in [
            ([names::ROOT_EXPIRY, names::ROOT_SECONDS], root),
            ([names::CHAIN_EXPIRY, names::CHAIN_SECONDS], own.unwrap_or(root)),
        ] {
            let values = [end as f64, end as f64 - now.as_secs_f64()];
            numbers.extend(metrics.into_iter().zip(values).map(|(metric, value)| number(metric, &[], value)));
        }
        numbers
    }
}

fn number(metric: names::Metric, labels: &[(&'static str, &str)], value: f64) -> Number {
    let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Number { metric, labels, value }
}

/// Under istiod's names, where it has them (istiod-surface 10.3).
fn counters(stats: &Stats) -> Vec<Number> {
    let of = |metric, labels: &[_], counter: &AtomicU64| number(metric, labels, counter.load(Relaxed) as f64);
    let refused = &stats.refused;
    let mut numbers = vec![
        of(names::CERTIFICATE_REQUESTS, &[], &stats.requests),
        of(names::CERTIFICATES, &[], &stats.issued),
        of(names::UNREADABLE_REQUESTS, &[], &refused.request),
        of(names::STRANGERS, &[], &stats.strangers),
        of(names::STRANGE_STREAMS, &[], &stats.strange_streams),
        of(names::FOREIGN_CERTIFICATES, &[], &stats.foreign),
        of(names::FAILED_RENEWALS, &[], &stats.failed_renewals),
    ];
    for (error, counter) in [
        ("TTL_ERROR", &refused.lifetime),
        ("CERT_GEN_ERROR", &refused.signing),
        ("OVERLOAD", &refused.overload),
    ] {
        numbers.push(of(names::UNSIGNED_REQUESTS, &[("error", error)], counter));
    }
    for (result, counter) in [
        ("asked", &stats.reviews),
        ("refused", &stats.review_refusals),
        ("unanswered", &stats.review_failures),
        ("known", &stats.known_tokens),
    ] {
        numbers.push(of(names::TOKENS, &[("result", result)], counter));
    }
    numbers
}

/// What this comes to, or nothing if the process is told to end before.
async fn until<T>(shutdown: &CancellationToken, future: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::select! {
        () = shutdown.cancelled() => None,
        value = future => match value {
            Some(value) => Some(value),
            // The part that was to make it has ended, and says why; the process is about to end.
            None => {
                shutdown.cancelled().await;
                None
            }
        },
    }
}

fn rules(settings: &Settings, mesh: &Mesh) -> RootRules {
    RootRules {
        organization: mesh.trust_domain.to_string(),
        key_bits: settings.key_bits,
        lifetime: settings.root_lifetime,
        check_interval: settings.check_interval,
        renewed_at_percent: settings.renewed_at_percent,
    }
}

fn facts(snapshot: &mesh::Snapshot) -> Mesh {
    let mesh = &snapshot.config.mesh;
    let address = &mesh.default_config.discovery_address;
    let host = address.rsplit_once(':').map_or(&**address, |(host, _)| host);
    Mesh { trust_domain: mesh.trust_domain.clone(), discovery_host: host.into() }
}

/// Tells what identity depends on of each state of the mesh.
async fn follow(mut snapshots: Snapshots, sender: watch::Sender<Mesh>) -> Error {
    while snapshots.changed().await.is_ok() {
        let facts = facts(&snapshots.borrow_and_update());
        sender.send_if_modified(|known| {
            let is_other = *known != facts;
            *known = facts;
            is_other
        });
    }
    anyhow!("the engine has ended")
}
