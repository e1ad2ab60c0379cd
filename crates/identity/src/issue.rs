//! Issuing: whether what is asked for may be had, and the work of it, beside the runtime and bounded.

use std::sync::Arc;
use std::time::Duration;

use model::Caller;
use tokio::sync::Semaphore;

use crate::authority::{Authority, now};
use crate::error::Broken;
use crate::pem;
use crate::request::Request;
use crate::signer::{Order, Signer};
use crate::spiffe;
use crate::stats::count;
use crate::template::Name;

/// How many requests may wait to be signed: what a core does in some seconds.
const WAITING: usize = 16_384;

/// For how long certificates hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// If nothing is asked for (`DEFAULT_WORKLOAD_CERT_TTL`).
    pub default: Duration,
    /// The longest that may be asked for (`MAX_WORKLOAD_CERT_TTL`).
    pub max: Duration,
}

impl Default for Lifetimes {
    /// istiod's: a day, and 90 days.
    fn default() -> Self {
        Self { default: Duration::from_secs(24 * 3600), max: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// Issues certificates. A clone is a handle.
#[derive(Clone)]
pub struct Issuer {
    authority: Authority,
    lifetimes: Lifetimes,
    places: Arc<Semaphore>,
    hands: Arc<Semaphore>,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is of no use.
    Request(Broken),
    /// It asks for longer than there is.
    Lifetime(String),
    /// There is more to do than can be done.
    Overload,
    /// Signing failed.
    Signing(Broken),
}

impl Issuer {
    /// From this authority.
    pub fn new(authority: Authority, lifetimes: Lifetimes) -> Self {
        let hands = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            authority,
            lifetimes,
            places: Arc::new(Semaphore::new(WAITING)),
            hands: Arc::new(Semaphore::new(hands)),
        }
    }

    /// A certificate for a caller with the key of this request: the certificate, what leads to the roots, the
    /// roots. `seconds` that are not positive mean the default.
    pub(crate) async fn issue(
        &self,
        request: String,
        caller: &Caller,
        seconds: i64,
    ) -> Result<Vec<String>, Refusal> {
        let outcome = self.try_issue(request, caller, seconds).await;
        let stats = &self.authority.stats;
        count(match &outcome {
            Ok(_) => &stats.issued,
            Err(Refusal::Request(_)) => &stats.refused.request,
            Err(Refusal::Lifetime(_)) => &stats.refused.lifetime,
            Err(Refusal::Overload) => &stats.refused.overload,
            Err(Refusal::Signing(_)) => &stats.refused.signing,
        });
        outcome
    }

    async fn try_issue(
        &self,
        request: String,
        caller: &Caller,
        seconds: i64,
    ) -> Result<Vec<String>, Refusal> {
        let lifetime = self.lifetime(seconds)?;
        let _place = self.places.try_acquire().map_err(|_| Refusal::Overload)?;
        let hand = Arc::clone(&self.hands).acquire_owned().await;
        let signer = Arc::clone(&self.authority.signers.borrow());
        let uri = spiffe::uri(caller);
        let work = tokio::task::spawn_blocking(move || {
            let _hand = hand;
            work(&signer, &request, uri, lifetime)
        });
        work.await.unwrap_or_else(|error| Err(Refusal::Signing(Broken::new("signing", error))))
    }

    fn lifetime(&self, seconds: i64) -> Result<i64, Refusal> {
        let of = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let max = of(self.lifetimes.max);
        match seconds {
            ..=0 => Ok(of(self.lifetimes.default)),
            seconds if seconds <= max => Ok(seconds),
            _ => Err(Refusal::Lifetime(format!(
                "requested TTL {} is greater than the max allowed TTL {}",
                written(seconds),
                written(max)
            ))),
        }
    }
}

fn work(signer: &Signer, request: &str, uri: String, lifetime: i64) -> Result<Vec<String>, Refusal> {
    let request = Request::from_pem(request).map_err(Refusal::Request)?;
    let order = Order {
        public: &request.public,
        common_name: request.has_common_name.then(|| uri.clone()),
        names: vec![Name::Uri(uri)],
        now: now(),
        lifetime,
    };
    let certificate = pem::certificate(&signer.sign(&order).map_err(Refusal::Signing)?);
    let chain = signer.chain_pem().iter().cloned();
    Ok([certificate].into_iter().chain(chain).chain([signer.roots_pem().to_string()]).collect())
}

/// Seconds as Go writes durations.
fn written(seconds: i64) -> String {
    format!("{}h{}m{}s", seconds / 3600, seconds % 3600 / 60, seconds % 60)
}
