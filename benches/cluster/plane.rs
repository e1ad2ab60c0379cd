//! A control plane as a process beside an API server, with ports of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use http::HeaderMap;
use testkit::calls::Client;
use testkit::cluster::plane::Plane;
use tokio::process::{Child, Command};

use super::Means;
use crate::server::{Memory, free, memory};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Istiod,
    Pilothouse,
    /// The next revision of it.
    Next,
}

impl Kind {
    /// Each has its own, so that neither reads what the other's chart wrote.
    pub(super) fn revision(self) -> &'static str {
        match self {
            Self::Istiod => "theirs",
            Self::Pilothouse => "ours",
            Self::Next => "next",
        }
    }

    fn program(self, means: &Means) -> PathBuf {
        match self {
            Self::Istiod => means.reference.join("pilot-discovery"),
            Self::Pilothouse | Self::Next => env!("CARGO_BIN_EXE_pilothouse").into(),
        }
    }
}

/// A running control plane; it ends with this value.
pub(super) struct Process {
    child: Child,
    pub(super) grpc: SocketAddr,
    pub(super) https: SocketAddr,
}

impl Process {
    /// Starts it in a folder of its own and waits until it is ready; the time that this took.
    pub(super) async fn start(
        kind: Kind,
        means: &Means,
        plane: &Plane,
        folder: &Path,
    ) -> Result<(Self, Duration)> {
        let [grpc, http, https] = [free()?, free()?, free()?];
        let mut command = Command::new(kind.program(means));
        command.arg("discovery").arg("--kubeconfig").arg(plane.kubeconfig());
        command.args(["--grpcAddr", &grpc.to_string(), "--httpAddr", &http.to_string()]);
        command.args(["--httpsAddr", &https.to_string()]);
        for port in ["--secureGRPCAddr", "--monitoringAddr"] {
            command.args([port, &free()?.to_string()]);
        }
        command.args(["--ctrlz_port", &free()?.port().to_string()]);
        command.current_dir(folder).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("POD_NAMESPACE", super::world::SYSTEM)
            .env("POD_NAME", format!("{kind:?}-0").to_lowercase());
        command.env("REVISION", kind.revision()).env("CLUSTER_ID", "Kubernetes");
        command.env("PILOT_CERT_PROVIDER", "istiod").env("HOME", folder);
        // The name under which the API server calls the webhook here.
        command.env("ISTIOD_CUSTOM_HOST", "localhost");
        let log = folder.join("log");
        let out = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).kill_on_drop(true);
        let client = Client::new(PATIENCE);
        let begin = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {kind:?}"))?;
        loop {
            let answer = client.get(http, "/ready", &HeaderMap::new()).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                return Ok((Self { child, grpc, https }, begin.elapsed()));
            }
            let log = || fs::read_to_string(&log).unwrap_or_default();
            ensure!(child.try_wait()?.is_none(), "{kind:?} has ended:\n{}", log());
            ensure!(begin.elapsed() < PATIENCE, "{kind:?} is not ready:\n{}", log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What it holds in memory.
    pub(super) fn memory(&self) -> Result<Memory> {
        let id = self.child.id().context("it is not running")?;
        memory(&Path::new("/proc").join(id.to_string()))
    }

    pub(super) async fn end(mut self) -> Result<()> {
        self.child.kill().await.context("ending a control plane")
    }
}
