//! What this server shows to its clients: a certificate for the names under which they call it (istiod-surface 7.8).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::Text;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::authority::{Authority, now};
use crate::error::{Broken, Error};
use crate::key::Key;
use crate::peer::Peers;
use crate::signer::Order;
use crate::stats::count;
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

/// Renews a server's certificate.
pub struct Renewal {
    authority: Authority,
    mesh: watch::Receiver<Mesh>,
    stand: Stand,
    grpc: watch::Sender<Arc<ServerConfig>>,
    https: watch::Sender<Arc<ServerConfig>>,
    /// From when on the certificate that is shown is to be renewed, in seconds since 1970.
    due: i64,
}

struct Made {
    grpc: Arc<ServerConfig>,
    https: Arc<ServerConfig>,
    due: i64,
}

impl Serving {
    /// With a certificate of this authority.
    pub fn new(
        authority: Authority,
        mesh: watch::Receiver<Mesh>,
        stand: Stand,
    ) -> Result<(Self, Renewal), Error> {
        let made = make(&authority, &mesh.borrow(), &stand)?;
        let (grpc, grpc_seen) = watch::channel(made.grpc);
        let (https, https_seen) = watch::channel(made.https);
        let serving = Self { grpc: grpc_seen, https: https_seen };
        Ok((serving, Renewal { authority, mesh, stand, grpc, https, due: made.due }))
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
                Ok(made) => {
                    tracing::info!("this server shows a new certificate");
                    self.due = made.due;
                    self.grpc.send_replace(made.grpc);
                    self.https.send_replace(made.https);
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

/// The key is on P-256 whatever the authority's is: a handshake costs a twentieth of one with RSA.
fn make(authority: &Authority, mesh: &Mesh, stand: &Stand) -> Result<Made, Broken> {
    let signer = Arc::clone(&authority.signers.borrow());
    let key = Key::p256()?;
    let (from, lifetime) = (now(), i64::try_from(stand.lifetime.as_secs()).unwrap_or(i64::MAX));
    let order = Order {
        public: key.public(),
        names: stand.names(mesh).into_iter().map(Name::Dns).collect(),
        common_name: None,
        now: from,
        lifetime,
    };
    let certificate = signer.sign(&order)?;
    let chain = [certificate.into()].into_iter().chain(signer.chain()).collect();
    let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key.for_tls())));
    let peers = Peers::new(&signer, &mesh.trust_domain, Arc::clone(&authority.stats))?;
    let ends = signer.certificate().not_after.min(from.saturating_add(lifetime));
    Ok(Made {
        grpc: config(Arc::clone(&shown), Arc::new(peers))?,
        https: config(shown, Arc::new(NoClientAuth))?,
        due: from + (ends - from) / 2,
    })
}

/// No session is resumed: who resumes one would keep an identity that may have ended, or a root that is gone.
fn config(
    shown: Arc<SingleCertAndKey>,
    peers: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, Broken> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Broken::new("versions of TLS", error))?
        .with_client_cert_verifier(peers)
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
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
