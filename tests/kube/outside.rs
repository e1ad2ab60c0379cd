//! The side of the machine: each scenario is this program again, the first process of namespaces made for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::signal;

use crate::means::Means;

/// Where a scenario writes, by its environment.
pub(crate) const FOLDER: &str = "PILOTHOUSE_KUBE_FOLDER";

/// Runs scenarios one after the other, and says how long each took; the last one stays up if it is to be kept.
pub(crate) async fn run(means: &Means, wanted: &[&str], is_kept: bool) -> Result<()> {
    ensure!(!wanted.is_empty(), "no scenario is named so; --list names them");
    let mut failed = Vec::new();
    for (place, name) in wanted.iter().enumerate() {
        println!("  {name}");
        let begin = Instant::now();
        let is_kept = is_kept && place + 1 == wanted.len();
        let result = one(means, name, is_kept).await;
        let time = begin.elapsed().as_secs_f64();
        let complaint = match result {
            Ok(Ended::Told) => bail!("interrupted"),
            Ok(Ended::ByItself(status)) if status.success() => {
                println!("  {name}: done in {time:.1} s");
                continue;
            }
            Ok(Ended::ByItself(status)) => format!("its process ended with {status}"),
            Err(error) => format!("{error:#}"),
        };
        println!("  {name}: FAILED after {time:.1} s: {complaint}");
        failed.push(*name);
    }
    let passed = wanted.len() - failed.len();
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {} failed; 0 ignored", failed.len());
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

async fn one(means: &Means, name: &str, is_kept: bool) -> Result<Ended> {
    let folder = tempfile::Builder::new().prefix("pilothouse-kube-").tempdir()?;
    // Pods' users come in here for their programs and files.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let ended = inside(means, name, is_kept, folder.path()).await?;
    if matches!(ended, Ended::ByItself(status) if !status.success()) {
        println!("    what was written is kept in {}", TempDir::keep(folder).display());
    }
    Ok(ended)
}

/// How a scenario came to its end.
enum Ended {
    ByItself(ExitStatus),
    /// Somebody interrupted it, and wants nothing kept.
    Told,
}

/// Starts the first process of the namespaces and waits for its end. It is killed when this process is gone.
async fn inside(means: &Means, name: &str, is_kept: bool, folder: &Path) -> Result<Ended> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.args(["--kill-child=KILL", "--mount-proc"]);
    command.arg(std::env::current_exe().context("finding this program")?).args(["--inside", name]);
    command.args(is_kept.then_some("--keep")).env(FOLDER, folder).kill_on_drop(true);
    let mut child = command.spawn().context("starting the scenario in namespaces (util-linux)")?;
    write_entrance(child.id().context("a process")?, means, folder).await?;
    let status = tokio::select! {
        status = child.wait() => status.context("waiting for the scenario")?,
        // The terminal has told the scenario too, which ends by itself.
        _ = signal::ctrl_c() => {
            child.wait().await.context("waiting for the scenario")?;
            return Ok(Ended::Told);
        }
    };
    Ok(Ended::ByItself(status))
}

/// Writes a program that enters the namespaces with `kubectl` and the others at hand.
async fn write_entrance(unshare: u32, means: &Means, folder: &Path) -> Result<()> {
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let mut first = String::new();
    for _ in 0..500 {
        first = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
        if !first.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    if first.is_empty() {
        bail!("the namespaces have no first process");
    }
    let kubectl = means.kubectl.parent().unwrap_or(Path::new("/"));
    let text = format!(
        "#!/bin/sh
# Runs a command, or a shell, where the cluster is.
PATH={}:{}:$PATH KUBECONFIG={}/cluster/kubeconfig; export PATH KUBECONFIG
[ $# -gt 0 ] || set -- sh
exec nsenter --target {first} --net --mount --pid -- \"$@\"
",
        kubectl.display(),
        means.reference.display(),
        folder.display(),
    );
    let file = folder.join("enter");
    fs::write(&file, text).and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o755)))?;
    Ok(())
}
