//! One ConfigMap, from one edit to the next.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use tokio::sync::watch;

use super::following::{Following, WatchFailure};

/// What is known of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigMap {
    /// Nothing yet.
    #[default]
    Unknown,
    /// There is none.
    Missing,
    /// Its texts by key.
    Data(BTreeMap<String, String>),
}

impl ConfigMap {
    fn of(map: core::ConfigMap) -> Self {
        Self::Data(map.data.unwrap_or_default())
    }
}

/// Watches a ConfigMap for as long as there are receivers; while the API server is away the last state holds.
pub(super) fn config_map(client: Client, namespace: &str, name: &str) -> watch::Receiver<ConfigMap> {
    let (sender, receiver) = watch::channel(ConfigMap::Unknown);
    let mut reading = Reading::new(client, namespace, name);
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = reading.next() => next,
                () = sender.closed() => return,
            };
            if let Ok(now) = next {
                sender.send_if_modified(|known| {
                    let differs = *known != now;
                    *known = now;
                    differs
                });
            }
        }
    });
    receiver
}

/// A ConfigMap that is followed.
pub(super) struct Reading {
    following: Following<core::ConfigMap>,
    known: ConfigMap,
    /// What a list has shown so far.
    listed: Option<ConfigMap>,
}

impl Reading {
    /// Of that name.
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        let selected = Config::default().fields(&format!("metadata.name={name}"));
        let following = Following::new(Api::namespaced(client, namespace), selected);
        Self { following, known: ConfigMap::Unknown, listed: None }
    }

    /// What it says after the next messages, which may be what it said before; or why nothing is known of it.
    pub(super) async fn next(&mut self) -> Result<ConfigMap, WatchFailure> {
        loop {
            for event in self.following.next().await? {
                match event {
                    Event::Init => self.listed = Some(ConfigMap::Missing),
                    Event::InitApply(map) => self.listed = Some(ConfigMap::of(map)),
                    Event::InitDone => self.known = self.listed.take().unwrap_or(ConfigMap::Missing),
                    Event::Apply(map) => self.known = ConfigMap::of(map),
                    Event::Delete(_) => self.known = ConfigMap::Missing,
                }
            }
            if self.known != ConfigMap::Unknown {
                return Ok(self.known.clone());
            }
        }
    }
}
