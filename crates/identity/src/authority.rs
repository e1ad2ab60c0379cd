//! The authority: where its root is from, and how it stays the one that it should be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::error::{Broken, Error};
use crate::folder::{self, Found, Stamp};
use crate::pem;
use crate::root::{self, Root};
use crate::secret::{Kept, with_further};
use crate::signer::{Parts, Signer};
use crate::stats::{Stats, count};

/// How often a plugged-in authority's files are looked at; what they are is read only if they are others.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before asking an API server again that did not answer; doubles up to the second.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How roots are made and renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRules {
    /// The organization in the root's name: the trust domain.
    pub organization: String,
    /// Size of the RSA key (`CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE`).
    pub key_bits: u32,
    /// How long a root holds (`CITADEL_SELF_SIGNED_CA_CERT_TTL`).
    pub lifetime: Duration,
    /// How often it is looked at (`CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL`); zero means never.
    pub check_interval: Duration,
    /// It is renewed when less than this is left of its lifetime, in percent
    /// (`CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE`).
    pub renewed_at_percent: u32,
}

impl Default for RootRules {
    /// istiod's (istiod-surface 7.6).
    fn default() -> Self {
        Self {
            organization: "cluster.local".to_owned(),
            key_bits: 2048,
            lifetime: Duration::from_secs(3650 * 24 * 3600),
            check_interval: Duration::from_secs(3600),
            renewed_at_percent: 20,
        }
    }
}

/// Where an authority may be kept.
#[derive(Clone)]
pub struct Places {
    /// The folder in which one may be plugged in (`ROOT_CA_DIR`).
    pub folder: PathBuf,
    /// The cluster, and the namespace in it, whose Secret keeps the root otherwise. Without a cluster a root is
    /// made for as long as this process lives.
    pub cluster: Option<(Client, String)>,
}

/// The authority in its newest state. A clone is a handle; its keys do not leave this crate.
#[derive(Clone)]
pub struct Authority {
    pub(crate) signers: watch::Receiver<Arc<Signer>>,
    pub(crate) stats: Arc<Stats>,
    roots: watch::Receiver<Arc<str>>,
}

/// Keeps an authority what it should be; nothing is renewed or reloaded unless it runs.
pub struct Keeper {
    place: Place,
    rules: RootRules,
    signers: watch::Sender<Arc<Signer>>,
    roots: watch::Sender<Arc<str>>,
    stats: Arc<Stats>,
}

enum Place {
    /// With the stamp that it had before it was read: a change since then is seen.
    Folder(PathBuf, Stamp),
    Secret(Box<Kept>, Vec<u8>),
    Memory(Vec<u8>),
}

impl Authority {
    /// Finds or makes one. Waits for an API server that does not answer, as long as it takes; what is there but
    /// of no use is an error.
    pub async fn open(places: Places, rules: RootRules, stats: Arc<Stats>) -> Result<(Self, Keeper), Error> {
        let stamp = folder::stamp(&places.folder);
        let (place, signer) = match folder::read(&places.folder, now())? {
            Found::Authority(signer) => {
                tracing::info!(folder = %places.folder.display(), "certificates are signed by the plugged-in authority");
                (Place::Folder(places.folder, stamp), *signer)
            }
            Found::Roots(further) => match places.cluster {
                Some((client, namespace)) => {
                    let kept = Kept::new(client, &namespace);
                    let signer = kept_or_made(&kept, &further, &rules).await?;
                    (Place::Secret(Box::new(kept), further), signer)
                }
                None => {
                    tracing::warn!("certificates are signed by a root that ends with this process");
                    let root = make(&rules).await?;
                    let signer = signer_of(&root, &further)?;
                    (Place::Memory(further), signer)
                }
            },
        };
        let signer = Arc::new(signer);
        let (roots, roots_seen) = watch::channel(Arc::clone(signer.roots_pem()));
        let (signers, seen) = watch::channel(signer);
        let authority = Self { signers: seen, stats: Arc::clone(&stats), roots: roots_seen };
        Ok((authority, Keeper { place, rules, signers, roots, stats }))
    }

    /// The certificates that everybody in the mesh is to trust, in PEM: what `istio-ca-root-cert` holds and what
    /// webhooks name as `caBundle`. Newest only.
    pub fn roots(&self) -> watch::Receiver<Arc<str>> {
        self.roots.clone()
    }

    /// When the first root ends, and when the authority's own certificate does if it is no root; in seconds since
    /// 1970.
    pub fn ends(&self) -> (i64, Option<i64>) {
        self.signers.borrow().ends()
    }
}

impl Keeper {
    /// Runs for ever.
    pub async fn run(self) {
        match &self.place {
            Place::Folder(folder, stamp) => self.follow(folder, stamp.clone()).await,
            _ if self.rules.check_interval.is_zero() => std::future::pending().await,
            Place::Secret(kept, further) => self.check(|| self.check_secret(kept, further)).await,
            Place::Memory(further) => self.check(|| self.check_memory(further)).await,
        }
    }

    /// Takes what a folder says once it has settled; what is of no use is told, and the former state stays.
    async fn follow(&self, folder: &std::path::Path, mut taken: Stamp) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = taken.clone();
        loop {
            looks.tick().await;
            let stamp = folder::stamp(folder);
            if stamp == taken || stamp != seen {
                seen = stamp;
                continue;
            }
            taken = stamp;
            match folder::read(folder, now()) {
                Ok(Found::Authority(signer)) => self.take_plugged_in(*signer),
                Ok(Found::Roots(_)) => self.failed(&"the plugged-in authority is gone"),
                Err(error) => self.failed(&error),
            }
        }
    }

    /// Roots may come or go, but not all at once: nobody would trust what the others have (istiod-surface 7.7).
    fn take_plugged_in(&self, signer: Signer) {
        let before = Arc::clone(&self.signers.borrow());
        let within =
            |some: &Signer, all: &Signer| some.roots().all(|root| all.roots().any(|one| one == root));
        if within(&before, &signer) || within(&signer, &before) {
            tracing::info!(
                "the plugged-in authority is another one; certificates are signed by it from now on"
            );
            self.publish(signer);
        } else {
            self.failed(&"its roots are all others; first add them to those that are trusted now");
        }
    }

    async fn check<F: Future<Output = Result<(), Error>>>(&self, mut once: impl FnMut() -> F) {
        loop {
            sleep(jitter(self.rules.check_interval)).await;
            if let Err(error) = once().await {
                self.failed(&error);
            }
        }
    }

    /// Takes what another replica or somebody else put into the Secret; renews the root when its time has come.
    async fn check_secret(&self, kept: &Kept, further: &[u8]) -> Result<(), Error> {
        let Some(signer) = kept.read(further, now()).await? else {
            return Err(Error::Encryption(Broken::because("the Secret with the root is gone")));
        };
        if signer.certificate().der != self.signers.borrow().certificate().der {
            tracing::info!(
                "the root in the Secret is another one; certificates are signed by it from now on"
            );
            self.publish(signer);
        }
        let current = Arc::clone(&self.signers.borrow());
        if let Some(renewed) = self.renewed(&current)? {
            let former = pem::certificate(&current.certificate().der);
            // Whoever loses the race reads what the winner wrote at the next look.
            if kept.renew(&former, &renewed).await?
                && let Some(signer) = kept.read(further, now()).await?
            {
                tracing::info!("the root was renewed, with the same key");
                self.publish(signer);
            }
        }
        Ok(())
    }

    async fn check_memory(&self, further: &[u8]) -> Result<(), Error> {
        let current = Arc::clone(&self.signers.borrow());
        if let Some(certificate) = self.renewed(&current)? {
            let roots = with_further(certificate.as_bytes(), further);
            self.publish(current.renewed(certificate.as_bytes(), &roots)?);
        }
        Ok(())
    }

    fn renewed(&self, current: &Signer) -> Result<Option<String>, Broken> {
        if !root::is_due(current.certificate(), now(), self.rules.renewed_at_percent) {
            return Ok(None);
        }
        root::renew(current, validity(&self.rules)).map(Some)
    }

    fn publish(&self, signer: Signer) {
        let signer = Arc::new(signer);
        self.roots.send_if_modified(|roots| {
            let is_other = roots != signer.roots_pem();
            *roots = Arc::clone(signer.roots_pem());
            is_other
        });
        self.signers.send_replace(signer);
    }

    fn failed(&self, reason: &dyn std::fmt::Display) {
        count(&self.stats.failed_renewals);
        tracing::error!(%reason, "the authority stays as it was");
    }
}

/// The authority in the Secret, or a new one put there; of several who want to, one is the first and the others
/// take that.
async fn kept_or_made(kept: &Kept, further: &[u8], rules: &RootRules) -> Result<Signer, Error> {
    let mut patience = PATIENCE.0;
    let mut made: Option<Root> = None;
    loop {
        match once(kept, further, rules, &mut made).await {
            Ok(Some(signer)) => return Ok(signer),
            Ok(None) => {}
            Err(error @ Error::Cluster { .. }) => {
                tracing::warn!(%error, "there is no authority yet; trying again in {patience:?}");
                sleep(jitter(patience)).await;
                patience = (patience * 2).min(PATIENCE.1);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn once(
    kept: &Kept,
    further: &[u8],
    rules: &RootRules,
    made: &mut Option<Root>,
) -> Result<Option<Signer>, Error> {
    if let Some(signer) = kept.read(further, now()).await? {
        tracing::info!("certificates are signed by the root in the cluster's Secret");
        return Ok(Some(signer));
    }
    let root = match made.take() {
        Some(root) => root,
        None => make(rules).await?,
    };
    let root = made.insert(root);
    if kept.create(root).await? {
        tracing::info!("a root was made and put into the cluster's Secret");
        return signer_of(root, further).map(Some).map_err(Error::from);
    }
    Ok(None)
}

async fn make(rules: &RootRules) -> Result<Root, Broken> {
    let rules = rules.clone();
    let made = tokio::task::spawn_blocking(move || {
        root::make(&rules.organization, rules.key_bits, validity(&rules))
    });
    made.await.unwrap_or_else(|error| Err(Broken::new("making a root", error)))
}

fn signer_of(root: &Root, further: &[u8]) -> Result<Signer, Broken> {
    let certificate = root.certificate.as_bytes();
    let roots = with_further(certificate, further);
    Signer::new(Parts { key: root.key.as_bytes(), certificate, chain: &[], roots: &roots }, now())
}

fn validity(rules: &RootRules) -> (i64, i64) {
    let now = now();
    (now, now.saturating_add(i64::try_from(rules.lifetime.as_secs()).unwrap_or(i64::MAX)))
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A time within a tenth of this one, so that replicas do not all do the same at once.
fn jitter(time: Duration) -> Duration {
    let mut chance = [0];
    // Without randomness there is none; nothing else hangs on it.
    let _ = aws_lc_rs::rand::fill(&mut chance);
    time.mul_f64(0.9 + f64::from(chance[0]) / 1275.0)
}
