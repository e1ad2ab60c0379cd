//! What can go wrong.

use std::path::PathBuf;

/// Why there is no authority, or none that could be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the authority cannot be read.
    #[error("reading {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Of the files of an authority some are there and some are not.
    #[error("{folder} has no {missing}: an authority is given whole or not at all", folder = folder.display())]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        missing: String,
    },
    /// What was read is no authority.
    #[error("{place}: {source}")]
    Unusable {
        /// Where it is from.
        place: String,
        /// What is wrong with it.
        source: Broken,
    },
    /// The API server did not do what was asked.
    #[error("{what}: {source}")]
    Cluster {
        /// What was asked.
        what: String,
        /// Its answer, or that there was none.
        source: Box<kube::Error>,
    },
    /// Encryption could not be set up.
    #[error("setting up encryption: {0}")]
    Encryption(#[from] Broken),
}

/// What is wrong with a key, a certificate or a request; never what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    /// Something is wrong with this.
    pub(crate) fn new(what: &str, reason: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {reason}"))
    }

    /// This is wrong.
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
