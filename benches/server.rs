//! The control plane as a process: its folder, its start, its memory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use http::HeaderMap;
use tempfile::TempDir;
use testkit::calls::Client;
use tokio::process::{Child, Command};

use crate::mesh::{Edit, Scale, file};

/// How long anything may take that takes milliseconds when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane with its folder.
pub(crate) struct Server {
    folder: TempDir,
    running: Option<Child>,
    pub(crate) grpc: SocketAddr,
    http: SocketAddr,
    client: Client,
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) now: u64,
    /// The most there has been.
    pub(crate) peak: u64,
}

impl Server {
    /// A folder with a mesh; nothing runs yet.
    pub(crate) fn new(scale: Scale) -> Result<Self> {
        let server = Self::empty()?;
        scale.write(&server.config())?;
        Ok(server)
    }

    /// A folder without a file.
    pub(crate) fn empty() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pilothouse-bench-").tempdir()?;
        fs::create_dir(folder.path().join("config"))?;
        let [grpc, http] = [free()?, free()?];
        Ok(Self { folder, running: None, grpc, http, client: Client::new(PATIENCE) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("config")
    }

    /// Starts it and waits until it is ready; the time that this took.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        self.start_with(&[], &[]).await
    }

    /// The same with more flags and variables; it runs in its folder.
    pub(crate) async fn start_with(
        &mut self,
        flags: &[String],
        environment: &[(&str, &str)],
    ) -> Result<Duration> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.arg("discovery").arg("--configDir").arg(self.config());
        command.arg("--meshConfig").arg(self.path("mesh.yaml"));
        command.args(["--grpcAddr", &self.grpc.to_string(), "--httpAddr", &self.http.to_string()]);
        command.args(["--monitoringAddr", "", "--httpsAddr", "", "--secureGRPCAddr", ""]);
        command.args(["--log_output_level", "default:warn"]).args(flags);
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(environment.iter().copied()).current_dir(self.folder.path());
        let log = fs::File::create(self.path("pilothouse.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let begin = Instant::now();
        self.running = Some(command.spawn().context("starting Pilothouse")?);
        while !self.is_ready().await {
            ensure!(begin.elapsed() < PATIENCE, "Pilothouse is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(begin.elapsed())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("pilothouse.log")).unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        let answer = self.client.get(self.http, "/ready", &HeaderMap::new()).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    /// Kills it without a chance to say goodbye.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self.running.take() {
            Some(mut child) => child.kill().await.context("killing Pilothouse"),
            None => Ok(()),
        }
    }

    /// Puts a whole file into the folder in one move, as an editor does; the moment just before.
    pub(crate) fn save(&self, name: &str, text: &str) -> Result<SystemTime> {
        let whole = self.path("next.yaml");
        fs::write(&whole, text).with_context(|| format!("writing {}", whole.display()))?;
        let now = SystemTime::now();
        fs::rename(&whole, self.config().join(name)).with_context(|| format!("saving {name}"))?;
        Ok(now)
    }

    /// Saves the file of one service.
    pub(crate) fn edit(&self, scale: Scale, at: usize, edit: Edit) -> Result<SystemTime> {
        self.save(&file(at), &scale.text(at, edit))
    }

    /// What it holds in memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let id = self.running.as_ref().and_then(Child::id).context("Pilothouse is not running")?;
        memory(&Path::new("/proc").join(id.to_string()))
    }
}

/// What a process holds in memory.
pub(crate) fn memory(process: &Path) -> Result<Memory> {
    let status = fs::read_to_string(process.join("status")).context("reading a process's status")?;
    let of = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    let (now, peak) = (of("VmRSS:"), of("VmHWM:"));
    Ok(Memory { now: now.context("no VmRSS")?, peak: peak.context("no VmHWM")? })
}

/// A port that nobody listens on now.
pub(crate) fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("finding a free port")?;
    Ok(listener.local_addr()?)
}
