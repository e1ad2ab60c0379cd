//! What can be in the way of a write, in words for the person who has only the log.

use model::revision::{REVISION, TAG};
use serde_json::Value;

use crate::store::label;

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to a cluster.
    #[error("cannot use the kubeconfig: {0}")]
    Unusable(String),
    /// The cluster did not do what it was asked to.
    #[error("{action}: {}", answer(source))]
    Cluster {
        /// What it was asked to do.
        action: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// The object was changed by others again and again while it was to be written.
    #[error("{action}: others go on changing it")]
    Contended {
        /// What the cluster was asked to do.
        action: String,
    },
    /// The cluster does not answer.
    #[error("{action}: no answer within {seconds} s")]
    Silent {
        /// What it was asked to do.
        action: String,
        /// How long was waited.
        seconds: u64,
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
    /// The status of the cluster's answer (403, 404, 409 …), if it is one that refuses.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Cluster { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it was refused since the object's namespace is being deleted.
    pub(crate) fn is_about_an_ending_namespace(&self) -> bool {
        let Self::Cluster { source, .. } = self else { return false };
        let kube::Error::Api(status) = &**source else { return false };
        let mut causes = status.details.iter().flat_map(|details| &details.causes);
        causes.any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Why, without what was asked for: what many objects have in common.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Cluster { source, .. } => match &**source {
                kube::Error::Api(status) => status.reason.clone(),
                other => other.to_string(),
            },
            Self::Contended { .. } => "Conflict".to_owned(),
            Self::Silent { .. } => "Timeout".to_owned(),
            other => other.to_string(),
        }
    }

    /// That there is no such revision, and which there are.
    pub(crate) fn no_revision(revision: &str, webhooks: &[Value]) -> Self {
        let own = webhooks.iter().filter(|object| label(object, TAG).is_none());
        let mut known: Vec<&str> = own.filter_map(|object| label(object, REVISION)).collect();
        known.sort_unstable();
        let known =
            if known.is_empty() { "is none".to_owned() } else { format!("are: {}", known.join(", ")) };
        Self::NoRevision { revision: revision.to_owned(), known }
    }
}

/// What the cluster answered, or why it did not, with all that led to it.
pub(crate) fn answer(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} {}", status.code, status.message);
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
