//! What this server shows to its clients: a certificate for the names under which they call it (istiod-surface 7.8).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::Text;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::authority::{Authority, now};
use crate::error::{Broken, Error};
use crate::shown::{Configs, Shown};
use crate::stats::{Stats, count};
use crate::template::Name;

/// How long to wait after a certificate could not be made.
const AGAIN: Duration = Duration::from_secs(60);
/// The longest time between two looks at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What identity depends on of the mesh's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// `trustDomain`.
    pub trust_domain: Text,
    /// The host of `defaultConfig.discoveryAddress`, may be empty.
    pub discovery_host: Text,
}

/// Where this server stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// Its namespace.
    pub namespace: Text,
    /// Its revision; empty and `default` mean the same.
    pub revision: Text,
    /// Further names (`ISTIOD_CUSTOM_HOST`).
    pub hosts: Vec<Text>,
    /// For how long its certificate is to hold at most (`CITADEL_SELF_SIGNED_CA_CERT_TTL`).
    pub lifetime: Duration,
    /// The folder in which what is shown, its key and the roots are kept for the next start, if they are to be.
    pub kept: Option<PathBuf>,
}

impl Stand {
    /// The names under which clients may call it, sorted.
    fn names(&self, mesh: &Mesh) -> BTreeSet<String> {
        let Self { namespace, revision, hosts, .. } = self;
        let mut names: BTreeSet<String> =
            ["istiod", "istiod-remote", "istio-pilot"].map(|name| format!("{name}.{namespace}.svc")).into();
        if !matches!(&**revision, "" | "default") {
            names.insert(format!("istiod-{revision}.{namespace}.svc"));
        }
        names.extend(hosts.iter().chain([&mesh.discovery_host]).map(|host| host.trim().to_owned()));
        names.remove("");
        names
    }
}

/// How connections are encrypted, newest only: the certificate and the roots are exchanged for new ones in it.
#[derive(Clone)]
pub struct Serving {
    /// For gRPC: clients may show a certificate, and it is verified if they do.
    pub grpc: watch::Receiver<Arc<ServerConfig>>,
    /// For webhooks: clients show none.
    pub https: watch::Receiver<Arc<ServerConfig>>,
}

/// The other end of a [`Serving`]: who holds it says what is shown.
pub struct Showing {
    grpc: watch::Sender<Arc<ServerConfig>>,
    https: watch::Sender<Arc<ServerConfig>>,
}

/// Renews a server's certificate.
pub struct Renewal {
    authority: Authority,
    mesh: watch::Receiver<Mesh>,
    stand: Stand,
    showing: Showing,
    /// From when on the certificate that is shown is to be renewed, in seconds since 1970.
    due: i64,
}

impl Serving {
    /// What the last process kept (`Stand::kept`), for as long as no authority can be asked; `None` if it kept
    /// nothing. What does not hold any more, or is damaged, is an error.
    pub fn kept(stand: &Stand, mesh: &Mesh, stats: &Arc<Stats>) -> Result<Option<(Self, Showing)>, Error> {
        let Some(folder) = &stand.kept else { return Ok(None) };
        let Some(shown) = Shown::kept(folder, now())? else { return Ok(None) };
        Ok(Some(Self::of(shown.configs(&mesh.trust_domain, Arc::clone(stats))?)))
    }

    /// With a certificate of this authority; whoever serves with an earlier one, which was kept, goes over to it.
    pub fn new(
        authority: Authority,
        mesh: watch::Receiver<Mesh>,
        stand: Stand,
        earlier: Option<(Self, Showing)>,
    ) -> Result<(Self, Renewal), Error> {
        let (configs, due) = make(&authority, &mesh.borrow(), &stand)?;
        let (serving, showing) = match earlier {
            Some((serving, showing)) => {
                showing.show(configs);
                (serving, showing)
            }
            None => Self::of(configs),
        };
        Ok((serving, Renewal { authority, mesh, stand, showing, due }))
    }

    fn of(configs: Configs) -> (Self, Showing) {
        let (grpc, grpc_seen) = watch::channel(configs.grpc);
        let (https, https_seen) = watch::channel(configs.https);
        (Self { grpc: grpc_seen, https: https_seen }, Showing { grpc, https })
    }
}

impl Showing {
    fn show(&self, configs: Configs) {
        self.grpc.send_replace(configs.grpc);
        self.https.send_replace(configs.https);
    }
}

impl Renewal {
    /// Makes a new certificate when the authority or a name is another one, or half of its time is over. Ends when
    /// nobody can tell any more what the mesh or the authority is.
    pub async fn run(mut self) {
        let mut signers = self.authority.signers.clone();
        let mut wait = self.wait();
        loop {
            tokio::select! {
                changed = signers.changed() => if changed.is_err() { return },
                changed = self.mesh.changed() => if changed.is_err() { return },
                () = sleep(wait) => if now() < self.due {
                    wait = self.wait();
                    continue;
                },
            }
            let mesh = self.mesh.borrow_and_update().clone();
            wait = match make(&self.authority, &mesh, &self.stand) {
                Ok((configs, due)) => {
                    tracing::info!("this server shows a new certificate");
                    self.due = due;
                    self.showing.show(configs);
                    self.wait()
                }
                Err(error) => {
                    count(&self.authority.stats.failed_renewals);
                    tracing::error!(%error, "this server goes on showing its former certificate");
                    self.due = 0;
                    AGAIN
                }
            };
        }
    }

    fn wait(&self) -> Duration {
        let seconds = u64::try_from(self.due - now()).unwrap_or(0).max(1);
        Duration::from_secs(seconds).min(LONGEST_WAIT)
    }
}

/// A certificate, which is kept for the next process; and from when on it is to be renewed.
fn make(authority: &Authority, mesh: &Mesh, stand: &Stand) -> Result<(Configs, i64), Broken> {
    let signer = Arc::clone(&authority.signers.borrow());
    let (from, lifetime) = (now(), i64::try_from(stand.lifetime.as_secs()).unwrap_or(i64::MAX));
    let names = stand.names(mesh).into_iter().map(Name::Dns).collect();
    let shown = Shown::make(&signer, names, (from, lifetime))?;
    if let Some(folder) = &stand.kept
        && let Err(error) = shown.keep(folder)
    {
        let folder = folder.display();
        tracing::warn!(%error, "the server's certificate cannot be kept for the next start in {folder}");
    }
    let configs = shown.configs(&mesh.trust_domain, Arc::clone(&authority.stats))?;
    Ok((configs, from + (shown.ends() - from) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_revision_and_whatever_the_mesh_calls_it() {
        let mesh = Mesh { trust_domain: "td".into(), discovery_host: "istiod.example.com".into() };
        let mut stand = Stand { namespace: "istio-system".into(), ..Stand::default() };
        let names = |stand: &Stand| stand.names(&mesh).into_iter().collect::<Vec<_>>().join(" ");
        let usual = "istio-pilot.istio-system.svc istiod-remote.istio-system.svc";
        assert_eq!(names(&stand), format!("{usual} istiod.example.com istiod.istio-system.svc"));
        stand.revision = "1-9-1".into();
        stand.hosts = vec!["a.example.com".into(), "".into()];
        let first = "a.example.com istio-pilot.istio-system.svc istiod-1-9-1.istio-system.svc";
        let rest = "istiod-remote.istio-system.svc istiod.example.com istiod.istio-system.svc";
        assert_eq!(names(&stand), format!("{first} {rest}"));
    }
}
