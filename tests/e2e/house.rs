//! What every scenario stands on: the programs, a folder of its own, processes, and waiting with an end.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use testkit::calls::Client;
use testkit::processes::Processes;
use testkit::proxy::{self, Admin};
use tokio::process::Command;

/// How long anything may take that takes milliseconds when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The name of the control plane among the processes.
pub(crate) const PILOTHOUSE: &str = "pilothouse";

/// What the suite was given to work with.
pub(crate) struct Means {
    /// The Envoy that plays every proxy.
    pub(crate) envoy: PathBuf,
    /// Whether network namespaces can be made.
    pub(crate) has_namespaces: bool,
    /// The folder of the recorded sets' corpora.
    pub(crate) corpora: Option<PathBuf>,
    /// Whether a part that cannot run is a failure.
    pub(crate) is_required: bool,
}

impl Means {
    /// From the environment, as `cargo xtask e2e` sets it.
    pub(crate) fn find() -> Result<Self> {
        let envoy = env::var_os("PILOTHOUSE_ENVOY").map(PathBuf::from);
        let envoy = envoy.context("PILOTHOUSE_ENVOY names no Envoy: start this with `cargo xtask e2e`")?;
        let is_required = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let has_namespaces = env::var_os("PILOTHOUSE_NAMESPACES").is_some();
        let configured = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
        let corpora = testkit::corpus::find(configured, &crate::repository(), is_required)?;
        Ok(Self { envoy, has_namespaces, corpora, is_required })
    }
}

/// One control plane with its folder and its Envoys. Where they run is up to the scenario.
pub(crate) struct House {
    /// Everything that is written: `config/`, `mesh.yaml`, bootstraps and `logs/`.
    folder: TempDir,
    pub(crate) processes: Processes,
    pub(crate) client: Client,
    envoy: PathBuf,
}

impl House {
    pub(crate) fn new(means: &Means) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pilothouse-e2e-").tempdir()?;
        fs::create_dir(folder.path().join("config"))?;
        let processes = Processes::new(&folder.path().join("logs"))?;
        let client = Client::new(Duration::from_secs(10));
        Ok(Self { folder, processes, client, envoy: means.envoy.clone() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a whole file into the configuration, in one move as an editor does.
    pub(crate) fn save(&self, file: &str, text: &str) -> Result<()> {
        let whole = self.path("next.yaml");
        fs::write(&whole, text).with_context(|| format!("writing {}", whole.display()))?;
        let target = self.path("config").join(file);
        fs::rename(&whole, &target).with_context(|| format!("saving {}", target.display()))
    }

    /// The control plane's command on this folder, listening where it is told.
    pub(crate) fn pilothouse(&self, grpc: SocketAddr) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.arg("discovery").arg("--configDir").arg(self.path("config"));
        command.arg("--meshConfig").arg(self.path("mesh.yaml"));
        command.args(["--grpcAddr", &grpc.to_string(), "--httpAddr", "", "--monitoringAddr", ""]);
        command.args(["--httpsAddr", "", "--secureGRPCAddr", ""]);
        command
    }

    /// Puts the Envoy where any user may run it.
    pub(crate) fn bring_envoy(&mut self) -> Result<()> {
        let here = self.path("envoy");
        let linked = fs::hard_link(&self.envoy, &here).or_else(|_| fs::copy(&self.envoy, &here).map(drop));
        linked.with_context(|| format!("copying {}", self.envoy.display()))?;
        self.envoy = here;
        Ok(())
    }

    /// The command of an Envoy with this bootstrap, which is written first.
    pub(crate) fn envoy(&self, name: &str, bootstrap: &[u8]) -> Result<Command> {
        let file = self.path(&format!("{name}.json"));
        fs::write(&file, bootstrap).with_context(|| format!("writing {}", file.display()))?;
        Ok(proxy::command(&self.envoy, &file))
    }

    /// What a process has written so far.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.processes.log(name)).unwrap_or_default()
    }

    /// An error that names a process which ended by itself, with the end of its log.
    pub(crate) fn complain_if_ended(&mut self) -> Result<()> {
        let Some((name, status)) = self.processes.ended() else { return Ok(()) };
        bail!("{name} ended by itself ({status}):\n{}", last_lines(&self.log(&name)))
    }

    /// Ends all; what was written is kept where something went wrong.
    pub(crate) async fn end(self, result: Result<()>) -> Result<()> {
        self.processes.end().await;
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("logs are kept in {}", self.folder.keep().display()))),
        }
    }
}

/// What `pilothouse bootstrap` prints with these words.
pub(crate) fn bootstrap(words: &[String]) -> Result<Vec<u8>> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    let output = command.arg("bootstrap").args(words).output().context("starting `pilothouse bootstrap`")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`pilothouse bootstrap` ended with {}: {complaint}", output.status);
    Ok(output.stdout)
}

/// Waits until something is so; what it is stands in the error.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    let begin = Instant::now();
    while !is_so().await.with_context(|| format!("waiting until {what}"))? {
        ensure!(begin.elapsed() < PATIENCE, "in {PATIENCE:?} it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(begin.elapsed())
}

/// Updates that these Envoys refused, as they count them; there must be none.
pub(crate) async fn nothing_rejected<'a>(admins: impl Iterator<Item = (&'a str, &'a Admin)>) -> Result<()> {
    for (name, admin) in admins {
        let rejected = admin.rejected().await.context("reading Envoy's statistics")?;
        ensure!(rejected == 0, "the Envoy of {name} rejected {rejected} updates");
    }
    Ok(())
}

/// Every file of a folder as text, by its path below it.
pub(crate) fn read_tree(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(files)
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
}
