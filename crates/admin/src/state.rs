//! What there is to show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mesh::Snapshot;
use model::Text;
use xds::{Connections, Stats};

use crate::Access;
use crate::parts::Part;

/// What there is to show; a clone is a handle.
#[derive(Clone)]
pub struct State {
    /// The engine: the newest snapshot, its counters, the memos.
    pub engine: push::Handle,
    /// The open streams.
    pub connections: Arc<Connections>,
    /// The discovery server's counters.
    pub stats: Arc<Stats>,
    /// Which program this is.
    pub build: Build,
    /// When it started.
    pub started: Instant,
    /// Parts of the process that have something to say of their own.
    pub parts: Vec<Part>,
    /// Who may see debug pages.
    pub access: Access,
    /// The templates of injection by name, where there is injection.
    pub templates: Option<Arc<Templates>>,
}

/// What injection works with at the moment, by name.
pub type Templates = dyn Fn() -> BTreeMap<String, String> + Send + Sync;

/// Why proxies are not served yet.
const NOT_READY: &str = "the configuration has not been read yet";

/// Which program this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its version, `major.minor.patch`; istioctl and Kiali look for these.
    pub version: String,
    /// The revision of its source; must not contain `-`, since istioctl splits at it.
    pub revision: String,
    /// `Clean` or `Modified`.
    pub status: String,
    /// The name of this instance: the pod's, in a cluster.
    pub instance: String,
}

impl State {
    /// The newest state of the mesh.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.engine.snapshots.borrow())
    }

    /// The namespace whose identities see everything.
    pub(crate) fn root_namespace(&self) -> Text {
        self.engine.snapshots.borrow().config.mesh.root_namespace.clone()
    }

    /// Whether proxies are served and every part is ready, and what there is to know about it.
    pub(crate) fn readiness(&self) -> (bool, Vec<String>) {
        let mut is_ready = self.engine.snapshots.borrow().generation > 0;
        let mut details: Vec<String> = (!is_ready).then(|| NOT_READY.to_owned()).into_iter().collect();
        for report in self.parts.iter().map(|part| part()) {
            is_ready &= report.is_ready;
            details.extend(report.details);
        }
        (is_ready, details)
    }
}
