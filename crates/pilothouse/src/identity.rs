//! The port over TLS: which certificate it shows, who is let in, and who gets certificates.

use std::sync::Arc;

use anyhow::{Context as _, Error, Result, anyhow};
use identity::{
    Authenticator, Authority, Certificates, Client, Guard, Issuer, Keeper, Lifetimes, Mesh, Places, Renewal,
    Reviews, RootRules, Serving, Stand, Stats, ask_cluster,
};
use model::Text;
use pilothouse::settings::Identity as Settings;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xds::{Keep, Plain, Tls};

use crate::parts::Parts;

type Snapshots = watch::Receiver<Arc<mesh::Snapshot>>;
type Server = xds::Discovery<push::Discovery>;

/// Who lets whom in, from the moment at which that is known. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Identity {
    ready: watch::Receiver<Option<Ready>>,
    stats: Arc<Stats>,
    settings: Settings,
}

/// What there is once an authority was found or made.
#[derive(Clone)]
struct Ready {
    roots: watch::Receiver<Arc<str>>,
    serving: Serving,
    authenticator: Authenticator,
    certificates: Option<Certificates>,
}

impl Identity {
    /// Starts finding an authority; the mesh's first state says for which trust domain. Without a cluster a root is
    /// made for as long as the process lives, unless one is plugged in, and no tokens are known.
    pub(crate) fn start(
        settings: &Settings,
        cluster: (Text, Option<Client>),
        snapshots: Snapshots,
        working: &mut Parts,
    ) -> Self {
        let (sender, ready) = watch::channel(None);
        let identity = Self { ready, stats: Arc::default(), settings: settings.clone() };
        let house = identity.clone();
        working.start("identity", async move {
            match house.open(cluster, snapshots).await {
                Ok((ready, keeper, renewal, follower)) => {
                    sender.send_replace(Some(ready));
                    tokio::select! {
                        () = keeper.run() => anyhow!("the authority is not kept any more"),
                        () = renewal.run() => anyhow!("the server's certificate is not renewed any more"),
                        error = follower => error,
                    }
                }
                Err(error) => error,
            }
        });
        identity
    }

    async fn open(
        &self,
        (cluster, client): (Text, Option<Client>),
        mut snapshots: Snapshots,
    ) -> Result<(Ready, Keeper, Renewal, impl Future<Output = Error> + use<>)> {
        let settings = &self.settings;
        let first = snapshots.wait_for(|state| state.generation > 0).await.map(|state| facts(&state));
        let (sender, mesh) = watch::channel(first.context("the mesh's state")?);
        let places = Places {
            folder: settings.folder.as_ref().into(),
            cluster: client.clone().map(|client| (client, settings.namespace.to_string())),
        };
        let rules = rules(settings, &mesh.borrow());
        let (authority, keeper) = Authority::open(places, rules, Arc::clone(&self.stats)).await?;
        let (serving, renewal) = Serving::new(authority.clone(), mesh.clone(), stand(settings))?;
        let audiences: Vec<String> = settings.audiences.iter().map(ToString::to_string).collect();
        let reviews =
            client.map(|client| Reviews::new(ask_cluster(client, audiences), Arc::clone(&self.stats)));
        let authenticator = Authenticator::new(reviews, mesh, cluster, Arc::clone(&self.stats));
        let lifetimes = Lifetimes { default: settings.default_lifetime, max: settings.max_lifetime };
        let roots = authority.roots();
        let issuer = Issuer::new(authority, lifetimes);
        let certificates = settings.issues.then(|| Certificates::new(issuer, authenticator.clone()));
        let ready = Ready { roots, serving, authenticator, certificates };
        Ok((ready, keeper, renewal, follow(snapshots, sender)))
    }

    async fn ready(&self) -> Option<Ready> {
        self.ready.clone().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// The certificates that everybody is to trust, in PEM, newest only, once there is an authority; `None` if there will be
    /// none.
    pub(crate) async fn roots(&self) -> Option<watch::Receiver<Arc<str>>> {
        self.ready().await.map(|ready| ready.roots)
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

fn stand(settings: &Settings) -> Stand {
    Stand {
        namespace: settings.namespace.clone(),
        revision: settings.revision.clone(),
        hosts: settings.hosts.clone(),
        lifetime: settings.root_lifetime,
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
