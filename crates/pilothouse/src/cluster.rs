//! A cluster as the source of configuration: whether there is one, and what its watches say of themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admin::{Number, Part, Report, names};
use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use model::Change;
use model::parse::Context;
use model::revision::Revision;
use pilothouse::settings::Process;
use push::{Command, Handle};
use sources::kube::{Cluster, Health, Options, Status};
use tokio::sync::mpsc;

use crate::telling::Reports;

/// How long a kind of object may say nothing before the rest is served without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The folder in memory that istiod's chart mounts, where the state is kept if nothing else is said.
const STATE: &str = "./var/run/secrets/istio-dns";

/// How a cluster is reached and what is kept of it; flags have istiod's names but for `--stateDir`.
#[derive(Args)]
pub(crate) struct ClusterArguments {
    /// How to reach the cluster from outside of it; else KUBECONFIG, if there is such a file, else as its pod.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The namespace of the control plane.
    #[arg(short = 'n', long, env = "POD_NAMESPACE", default_value = "istio-system")]
    pub(crate) namespace: String,
    /// The folder in which the last good state of the cluster, the server's certificate and its key are kept, to
    /// serve from them when the API server is away at the start; where it is not given, istiod's ./var/run/secrets/istio-dns, if there is one.
    #[arg(long = "stateDir")]
    state: Option<PathBuf>,
}

impl ClusterArguments {
    /// The cluster, if there is one.
    pub(crate) async fn connect(&self) -> Result<Option<Cluster>> {
        let file = self.kubeconfig.clone().or_else(|| {
            let named = std::env::var_os("KUBECONFIG").map(PathBuf::from);
            named.filter(|path| path.is_file())
        });
        if file.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Ok(None);
        }
        Ok(Some(Cluster::connect(file.as_deref()).await?))
    }

    /// The flags that only a cluster gives a meaning.
    pub(crate) fn set(&self) -> impl Iterator<Item = &'static str> {
        let flags = [("--kubeconfig", self.kubeconfig.is_some()), ("--stateDir", self.state.is_some())];
        flags.into_iter().filter_map(|(flag, is_set)| is_set.then_some(flag))
    }

    /// The folder of the last good state, and of what this server shows, if there is one.
    pub(crate) fn state(&self) -> Option<PathBuf> {
        let usual = || Some(PathBuf::from(STATE)).filter(|folder| folder.is_dir());
        self.state.clone().or_else(usual)
    }

    /// What is watched.
    pub(crate) fn options(&self, mesh_file: &Path, context: Context, process: &Process) -> Options {
        Options {
            context,
            revision: Revision::new(&process.revision),
            namespace: self.namespace.clone(),
            mesh_file: mesh_file.to_owned(),
            shared_mesh: process.shared_mesh.to_string(),
            state: self.state(),
            patience: PATIENCE,
        }
    }
}

/// Hands what a cluster says to the engine; answers why it ends.
pub(crate) async fn feed(mut changes: mpsc::Receiver<Vec<Change>>, engine: Handle) -> anyhow::Error {
    let mut reports = Reports::default();
    while let Some(batch) = changes.recv().await {
        batch.iter().for_each(|change| reports.note(change));
        if let Err(error) =
            engine.commands.send(Command::Changes(batch)).await.context("the engine has ended")
        {
            return error;
        }
    }
    anyhow!("the cluster is not watched any more")
}

/// What the watches say of themselves.
pub(crate) fn part(status: Status) -> Part {
    Arc::new(move || {
        let age = status.age();
        let mut details = Vec::new();
        if status.restored().is_some() {
            let age = age.as_secs();
            details
                .push(format!("serving what was read from the cluster {age} seconds ago and kept on disk"));
        }
        let mut numbers =
            vec![Number { metric: names::STATE_AGE, labels: Vec::new(), value: age.as_secs_f64() }];
        // What fails alike is told together.
        let mut troubles = BTreeMap::<String, Vec<&str>>::new();
        for (name, watch) in status.watches() {
            let kind = || ("kind", name.to_owned());
            let live = f64::from(u8::from(watch.health.is_true()));
            numbers.push(Number { metric: names::WATCHES, labels: vec![kind()], value: live });
            for (reason, count) in watch.failures {
                let labels = vec![kind(), ("reason", reason.to_owned())];
                numbers.push(Number { metric: names::WATCH_ERRORS, labels, value: count as f64 });
            }
            if watch.health != Health::Live {
                troubles.entry(watch.health.to_string()).or_default().push(name);
            }
        }
        details
            .extend(troubles.into_iter().map(|(trouble, names)| format!("{}: {trouble}", names.join(", "))));
        // Whether there is any state to serve is known without us.
        Report { is_ready: true, details, numbers, ..Report::default() }
    })
}
