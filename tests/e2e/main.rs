//! Real Envoys end to end: no update refused, traffic flows while configuration moves, certificates prove who calls.
//!
//! ```text
//!   loopback    Envoys on addresses of 127.0.0.0/8, interception NONE; needs no root
//!   captured    pods in network namespaces: iptables, mutual TLS, protocol sniffing
//!   recorded    a sample of the recorded sets, live: every listener becomes active
//! ```
//!
//! A word on the command line runs only the scenarios whose name has it. `echo`, `call` and `say` are what
//! pods run: the application, and somebody who calls one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its standard streams")]

mod captured;
mod certificates;
mod house;
mod loopback;
mod network;
mod pod;
mod recorded;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::house::Means;

/// One scenario: its name, and whether it was done; a reason if it was skipped.
type Done = Result<Option<&'static str>>;

const SCENARIOS: &[&str] = &["loopback-delta", "loopback-state-of-the-world", "captured", "recorded"];

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let part: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(played) = runtime.block_on(pod::play(&part)) {
        return played;
    }
    runtime.block_on(suite(&Means::find()?, &words))
}

/// Runs the scenarios that the words name, one after the other, and says how long each took.
async fn suite(means: &Means, words: &[String]) -> Result<()> {
    let is_wanted = |name: &&&str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut failed = Vec::new();
    for name in SCENARIOS.iter().filter(is_wanted) {
        let begin = Instant::now();
        let done = scenario(means, name).await;
        let time = begin.elapsed().as_secs_f64();
        match done {
            Ok(None) => println!("  {name}: done in {time:.1} s"),
            Ok(Some(reason)) if means.is_required => bail!("{name} was skipped: {reason}"),
            Ok(Some(reason)) => println!("  SKIPPED {name}: {reason}"),
            Err(error) => {
                println!("  {name}: FAILED after {time:.1} s: {error:#}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

async fn scenario(means: &Means, name: &str) -> Done {
    match name {
        "loopback-delta" => loopback::run(means, false).await,
        "loopback-state-of-the-world" => loopback::run(means, true).await,
        "captured" => captured::run(means).await,
        "recorded" => recorded::run(means).await,
        other => bail!("no scenario is named {other}"),
    }
}

/// Where the sources of the repository are, or the folder that this runs in if they are gone.
fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
