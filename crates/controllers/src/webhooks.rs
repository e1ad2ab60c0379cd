//! The webhooks of a revision and of its tags: whom the API server trusts when it calls us, and whether objects are refused
//! while we do not answer (istiod-surface 2.5, 2.6). Every replica does it; they agree, since all have the same roots.

mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::revision::REVISION;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::Error;
use crate::stats::{Counted, Stats};
use crate::store::{Edited, Key, Resource, label};
use crate::watching::Seen;
use crate::work::{Controller, Edit, Write};

pub(crate) use probe::prove;

/// How the entries end that inject; a configuration may have others, which are somebody else's.
const INJECTS: &str = "sidecar-injector.istio.io";
/// What an entry says that refuses objects where it is not answered.
const FAIL: &str = "Fail";

/// Which webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that inject.
    Inject,
    /// Those that validate.
    Validate,
}

impl Which {
    pub(crate) fn resource(self) -> Resource {
        match self {
            Self::Inject => Resource::MUTATING,
            Self::Validate => Resource::VALIDATING,
        }
    }

    fn is_ours(self, entry: &Value) -> bool {
        self == Self::Validate || entry["name"].as_str().is_some_and(|name| name.ends_with(INJECTS))
    }
}

/// What may happen.
#[derive(Debug)]
pub(crate) enum News {
    /// The certificates that everybody is to trust, in PEM.
    Roots(Arc<str>),
    /// What webhooks of the kind there are.
    Seen(Seen),
    /// Validation answers.
    Proven,
}

/// What is known of the webhooks of one kind.
pub(crate) struct Webhooks {
    which: Which,
    revision: String,
    /// In base64, as it stands in the objects.
    bundle: Option<Arc<str>>,
    /// The webhooks of the revision by name; nothing before they have been listed.
    there: Option<BTreeMap<String, Webhook>>,
    is_proven: bool,
    wants_proof: watch::Sender<bool>,
    /// Those that could not be written.
    failing: BTreeSet<String>,
    stats: Arc<Stats>,
}

/// What matters of a webhook.
#[derive(Clone, Debug, PartialEq)]
struct Webhook {
    /// The certificate authorities of its entries, each once.
    bundles: BTreeSet<String>,
    /// Whether all entries refuse objects where they are not answered.
    is_mandatory: bool,
}

impl Webhooks {
    /// Looks after the webhooks that name this revision, byte for byte. The receiver says whether it should be found out if
    /// validation answers.
    pub(crate) fn new(which: Which, revision: &str, stats: Arc<Stats>) -> (Self, watch::Receiver<bool>) {
        let (wants_proof, receiver) = watch::channel(false);
        let webhooks = Self {
            which,
            revision: revision.to_owned(),
            bundle: None,
            there: None,
            is_proven: false,
            wants_proof,
            failing: BTreeSet::new(),
            stats,
        };
        (webhooks, receiver)
    }

    fn put(&mut self, key: &Key, object: Option<&Value>) {
        let webhook = object.and_then(|object| self.look(object));
        let Some(there) = &mut self.there else { return };
        match webhook {
            Some(webhook) => there.insert(key.name.clone(), webhook),
            None => there.remove(&key.name),
        };
    }

    /// What matters of an object, if it is of the revision.
    fn look(&self, object: &Value) -> Option<Webhook> {
        if label(object, REVISION) != Some(&self.revision) {
            return None;
        }
        let entries = object["webhooks"].as_array().into_iter().flatten();
        let ours: Vec<&Value> = entries.filter(|entry| self.which.is_ours(entry)).collect();
        let bundle =
            |entry: &&Value| entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
        Some(Webhook {
            bundles: ours.iter().map(bundle).collect(),
            is_mandatory: ours.iter().all(|entry| entry["failurePolicy"] == FAIL),
        })
    }

    /// A webhook that is of the revision and does not do what it is for is counted, as istiod does.
    fn note(&self, key: &Key, object: &Value) {
        let is_empty = self.look(object).is_some_and(|webhook| webhook.bundles.is_empty());
        if is_empty && self.which == Which::Inject {
            self.count_failure(&key.name, "webhook_entry_not_found");
        }
    }

    fn count_failure(&self, name: &str, reason: &str) {
        let labels = vec![("name", name.to_owned()), ("reason", reason.to_owned())];
        self.stats.count(Counted::PatchFailures, labels);
    }
}

impl Controller for Webhooks {
    type News = News;
    type Edit = Entries;
    const WORK: &'static str = "the certificate authority in webhooks";

    fn take(&mut self, news: News) {
        match news {
            News::Roots(roots) => self.bundle = Some(STANDARD.encode(roots.as_bytes()).into()),
            News::Seen(Seen::All(all)) => {
                all.iter().for_each(|(key, object)| self.note(key, object));
                let ours =
                    all.iter().filter_map(|(key, object)| Some((key.name.clone(), self.look(object)?)));
                self.there = Some(ours.collect());
            }
            News::Seen(Seen::One(key, object)) => {
                if let Some(object) = &object {
                    self.note(&key, object);
                }
                self.put(&key, object.as_ref());
            }
            News::Proven => self.is_proven = true,
        }
        let is_lenient = self.there.iter().flat_map(BTreeMap::values).any(|one| !one.is_mandatory);
        let wants = self.which == Which::Validate && self.bundle.is_some() && is_lenient && !self.is_proven;
        self.wants_proof.send_if_modified(|wanted| std::mem::replace(wanted, wants) != wants);
    }

    fn writes(&self) -> Vec<Write<Entries>> {
        let Some(bundle) = self.bundle.as_ref().filter(|bundle| !bundle.is_empty()) else {
            return Vec::new();
        };
        let is_mandatory = self.which == Which::Validate && self.is_proven;
        let is_wrong = |webhook: &Webhook| {
            webhook.bundles.iter().any(|one| **one != **bundle) || (is_mandatory && !webhook.is_mandatory)
        };
        let wrong = self.there.iter().flatten().filter(|(_, webhook)| is_wrong(webhook));
        let write = |(name, _): (&String, &Webhook)| {
            let (which, revision, bundle) = (self.which, self.revision.clone(), Arc::clone(bundle));
            let key = Key::new(which.resource(), "", name);
            Write { key, edit: Entries { which, revision, bundle, is_mandatory } }
        };
        wrong.map(write).collect()
    }

    fn found(&mut self, key: &Key, object: Option<&Value>) {
        self.put(key, object);
    }

    fn outcome(&mut self, key: &Key, outcome: &Result<Edited, Error>) {
        let failed_before = match outcome {
            Ok(_) => self.failing.remove(&key.name),
            Err(_) => !self.failing.insert(key.name.clone()),
        };
        let name = || vec![("name", key.name.clone())];
        match (self.which, outcome) {
            (_, Ok(edited)) if !edited.is_written => {}
            (Which::Validate, Ok(_)) => self.stats.count(Counted::ValidationUpdates, Vec::new()),
            (Which::Validate, Err(error)) => {
                self.stats.count(Counted::ValidationUpdateErrors, vec![("reason", error.reason())]);
            }
            (Which::Inject, outcome) => {
                self.stats.count(Counted::PatchAttempts, name());
                if failed_before {
                    self.stats.count(Counted::PatchRetries, name());
                }
                if outcome.is_err() {
                    self.count_failure(&key.name, "webhook_update_failure");
                }
            }
        }
    }
}

/// What the entries of a webhook are to say; all else stays as its installer wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entries {
    which: Which,
    revision: String,
    bundle: Arc<str>,
    /// Objects are to be refused where an entry is not answered; if not, that stays as it is.
    is_mandatory: bool,
}

impl Edit for Entries {
    fn of(&self, current: Option<&Value>) -> Option<Value> {
        // It may have become another's since it was decided.
        let current = current.filter(|current| label(current, REVISION) == Some(&self.revision))?;
        let mut object = current.clone();
        let entries = object["webhooks"].as_array_mut().into_iter().flatten();
        for entry in entries.filter(|entry| self.which.is_ours(entry)) {
            entry["clientConfig"]["caBundle"] = (*self.bundle).into();
            if self.is_mandatory {
                entry["failurePolicy"] = FAIL.into();
            }
        }
        (object != *current).then_some(object)
    }
}

#[cfg(test)]
mod tests;
