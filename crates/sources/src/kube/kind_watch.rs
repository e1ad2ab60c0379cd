//! One kind under watch, from its definition to its last object.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::ApiResource;
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use super::following::{self, Following, WatchFailure};
use super::gather::News;
use super::kinds::Served;
use super::objects::Objects;
use super::raw::Raw;
use super::status::Health;

/// How often it is asked for a kind that does not exist, beside whenever a definition changes.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How often, and how far apart, the API server has to say that a kind is gone before its objects are taken for
/// gone too: while it starts it may not know everything yet.
const ASKED: (u32, Duration) = (3, Duration::from_secs(1));

/// The watch of one kind.
pub(super) struct KindWatch {
    pub(super) client: Client,
    pub(super) served: Served,
    pub(super) objects: Arc<Mutex<Objects>>,
    pub(super) news: mpsc::Sender<News>,
    /// Says that some definition has changed.
    pub(super) definitions: watch::Receiver<u64>,
}

/// Nobody is left who wants to know.
pub(super) struct Ended;

impl KindWatch {
    /// Watches until nobody wants to know any more.
    pub(super) async fn run(mut self) {
        while let Ok(resource) = self.resource().await {
            if self.follow(&resource).await.is_err() {
                return;
            }
        }
    }

    /// The version that the API server serves, once it does.
    async fn resource(&mut self) -> Result<ApiResource, Ended> {
        if !self.served.is_custom() {
            return Ok(self.served.resource(self.served.versions.first().copied().unwrap_or("v1")));
        }
        let (mut failures, mut missing) = (0, 0);
        loop {
            self.definitions.mark_unchanged();
            match self.find().await {
                Ok(resource) => return Ok(resource),
                Err(WatchFailure::NotServed) => {
                    missing += 1;
                    self.missing(missing).await?;
                }
                Err(failure) => {
                    failures += 1;
                    self.tell(failure.into()).await?;
                    tokio::time::sleep(following::wait(failures)).await;
                }
            }
        }
    }

    async fn find(&self) -> Result<ApiResource, WatchFailure> {
        for version in self.served.versions {
            match self.client.list_api_group_resources(&self.served.api_version(version)).await {
                Ok(list) if list.resources.iter().any(|one| one.name == self.served.plural) => {
                    return Ok(self.served.resource(version));
                }
                Ok(_) => {}
                Err(error) => match following::of(&error) {
                    WatchFailure::NotServed => {}
                    failure => return Err(failure),
                },
            }
        }
        Err(WatchFailure::NotServed)
    }

    /// There is no such kind, for the how-manyeth time; returns when it is worth while to ask again.
    async fn missing(&mut self, times: u32) -> Result<(), Ended> {
        if times < ASKED.0 && !self.objects().is_empty() {
            tokio::time::sleep(ASKED.1).await;
            return Ok(());
        }
        let gone = {
            let mut objects = self.objects();
            objects.begin();
            objects.end()
        };
        self.send(News::Changes(self.served.kind, gone)).await?;
        self.tell(Health::NotServed).await?;
        tokio::select! {
            // A watch of definitions that has ended says nothing any more.
            Ok(()) = self.definitions.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = self.news.closed() => return Err(Ended),
        }
        Ok(())
    }

    /// Follows all objects, until there is no such kind any more.
    async fn follow(&mut self, resource: &ApiResource) -> Result<(), Ended> {
        let config = Config { field_selector: self.served.fields.map(str::to_owned), ..Config::default() };
        let mut following = Following::<Raw>::new(Api::all_with(self.client.clone(), resource), config);
        let mut health = Health::Listing;
        loop {
            let next = tokio::select! {
                next = following.next() => next,
                () = self.news.closed() => return Err(Ended),
            };
            let now = match next {
                Ok(events) => {
                    let has_only_begun =
                        !events.is_empty() && events.iter().all(|event| matches!(event, Event::Init));
                    let changes = self.take(events, &resource.api_version);
                    // That a list begins says nothing of the API server yet.
                    if has_only_begun {
                        continue;
                    }
                    self.send(News::Changes(self.served.kind, changes)).await?;
                    if following.is_listed() { Health::Live } else { Health::Listing }
                }
                Err(WatchFailure::NotServed) if self.served.is_custom() => return Ok(()),
                Err(WatchFailure::NotServed) => Health::Unreachable("it does not know the kind".into()),
                Err(failure) => failure.into(),
            };
            if now != health || !now.is_true() {
                self.tell(now.clone()).await?;
            }
            health = now;
        }
    }

    fn take(&self, events: Vec<Event<Raw>>, api_version: &str) -> Vec<model::Change> {
        let mut objects = self.objects();
        let mut changes = Vec::new();
        for event in events {
            match event {
                Event::Init => objects.begin(),
                Event::InitApply(raw) | Event::Apply(raw) => {
                    changes.extend(objects.apply(raw.json, api_version));
                }
                Event::Delete(raw) => changes.extend(objects.delete(&raw.json)),
                Event::InitDone => changes.extend(objects.end()),
            }
        }
        changes
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, health: Health) -> Result<(), Ended> {
        self.send(News::Health(self.served.kind, health)).await
    }

    async fn send(&self, news: News) -> Result<(), Ended> {
        self.news.send(news).await.map_err(|_| Ended)
    }
}
