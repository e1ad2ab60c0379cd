//! A real Kubernetes cluster on one machine: the control plane's own programs, pods played in network namespaces.
//!
//! ```text
//!   plane      etcd, kube-apiserver, kube-controller-manager: on loopback, or as the node of a network
//!   network    one namespace for the node, one for each pod, routed
//!   services   what kube-proxy and DNS do: addresses of Services lead to endpoints, names to addresses
//!   kubelet    runs what the API server holds, as it holds it: volumes, environment, probes, status
//! ```
//!
//! A pod is never described twice: it is created in the API server, changed by whatever webhook is registered,
//! and run as it came back. An image is a name for programs of this machine ([`kubelet::Image`]).
//!
//! All but the control plane on loopback wants root and namespaces of its own; `tests/kube` begins by making
//! them, so that the kernel ends everything with the suite.

pub mod api;
pub mod kubelet;
pub mod network;
pub mod pki;
pub mod plane;
pub mod services;
mod table;

use std::io;
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

/// What can go wrong around a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A program, or the API server, refused something.
    #[error("{what}: {message}")]
    Refused {
        /// What was being done.
        what: String,
        /// What was answered.
        message: String,
    },
    /// The API server refused something by its status.
    #[error("{what}: {source}")]
    Api {
        /// What was asked.
        what: String,
        /// What was answered.
        source: Box<kube::Error>,
    },
    /// Something did not come about in time.
    #[error("in {limit:?} it did not come about that {what}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
}

/// The result of anything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn refused(what: impl Into<String>, message: impl ToString) -> Self {
        Self::Refused { what: what.into(), message: message.to_string() }
    }
}

/// Says what was being done when the machine refused.
fn io<T>(what: impl Into<String>, result: io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { what: what.into(), source })
}

/// Runs a command to its end; its complaint is the error.
pub async fn run(command: &mut Command) -> Result<Vec<u8>> {
    let line = spell(command);
    let Output { status, stdout, stderr } = io(&line, command.kill_on_drop(true).output().await)?;
    if status.success() {
        return Ok(stdout);
    }
    Err(Error::refused(line, format!("{status}: {}", String::from_utf8_lossy(&stderr).trim())))
}

/// Runs `ip` with words that have no spaces in them.
async fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).await.map(drop)
}

fn spell(command: &Command) -> String {
    let command = command.as_std();
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(8) {
        line.push(' ');
        line.extend(argument.to_string_lossy().chars().take(80));
    }
    line
}
