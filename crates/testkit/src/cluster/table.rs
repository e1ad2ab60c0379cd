//! All objects of a kind as they are now, kept by a watch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::api::ResourceExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Objects by `namespace/name`.
pub(super) type Objects<K> = BTreeMap<String, Arc<K>>;

/// Starts a watch among the tasks; what it knows is in the channel, the newest only.
pub(super) fn follow<K>(tasks: &mut JoinSet<()>, api: Api<K>) -> watch::Receiver<Objects<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (sender, receiver) = watch::channel(Objects::new());
    tasks.spawn(async move {
        let mut events = watcher(api, Config::default()).default_backoff().boxed();
        let mut listed = Objects::new();
        while let Some(event) = events.next().await {
            // Errors are the API server's absence, and tried again with a pause.
            match event {
                Ok(Event::Init) => listed = Objects::new(),
                Ok(Event::InitApply(object)) => drop(listed.insert(key(&object), Arc::new(object))),
                Ok(Event::InitDone) => drop(sender.send_replace(std::mem::take(&mut listed))),
                Ok(Event::Apply(object)) => sender.send_modify(|objects| {
                    objects.insert(key(&object), Arc::new(object));
                }),
                Ok(Event::Delete(object)) => {
                    sender.send_modify(|objects| drop(objects.remove(&key(&object))))
                }
                Err(_) => {}
            }
        }
    });
    receiver
}

fn key<K: Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
