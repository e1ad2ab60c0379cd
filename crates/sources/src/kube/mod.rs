//! A cluster under watch: what an API server says into [`model::Change`]s.
//!
//! ```text
//!   API server ─list, watch─> Following ─Raw─> Objects ─Change─> Gather ──channel──> push
//!        one task for each kind (KindWatch)      │ what differs   │ first everything
//!                                                └── StateFile <──┘ what was last read, on disk
//! ```

mod config_map;
mod definitions;
mod following;
mod gather;
mod kind_watch;
mod kinds;
mod mesh_layers;
mod mesh_watch;
mod objects;
mod raw;
mod state_file;
mod status;
mod watches;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use model::Change;
use model::parse::Context;
use model::revision::Revision;
use tokio::sync::{Notify, mpsc};

pub use config_map::ConfigMap;
pub use status::{Health, Status, Watch};

use gather::Gather;
use mesh_watch::{Mesh, Place};
use state_file::StateFile;
use watches::Watches;

/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the API server may be silent on a connection; a watch hears from it every minute.
const SILENCE: Duration = Duration::from_secs(300);
/// Batches of changes that wait for who takes them.
const WAITING: usize = 64;
/// What we are called in an API server's audit log.
const AGENT: &str = concat!("pilothouse/", env!("CARGO_PKG_VERSION"));

/// Why there is no client of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}: {cause}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why; causes of causes are in it.
        cause: String,
    },
    /// The environment is not that of a pod.
    #[error("cannot use the pod's own access to the cluster: {0}")]
    InCluster(Box<kube::config::InClusterError>),
    /// No client can be made of it.
    #[error("cannot make a client of the cluster: {0}")]
    Client(Box<kube::Error>),
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

/// What is watched, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's id and the DNS suffix of its services.
    pub context: Context,
    /// The revision of this control plane: which Istio objects it reads, and how its ConfigMap is called.
    pub revision: Revision,
    /// The namespace of the control plane.
    pub namespace: String,
    /// The file with MeshConfig that takes the place of the ConfigMap, if it is there.
    pub mesh_file: PathBuf,
    /// The ConfigMap below it, which meshes share; may be empty.
    pub shared_mesh: String,
    /// The folder in which the last good state is kept, if it is.
    pub state: Option<PathBuf>,
    /// How long a kind may say nothing before the rest is served without it.
    pub patience: Duration,
}

impl Cluster {
    /// By a kubeconfig, or as a pod of the cluster. Does not ask the API server anything.
    ///
    /// # Errors
    /// If neither can be read.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            Some(path) => from_file(path).await?,
            None => kube::Config::incluster().map_err(|error| ConnectError::InCluster(Box::new(error)))?,
        };
        config.connect_timeout = Some(CONNECT);
        // A list that nobody answers is asked for again; watches are longer silent than that only if nobody is there.
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        // Whoever asks has waits of its own, and wants to know of a failure at once.
        config.default_retry = false;
        config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
        let client = Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))?;
        Ok(Self { client })
    }

    /// The client, for other parts that talk to the cluster.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Watches a ConfigMap for as long as there are receivers; while the API server is away the last state holds.
    pub fn config_map(&self, namespace: &str, name: &str) -> tokio::sync::watch::Receiver<ConfigMap> {
        config_map::config_map(self.client(), namespace, name)
    }

    /// Watches everything that is read of a cluster: the first message on the channel is all there is, later ones
    /// what happens. Ends when the receiver is gone.
    ///
    /// While the API server is away, what it said last holds; if it is away at the start, that is read from disk.
    pub fn watch(&self, options: &Options) -> (mpsc::Receiver<Vec<Change>>, Status) {
        let status = Status::default();
        let mesh = Mesh::new(options.mesh(), &options.context);
        let watches = Arc::new(Watches::new(mesh, &options.context, &options.revision));
        let news = watches.start(&self.client, &status);
        let (changes, receiver) = mpsc::channel(WAITING);
        let written = Arc::<Notify>::default();
        let state = options.state.as_ref().map(|folder| {
            let state = StateFile::new(folder, &options.context.cluster, options.revision.name());
            let kept = state_file::keep(state.clone(), watches.clone(), status.clone(), written.clone());
            tokio::spawn(kept);
            state
        });
        let (own, patience) = (status.clone(), options.patience);
        tokio::spawn(Gather { watches, status: own, state, patience, changes, written }.run(news));
        (receiver, status)
    }
}

impl Options {
    /// The layers of the mesh's configuration, the lower one first.
    fn mesh(&self) -> [Place; 2] {
        let map = |name: String| Place::ConfigMap(self.namespace.clone(), name);
        let own = match self.mesh_file.is_file() {
            true => Place::File(self.mesh_file.clone()),
            false => map(self.revision.named("istio")),
        };
        [map(self.shared_mesh.clone()), own]
    }
}

async fn from_file(path: &Path) -> Result<kube::Config, ConnectError> {
    let failed = |error| {
        let cause = match error {
            KubeconfigError::ReadConfig(error, _) => error.to_string(),
            other => other.to_string(),
        };
        ConnectError::Kubeconfig { path: path.to_owned(), cause }
    };
    let read = Kubeconfig::read_from(path).map_err(failed)?;
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(failed)
}
