//! Objects of one kind under a watch that never ends.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde_json::Value;

use crate::error::answer;
use crate::pace::wait;
use crate::store::{Key, Resource, Store, json};
use crate::trouble::Trouble;

/// How soon a watch that cannot go on says so.
const SILENCE: Duration = Duration::from_millis(300);
/// After so many failures in a row everything is listed anew.
const RESUMED: u32 = 3;

/// What a watch says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// These are all objects; what is not among them is gone.
    All(Vec<(Key, Value)>),
    /// An object as it is now; `None` if it is gone.
    One(Key, Option<Value>),
}

/// What is watched.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) resource: Resource,
    /// The name of the objects, if only those of one name are meant.
    pub(crate) name: Option<String>,
    /// How the work is told if it fails.
    pub(crate) work: &'static str,
}

/// Watches objects for ever. Failures are told once, and when they are over.
pub(crate) fn watching(store: &Store, selection: Selection) -> BoxStream<'static, Seen> {
    let watching = Watching::new(store, selection);
    stream::unfold(watching, |mut watching| async {
        let seen = watching.next().await;
        Some((seen, watching))
    })
    .boxed()
}

type Messages = Pin<Box<dyn Stream<Item = watcher::Result<Event<DynamicObject>>> + Send>>;

struct Watching {
    api: Api<DynamicObject>,
    config: Config,
    resource: Resource,
    messages: Messages,
    /// What a list that is being read has said so far.
    listed: Vec<(Key, Value)>,
    is_listed: bool,
    failures: u32,
    trouble: Trouble,
}

impl Watching {
    fn new(store: &Store, selection: Selection) -> Self {
        let Selection { resource, name, work } = selection;
        let api = store.api(resource, "");
        let config = match name {
            Some(name) => Config::default().fields(&format!("metadata.name={name}")),
            None => Config::default(),
        };
        Self {
            messages: messages(&api, &config),
            api,
            config,
            resource,
            listed: Vec::new(),
            is_listed: false,
            failures: 0,
            trouble: Trouble::new(work),
        }
    }

    async fn next(&mut self) -> Seen {
        loop {
            let message = match self.failures {
                0 => self.messages.next().await,
                _ => self.after_failure().await,
            };
            match message {
                Some(Ok(event)) => {
                    if let Some(seen) = self.take(event) {
                        return seen;
                    }
                }
                Some(Err(error)) => self.failed(&error),
                None => {}
            }
        }
    }

    fn take(&mut self, event: Event<DynamicObject>) -> Option<Seen> {
        // That a list begins says nothing yet: it may fail all the same.
        if !matches!(event, Event::Init) {
            self.is_well();
        }
        let resource = self.resource;
        let read = |object| {
            let object = json(resource, object);
            (Key::of(resource, &object), object)
        };
        match event {
            Event::Init => {
                self.is_listed = false;
                self.listed.clear();
                None
            }
            Event::InitApply(object) => {
                self.listed.push(read(object));
                None
            }
            Event::InitDone => {
                self.is_listed = true;
                Some(Seen::All(std::mem::take(&mut self.listed)))
            }
            Event::Apply(object) => {
                let (key, object) = read(object);
                Some(Seen::One(key, Some(object)))
            }
            Event::Delete(object) => Some(Seen::One(read(object).0, None)),
        }
    }

    /// Waits, and tries again. A watch that goes on where it stood says nothing until something happens: that it is well
    /// again is found out by asking.
    async fn after_failure(&mut self) -> Option<watcher::Result<Event<DynamicObject>>> {
        tokio::time::sleep(wait(self.failures)).await;
        if !self.is_listed {
            return self.messages.next().await;
        }
        if let Ok(message) = tokio::time::timeout(SILENCE, self.messages.next()).await {
            return message;
        }
        match self.api.list(&ListParams::default().limit(1)).await {
            Ok(_) => self.is_well(),
            Err(error) => self.told(&answer(&error)),
        }
        None
    }

    fn is_well(&mut self) {
        self.failures = 0;
        self.trouble.is_well();
    }

    fn failed(&mut self, error: &watcher::Error) {
        let reason = match error {
            watcher::Error::InitialListFailed(cause)
            | watcher::Error::WatchStartFailed(cause)
            | watcher::Error::WatchFailed(cause) => answer(cause),
            other => other.to_string(),
        };
        self.told(&reason);
        // The API server may have been put back to an earlier state.
        if self.failures.is_multiple_of(RESUMED) {
            self.messages = messages(&self.api, &self.config);
        }
    }

    fn told(&mut self, reason: &str) {
        self.failures = self.failures.saturating_add(1);
        let told = format!("cannot watch {}: {reason}", self.resource.kind);
        self.trouble.failed(reason, &told);
    }
}

fn messages(api: &Api<DynamicObject>, config: &Config) -> Messages {
    Box::pin(watcher(api.clone(), config.clone()))
}
