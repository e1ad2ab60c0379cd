//! All that is watched, and what is known of it.

use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use model::parse::Context;
use model::revision::Revision;
use model::{Change, Kind};
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::definitions::definitions;
use super::gather::News;
use super::kind_watch::KindWatch;
use super::kinds::{Served, WATCHED, served};
use super::mesh_watch::{self, Mesh};
use super::objects::{Object, Objects};
use super::status::{Health, Status};

/// News that waits to be gathered; a watch with more waits too.
const WAITING: usize = 256;

/// What is known of every kind, shared with whoever writes it down.
pub(super) struct Watches {
    kinds: Vec<(Served, Arc<Mutex<Objects>>)>,
    mesh: Mesh,
}

impl Watches {
    /// Nothing is known yet.
    pub(super) fn new(mesh: Mesh, context: &Context, revision: &Revision) -> Self {
        let kind = |kind: Kind| {
            let served = served(kind)?;
            Some((
                served,
                Arc::new(Mutex::new(Objects::new(kind, served, context.clone(), revision.clone()))),
            ))
        };
        Self { kinds: WATCHED.into_iter().filter_map(kind).collect(), mesh }
    }

    /// Starts to watch everything.
    pub(super) fn start(&self, client: &Client, status: &Status) -> mpsc::Receiver<News> {
        let (news, receiver) = mpsc::channel(WAITING);
        let definitions = definitions(client.clone());
        status.note(Kind::MeshConfig.as_str(), Health::Waiting);
        tokio::spawn(mesh_watch::run(client.clone(), self.mesh.clone(), news.clone()));
        for (served, objects) in &self.kinds {
            status.note(served.kind, Health::Waiting);
            let (client, objects) = (client.clone(), Arc::clone(objects));
            let (news, definitions) = (news.clone(), definitions.clone());
            tokio::spawn(KindWatch { client, served: *served, objects, news, definitions }.run());
        }
        receiver
    }

    /// Takes objects that were written down, where the API server has not said all that there is.
    pub(super) fn restore(&self, objects: Vec<Object>) -> Vec<Change> {
        objects.into_iter().filter_map(|object| self.restore_one(object)).collect()
    }

    fn restore_one(&self, object: Object) -> Option<Change> {
        let kind = object.get("kind").and_then(Json::as_str)?;
        if kind == "ConfigMap" {
            return self.mesh.restore(&object);
        }
        let (_, objects) = self.kinds.iter().find(|(served, _)| served.kind == kind)?;
        objects.lock().unwrap_or_else(PoisonError::into_inner).restore(object)
    }

    /// Writes everything down, a part at a time, each object on a line.
    pub(super) fn write<E>(&self, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut lines = Vec::new();
        self.mesh.write(&mut lines);
        put(&lines)?;
        for (_, objects) in &self.kinds {
            lines.clear();
            objects.lock().unwrap_or_else(PoisonError::into_inner).write(&mut lines);
            put(&lines)?;
        }
        Ok(())
    }
}
