//! The port over TLS: which certificate it shows, who is let in, and who gets certificates.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow};
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
    /// Where what is shown is kept for the next start.
    kept: Option<PathBuf>,
}

/// What there is once an authority was found or made.
#[derive(Clone)]
struct Ready {
    serving: Serving,
    authenticator: Authenticator,
    certificates: Option<Certificates>,
}

impl Identity {
    /// Starts finding an authority; the mesh's first state says for which trust domain. Without a cluster a root is
    /// made for as long as the process lives, unless one is plugged in, and no tokens are known. What this server
    /// shows is kept in a folder, if there is one, for a start at which the cluster does not answer.
    pub(crate) fn start(
        settings: &Settings,
        cluster: (Text, Option<Client>),
        kept: Option<PathBuf>,
        snapshots: Snapshots,
        working: &mut Parts,
    ) -> Self {
        let (sender, ready) = watch::channel(None);
        let identity = Self { ready, stats: Arc::default(), settings: settings.clone(), kept };
        let house = identity.clone();
        working.start("identity", async move {
            match house.open(cluster, snapshots, sender).await {
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
        (cluster, client): (Text, Option<Client>),
        mut snapshots: Snapshots,
        known: watch::Sender<Option<Ready>>,
    ) -> Result<(Keeper, Renewal, impl Future<Output = Error> + use<>)> {
        let settings = &self.settings;
        let first = snapshots.wait_for(|state| state.generation > 0).await.map(|state| facts(&state));
        let (sender, mesh) = watch::channel(first.context("the mesh's state")?);
        let places = Places {
            folder: settings.folder.as_ref().into(),
            cluster: client.clone().map(|client| (client, settings.namespace.to_string())),
        };
        let audiences: Vec<String> = settings.audiences.iter().map(ToString::to_string).collect();
        let reviews =
            client.map(|client| Reviews::new(ask_cluster(client, audiences), Arc::clone(&self.stats)));
        let authenticator = Authenticator::new(reviews, mesh.clone(), cluster, Arc::clone(&self.stats));
        let (issuer, issuers) = watch::channel(None);
        let stats = Arc::clone(&self.stats);
        let certificates = settings.issues.then(|| Certificates::new(issuers, authenticator.clone(), stats));
        let ready = |serving| Ready {
            serving,
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
                    known.send_replace(Some(ready(serving.clone())));
                }
                opening.await
            }
        };
        let (authority, keeper) = opened?;
        let stand = stand(settings, self.kept.as_deref());
        let (serving, renewal) = Serving::new(authority.clone(), mesh, stand, earlier)?;
        let lifetimes = Lifetimes { default: settings.default_lifetime, max: settings.max_lifetime };
        issuer.send_replace(Some(Issuer::new(authority, lifetimes)));
        known.send_replace(Some(ready(serving)));
        Ok((keeper, renewal, follow(snapshots, sender)))
    }

    /// What the last process showed, while nobody can be asked for the authority.
    fn kept(&self, mesh: &Mesh) -> Option<(Serving, Showing)> {
        match Serving::kept(&stand(&self.settings, self.kept.as_deref()), mesh, &self.stats) {
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

fn stand(settings: &Settings, kept: Option<&Path>) -> Stand {
    Stand {
        namespace: settings.namespace.clone(),
        revision: settings.revision.clone(),
        hosts: settings.hosts.clone(),
        lifetime: settings.root_lifetime,
        kept: kept.map(Path::to_owned),
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
