//! Who of several control planes does what only one of them may do: istiod's own locks, so that an istiod beside us, or
//! another revision of ours, never writes the same objects (istiod-surface 2.9).

mod record;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::pace::wait;
use crate::store::{Key, Resource, Store};
use crate::trouble::Trouble;
use record::{Candidate, DEADLINE, LOOK, Record};

pub(crate) use record::key;

/// Whoever holds it puts the root certificates into namespaces.
pub(crate) const NAMESPACES: &str = "istio-namespace-controller-election";
/// The annotation with the record.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// How long giving back a lock may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Which process of which revision wants to lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// Its name, that of its pod.
    pub(crate) identity: String,
    /// Its revision, empty for one without a name.
    pub(crate) revision: String,
    /// The namespace of the control planes, where locks are.
    pub(crate) namespace: String,
}

/// One lock, and whether we hold it.
pub(crate) struct Lock {
    store: Store,
    key: Key,
    candidate: Candidate,
    /// The revision that is the default one, if that is known.
    default: watch::Receiver<Option<String>>,
    leads: watch::Sender<bool>,
    trouble: Trouble,
    /// Two clocks at one moment: a step of the first is not to make a renewal look like none.
    began: (jiff::Timestamp, Instant),
    /// What the lock said, and when it began to say so, by our own clock.
    seen: Option<(Record, Instant)>,
    renewed: Option<Instant>,
}

impl Lock {
    /// A lock of this name; the receiver says whether it is held.
    pub(crate) fn new(
        store: Store,
        name: &str,
        who: &Who,
        default: watch::Receiver<Option<String>>,
    ) -> (Self, watch::Receiver<bool>) {
        let (leads, receiver) = watch::channel(false);
        let lock = Self {
            store,
            key: Key::new(Resource::CONFIG_MAP, &who.namespace, name),
            candidate: Candidate {
                identity: who.identity.clone(),
                key: record::key(&who.revision).to_owned(),
            },
            default,
            leads,
            trouble: Trouble::new("the lock of whoever leads"),
            began: (jiff::Timestamp::now(), Instant::now()),
            seen: None,
            renewed: None,
        };
        (lock, receiver)
    }

    /// Tries to hold it until it is told to end; then it is given back.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let step = tokio::select! {
                step = timeout(DEADLINE, self.step()) => step,
                () = shutdown.cancelled() => break,
            };
            let pause = match step {
                Ok(Ok(())) => {
                    failures = 0;
                    self.trouble.is_well();
                    LOOK
                }
                Ok(Err(error)) => {
                    failures += 1;
                    self.trouble.failed(&error.reason(), &error);
                    wait(failures).min(LOOK)
                }
                Err(_) => Duration::ZERO,
            };
            self.give_up_if_late();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // Whoever has become the default one does not wait.
                () = changed(&mut self.default) => {}
                () = shutdown.cancelled() => break,
            }
        }
        if self.leads.send_replace(false) {
            let farewell = timeout(FAREWELL, self.give_back()).await;
            if let Ok(Err(error)) = farewell {
                tracing::debug!(%error, "a lock is not given back; others take it when it has run out");
            }
        }
    }

    /// Looks at the lock, and takes or renews it if that may be.
    async fn step(&mut self) -> Result<(), Error> {
        let object = self.store.get(&self.key).await?;
        let record = object.as_ref().and_then(read);
        let silent = self.silent(record.as_ref());
        let default = self.default.borrow_and_update().clone();
        let claim = self.candidate.claim(record.as_ref(), silent, default.as_deref(), &self.now());
        let Some(claim) = claim else {
            self.holds(false);
            return Ok(());
        };
        match self.write(object.as_ref(), &claim).await {
            Ok(()) => {
                self.seen = Some((claim, Instant::now()));
                self.renewed = Some(Instant::now());
                self.holds(true);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// For how long the record has been what it is.
    fn silent(&mut self, record: Option<&Record>) -> Duration {
        let now = Instant::now();
        match (&self.seen, record) {
            (Some((seen, since)), Some(record)) if seen == record => now - *since,
            (_, record) => {
                self.seen = record.map(|record| (record.clone(), now));
                Duration::ZERO
            }
        }
    }

    /// Who could not renew for too long leads no longer: others may soon think that they do.
    fn give_up_if_late(&mut self) {
        let is_late = self.renewed.is_none_or(|renewed| renewed.elapsed() >= DEADLINE);
        if is_late {
            self.holds(false);
        }
    }

    fn holds(&mut self, now: bool) {
        let changed = self.leads.send_if_modified(|leads| std::mem::replace(leads, now) != now);
        if changed {
            let says = if now { "we lead" } else { "somebody else leads" };
            tracing::info!("{says}: {}", self.key);
        }
    }

    async fn give_back(&self) -> Result<(), Error> {
        let object = self.store.get(&self.key).await?;
        match object.as_ref().and_then(read).filter(|record| self.candidate.leads(record)) {
            Some(record) => self.write(object.as_ref(), &Candidate::gives_back(&record, &self.now())).await,
            None => Ok(()),
        }
    }

    /// Now, as Kubernetes writes times: whole seconds.
    fn now(&self) -> String {
        let (then, begun) = self.began;
        let seconds = then.as_second().saturating_add(i64::try_from(begun.elapsed().as_secs()).unwrap_or(0));
        jiff::Timestamp::from_second(seconds).unwrap_or(then).to_string()
    }

    async fn write(&self, before: Option<&Value>, record: &Record) -> Result<(), Error> {
        let mut object = before.cloned().unwrap_or_else(|| {
            let Key { namespace, name, .. } = &self.key;
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}})
        });
        let text = serde_json::to_string(record).unwrap_or_default();
        object["metadata"]["annotations"][LEADER] = text.into();
        self.store.write(&self.key, before, object).await.map(|_| ())
    }
}

/// Says whenever the value changes; never again when nobody is left to change it.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn read(object: &Value) -> Option<Record> {
    serde_json::from_str(object["metadata"]["annotations"][LEADER].as_str()?).ok()
}

#[cfg(test)]
mod tests;
