//! What the suite was given: programs from its environment, words from its command line.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// The programs, as `cargo xtask kube` names them.
pub(crate) struct Means {
    pub(crate) envoy: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// The folder of `kubetest` and `kubestream`.
    pub(crate) kubetest: PathBuf,
    /// The folder of Istio's and Helm's programs and of Istio's files.
    pub(crate) reference: PathBuf,
}

impl Means {
    pub(crate) fn find() -> Result<Self> {
        let path = |name: &str| {
            let path = env::var_os(name).map(PathBuf::from);
            path.with_context(|| format!("{name} is not set: start this with `cargo xtask kube`"))
        };
        Ok(Self {
            envoy: path("PILOTHOUSE_ENVOY")?,
            kubectl: path("PILOTHOUSE_KUBECTL")?,
            kubetest: path("PILOTHOUSE_KUBETEST")?,
            reference: path("PILOTHOUSE_REFERENCE")?,
        })
    }
}

/// What a person asked for.
#[derive(Default)]
pub(crate) struct Words {
    /// Parts of the names of scenarios; none means all.
    pub(crate) names: Vec<String>,
    /// Leaves the last scenario up until it is interrupted.
    pub(crate) is_kept: bool,
    pub(crate) is_list: bool,
}

impl Words {
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let mut read = Self::default();
        for word in words {
            match word.as_str() {
                "--keep" => read.is_kept = true,
                "--list" => read.is_list = true,
                other if other.starts_with('-') => bail!("{other} is not known; there are --keep and --list"),
                name => read.names.push(name.to_owned()),
            }
        }
        Ok(read)
    }
}
