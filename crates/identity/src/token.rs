//! Tokens of Kubernetes: the cluster is asked whose they are, and its answers are kept for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use model::Text;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::authority::now;
use crate::stats::{Stats, count};

/// How long an answer holds: the time for which a removed pod's token may still be taken.
const HOLDS: Duration = Duration::from_secs(30);
/// How many answers are kept.
const KEPT: usize = 16_384;
/// How many questions are asked at once, and how many may wait.
const AT_ONCE: usize = 32;
const WAITING: usize = 4_096;
/// How long the cluster may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// A token. It prints as nothing and is cleared after use.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// From this text.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The token itself, for whoever can say whose it is.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn key(&self) -> [u8; 32] {
        digest(&SHA256, self.0.as_bytes()).as_ref().try_into().unwrap_or_default()
    }

    /// When it ends by its own account, in seconds since 1970; tokens that are no JWT do not say it.
    fn ends(&self) -> Option<i64> {
        let body = URL_SAFE_NO_PAD.decode(self.0.split('.').nth(1)?).ok()?;
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        body.get("exp")?.as_f64().map(|seconds| seconds as i64)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token([redacted])")
    }
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The namespace.
    pub namespace: Text,
    /// The service account.
    pub name: Text,
}

/// Why it is not known whose a token is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It is nobody's.
    #[error("{0}")]
    Refused(String),
    /// The cluster did not say.
    #[error("the cluster does not say whose the token is: {0}")]
    Unanswered(String),
    /// Too many wait for an answer.
    #[error("too many tokens wait to be reviewed")]
    Overload,
}

/// Asks whose a token is.
pub type Ask = dyn Fn(Token) -> BoxFuture<'static, Result<Account, Doubt>> + Send + Sync;

/// Asks a cluster, for tokens made for one of these audiences (`TOKEN_AUDIENCES`).
pub fn ask_cluster(client: Client, audiences: Vec<String>) -> Arc<Ask> {
    let api: Api<TokenReview> = Api::all(client);
    Arc::new(move |token| {
        let (api, audiences) = (api.clone(), audiences.clone());
        Box::pin(async move {
            let spec =
                TokenReviewSpec { token: Some(token.0.to_string()), audiences: Some(audiences.clone()) };
            let mut review = TokenReview { spec, ..TokenReview::default() };
            let answer = api.create(&PostParams::default(), &review).await;
            drop(review.spec.token.take().map(Zeroizing::new));
            let mut answer = answer.map_err(|error| Doubt::Unanswered(told(&error)))?;
            drop(answer.spec.token.take().map(Zeroizing::new));
            account(answer.status.unwrap_or_default(), &audiences)
        })
    })
}

/// An error's kind. Errors of reading an answer may quote it, and it has the token.
fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.reason, status.code),
        kube::Error::SerdeError(_) => "its answer cannot be read".to_owned(),
        other => other.to_string(),
    }
}

/// Whose a token is, by a cluster's answer (istiod-surface 7.2).
fn account(status: TokenReviewStatus, audiences: &[String]) -> Result<Account, Doubt> {
    let refused = |reason: &str| Err(Doubt::Refused(reason.to_owned()));
    if let Some(error) = status.error.filter(|error| !error.is_empty()) {
        return Err(Doubt::Refused(format!("the cluster refuses the token: {error}")));
    }
    if status.authenticated != Some(true) {
        return refused("the cluster does not know the token");
    }
    // A server that does not know audiences answers with none, and would take a token for anybody.
    if !status.audiences.unwrap_or_default().iter().any(|audience| audiences.contains(audience)) {
        return refused("the token is for somebody else");
    }
    let user = status.user.unwrap_or_default();
    if !user.groups.unwrap_or_default().iter().any(|group| group == "system:serviceaccounts") {
        return refused("the token is no service account's");
    }
    let name = user.username.unwrap_or_default();
    match *name.split(':').collect::<Vec<_>>() {
        ["system", "serviceaccount", namespace, name] => {
            Ok(Account { namespace: namespace.into(), name: name.into() })
        }
        _ => refused("the token's user is not called as service accounts are"),
    }
}

/// Reviews tokens: asks once for each, keeps answers for half a minute and never longer than the token holds,
/// and asks no more at once than the cluster bears.
pub struct Reviews {
    ask: Arc<Ask>,
    known: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
    places: Semaphore,
    turns: Semaphore,
    stats: Arc<Stats>,
}

type Slot = OnceCell<(Account, Instant)>;

impl Reviews {
    /// By asking like this.
    pub fn new(ask: Arc<Ask>, stats: Arc<Stats>) -> Self {
        Self {
            ask,
            known: Mutex::default(),
            places: Semaphore::new(WAITING),
            turns: Semaphore::new(AT_ONCE),
            stats,
        }
    }

    /// Whose this token is.
    pub async fn review(&self, token: Token) -> Result<Account, Doubt> {
        if token.0.len() > LONGEST {
            return Err(Doubt::Refused("the token is too long".to_owned()));
        }
        let key = token.key();
        let slot = self.slot(key);
        if let Some((account, _)) = slot.get() {
            count(&self.stats.known_tokens);
            return Ok(account.clone());
        }
        // Whoever comes with the same token meanwhile waits for this one's answer.
        let answer = slot.get_or_try_init(|| self.ask(token)).await;
        match answer {
            Ok((account, _)) => Ok(account.clone()),
            Err(doubt) => {
                self.forget(key, &slot);
                Err(doubt)
            }
        }
    }

    async fn ask(&self, token: Token) -> Result<(Account, Instant), Doubt> {
        let _place = self.places.try_acquire().map_err(|_| Doubt::Overload)?;
        let _turn = self.turns.acquire().await.map_err(|_| Doubt::Overload)?;
        count(&self.stats.reviews);
        let asked = Instant::now();
        let left = token.ends().map(|ends| u64::try_from(ends - now()).unwrap_or(0));
        let holds = left.map_or(HOLDS, |left| HOLDS.min(Duration::from_secs(left)));
        let answer = timeout(PATIENCE, (self.ask)(token)).await;
        let answer = answer.unwrap_or_else(|_| Err(Doubt::Unanswered("no answer in time".to_owned())));
        match &answer {
            Ok(_) => {}
            Err(Doubt::Refused(_)) => count(&self.stats.review_refusals),
            Err(_) => count(&self.stats.review_failures),
        }
        answer.map(|account| (account, asked + holds))
    }

    /// The place of a token's answer; one that does not hold any more is exchanged for a new one.
    fn slot(&self, key: [u8; 32]) -> Arc<Slot> {
        let now = Instant::now();
        let holds = |slot: &Slot| slot.get().is_none_or(|(_, until)| now < *until);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(&key).filter(|slot| holds(slot)) {
            return Arc::clone(slot);
        }
        if known.len() >= KEPT {
            known.retain(|_, slot| holds(slot));
        }
        if known.len() >= KEPT
            && let Some(some) = known.keys().next().copied()
        {
            known.remove(&some);
        }
        let slot = Arc::<Slot>::default();
        known.insert(key, Arc::clone(&slot));
        slot
    }

    fn forget(&self, key: [u8; 32], slot: &Arc<Slot>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&key).is_some_and(|kept| Arc::ptr_eq(kept, slot) && !kept.initialized()) {
            known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
