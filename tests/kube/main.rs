//! A real cluster with real peers: the API server, kubelet's work, sidecars and clients as operators have them.
//!
//! ```text
//!   outside   one run of this program for each scenario, in namespaces of its own: network, mounts, processes
//!   inside    house (control plane, kubelet, services) -> mesh (charts, istiod or Pilothouse) -> the scenario
//!   in pods   this program again: the application, and somebody who calls one
//! ```
//!
//! The kernel ends a scenario: with its first process everything in its namespaces is gone, whatever happened.
//! Words on the command line choose scenarios by a part of their names; `--keep` leaves the last one up and says
//! how to get in, `--list` names them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its standard streams")]

mod app;
mod away;
mod house;
mod means;
mod mesh;
mod mutual;
mod outside;
mod plain;
mod story;
mod writers;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::means::{Means, Words};
use crate::mesh::Peer;

/// Every scenario, in the order of a run.
const SCENARIOS: &[&str] = &[
    "api-alone",
    "api-away",
    "writers",
    "mutual-tls-istiod",
    "revisions-istiod",
    "mutual-tls-pilothouse",
    "revisions-pilothouse",
    "revisions-there-and-back",
];

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// On one thread: the end of the thread that started the namespaces is their end.
fn start() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("starting the runtime")?;
    let part: Vec<&str> = words.iter().map(String::as_str).collect();
    match part.as_slice() {
        ["app"] => runtime.block_on(app::serve()),
        ["call", address, host, path] => runtime.block_on(app::call(address, host, path)),
        ["load", address, host, rate] => runtime.block_on(app::load(address, host, rate)),
        ["--inside", name, rest @ ..] => {
            let means = Means::find()?;
            // The suite itself may use all processors.
            let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
            runtime.block_on(house::until_told(scenario(&means, name, rest.contains(&"--keep"))))
        }
        _ => {
            let words = Words::read(&words)?;
            if words.is_list {
                SCENARIOS.iter().for_each(|name| println!("{name}"));
                return Ok(());
            }
            runtime.block_on(outside::run(&Means::find()?, &wanted(&words), words.is_kept))
        }
    }
}

/// The scenarios that the words name; without words all.
fn wanted(words: &Words) -> Vec<&'static str> {
    let is_wanted =
        |name: &&str| words.names.is_empty() || words.names.iter().any(|part| name.contains(part.as_str()));
    SCENARIOS.iter().copied().filter(is_wanted).collect()
}

/// One scenario, inside.
async fn scenario(means: &Means, name: &str, is_kept: bool) -> Result<()> {
    match name {
        "api-alone" => plain::run(means, is_kept).await,
        "api-away" => away::run(means, is_kept).await,
        "writers" => writers::run(means, is_kept).await,
        "mutual-tls-istiod" => mutual::run(means, Peer::Istiod, is_kept).await,
        "mutual-tls-pilothouse" => mutual::run(means, Peer::Pilothouse, is_kept).await,
        "revisions-istiod" => story::run(means, [Peer::Istiod; 2], is_kept).await,
        "revisions-pilothouse" => story::run(means, [Peer::Pilothouse; 2], is_kept).await,
        "revisions-there-and-back" => story::run(means, [Peer::Istiod, Peer::Pilothouse], is_kept).await,
        other => bail!("no scenario is named {other}"),
    }
}
