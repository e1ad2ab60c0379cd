//! The mesh's configuration under watch: the revision's ConfigMap or a file in its place, over a shared one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use model::{Change, Kind};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::config_map::{ConfigMap, Reading};
use super::following::WatchFailure;
use super::gather::News;
use super::mesh_layers::MeshLayers;
use super::objects::Object;
use super::status::Health;

/// The key of MeshConfig in its ConfigMaps.
const KEY: &str = "mesh";

/// Where a layer of the mesh's configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A ConfigMap of this namespace and name.
    ConfigMap(String, String),
    /// A file, which wins over the ConfigMap if it is there at the start.
    File(PathBuf),
}

impl Place {
    /// Whether there is no such layer.
    fn is_none(&self) -> bool {
        matches!(self, Self::ConfigMap(_, name) if name.is_empty())
    }

    /// How it is told.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::ConfigMap(namespace, name) => format!("ConfigMap {namespace}/{name}"),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// The layers that are known, shared with whoever writes them down.
#[derive(Clone)]
pub(super) struct Mesh {
    pub(super) places: Arc<[Place; 2]>,
    layers: Arc<Mutex<MeshLayers<2>>>,
}

impl Mesh {
    pub(super) fn new(places: [Place; 2], context: &model::parse::Context) -> Self {
        let shown = places.each_ref().map(|place| place.shown().into());
        Self { layers: Arc::new(Mutex::new(MeshLayers::new(shown, context))), places: Arc::new(places) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut MeshLayers<2>) -> T) -> T {
        act(&mut self.layers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes down the ConfigMaps, each on a line.
    pub(super) fn write(&self, lines: &mut Vec<u8>) {
        let texts: Vec<Option<String>> =
            self.with(|layers| layers.texts().map(|text| text.map(str::to_owned)).collect());
        for (place, text) in self.places.iter().zip(texts) {
            let (Place::ConfigMap(namespace, name), Some(text)) = (place, text) else { continue };
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace,
                "name": name}, "data": {KEY: text}});
            lines.extend_from_slice(map.to_string().as_bytes());
            lines.push(b'\n');
        }
    }

    /// Takes a ConfigMap as it was written down, unless the API server has said what it says.
    pub(super) fn restore(&self, map: &Object) -> Option<Change> {
        let text = |part: &str, field: &str| map.get(part)?.get(field).and_then(Json::as_str);
        let of = Place::ConfigMap(text("metadata", "namespace")?.into(), text("metadata", "name")?.into());
        let at = self.places.iter().position(|place| *place == of)?;
        let written = text("data", KEY)?;
        self.with(|layers| layers.restore(at, written))
    }
}

/// Follows both layers until nobody wants to know any more.
pub(super) async fn run(client: Client, mesh: Mesh, news: mpsc::Sender<News>) {
    let [below, above] = &*mesh.places;
    let mut layers = (Layer::new(&client, below), Layer::new(&client, above));
    // A layer that is not there is known.
    let mut known = [below.is_none(), above.is_none()];
    loop {
        let (at, next) = tokio::select! {
            next = layers.0.next() => (0, next),
            next = layers.1.next() => (1, next),
            () = news.closed() => return,
        };
        let (change, health) = match next {
            Ok(text) => {
                known = set(known, at, true);
                let change = mesh.with(|layers| layers.read(at, text.as_deref()));
                (change, if known == [true, true] { Health::Live } else { Health::Listing })
            }
            Err(failure) => {
                known = set(known, at, false);
                (None, failure.into())
            }
        };
        let name = Kind::MeshConfig.as_str();
        let changes = change.into_iter().collect();
        for one in [News::Changes(name, changes), News::Health(name, health)] {
            if news.send(one).await.is_err() {
                return;
            }
        }
    }
}

fn set(mut known: [bool; 2], at: usize, now: bool) -> [bool; 2] {
    if let Some(one) = known.get_mut(at) {
        *one = now;
    }
    known
}

enum Layer {
    ConfigMap(Box<Reading>),
    File(mpsc::Receiver<crate::MeshText>),
    /// There is none, or a file that cannot be watched, which is told.
    None,
}

impl Layer {
    fn new(client: &Client, place: &Place) -> Self {
        match place {
            place if place.is_none() => Self::None,
            Place::ConfigMap(namespace, name) => {
                Self::ConfigMap(Box::new(Reading::new(client.clone(), namespace, name)))
            }
            Place::File(path) => match crate::watch_file(path) {
                Ok(texts) => Self::File(texts),
                Err(error) => {
                    tracing::error!(%error, "the file with the mesh's configuration is not read");
                    Self::None
                }
            },
        }
    }

    /// What it says after something has happened to it, which may be what it said before.
    async fn next(&mut self) -> Result<Option<String>, WatchFailure> {
        match self {
            Self::ConfigMap(reading) => match reading.next().await? {
                ConfigMap::Data(mut data) => Ok(data.remove(KEY)),
                ConfigMap::Missing | ConfigMap::Unknown => Ok(None),
            },
            Self::File(texts) => loop {
                match texts.recv().await {
                    Some(Ok(text)) => return Ok(text),
                    Some(Err(problem)) => {
                        tracing::warn!(cause = %problem.cause, "the mesh's configuration is not read; what it said before holds");
                    }
                    None => std::future::pending().await,
                }
            },
            Self::None => std::future::pending().await,
        }
    }
}
