//! What can be in the way of a tag, in words for the person who asked for it.

use model::revision::{REVISION, TAG};
use serde_json::Value;

use super::label;

/// Why a tag was not read, set or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to a cluster.
    #[error("cannot use the kubeconfig: {0}")]
    Unusable(String),
    /// The cluster did not do what it was asked to.
    #[error("{action}: {source}")]
    Cluster {
        /// What it was asked to do.
        action: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// The name cannot be a tag's.
    #[error("{0:?} cannot be a tag: it takes up to 43 lower-case letters, digits and inner hyphens")]
    Name(String),
    /// The name is that of a revision.
    #[error("{0:?} is a revision; a tag of that name would take its namespaces away from it")]
    IsRevision(String),
    /// The tag exists.
    #[error("the tag {tag:?} exists and stands for {revision:?}; --overwrite moves it")]
    Exists {
        /// The tag.
        tag: String,
        /// What it stands for now.
        revision: String,
    },
    /// There is no such revision.
    #[error(
        "no control plane of revision {revision:?} is installed (no webhook that injects for it); there {known}"
    )]
    NoRevision {
        /// What was asked for.
        revision: String,
        /// What there is.
        known: String,
    },
    /// Several webhooks inject for the revision.
    #[error(
        "more than one MutatingWebhookConfiguration is of revision {0:?}; which one the tag should follow is not clear"
    )]
    Ambiguous(String),
    /// There is no such tag.
    #[error("there is no tag {0:?}")]
    NoTag(String),
    /// The revision's webhook has no entry that injects.
    #[error(
        "the MutatingWebhookConfiguration {0:?} has no entry that injects (none ends in sidecar-injector.istio.io)"
    )]
    NoInjector(String),
}

impl Error {
    /// That there is no such revision, and which there are.
    pub(super) fn no_revision(revision: &str, webhooks: &[Value]) -> Self {
        let own = webhooks.iter().filter(|object| label(object, TAG).is_none());
        let mut known: Vec<&str> = own.filter_map(|object| label(object, REVISION)).collect();
        known.sort_unstable();
        let known =
            if known.is_empty() { "is none".to_owned() } else { format!("are: {}", known.join(", ")) };
        Self::NoRevision { revision: revision.to_owned(), known }
    }
}
