//! The table of speeds and sizes (`make bench`): every line measured on this machine beside its limit.
//!
//! ```text
//!   envoy    a real Envoy, files            cold     a fresh process, 1,000 services
//!   scale    1,000 simulated sidecars       inside   the engine in this process; `engine`: its times alone
//!   micro    one cluster, one endpoint      edits    10,000 edits
//!   inject   one pod through the webhook
//!   cluster  a real API server, a real istiod beside; only where a word asks for it, since those must be built
//! ```
//!
//! A word on the command line runs only the parts whose name has it. `fleet` and `edits-alone` are what further
//! processes of the bench run. Raw repeats are printed as they come, the table last; a figure past its limit makes
//! the exit status a failure.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its standard streams")]

mod cluster;
mod envoy;
mod fleet;
mod inject;
mod inside;
mod mesh;
mod micro;
mod relay;
mod scale;
mod server;
mod sidecar;
mod table;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::table::Line;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTS: &[&str] = &["envoy", "inside", "engine", "scale", "cold", "micro", "edits", "inject"];
/// What a word must ask for.
const ASKED: &[&str] = &["cluster"];

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let done = match words.split_first() {
        Some((first, rest)) if first == "fleet" => runtime(2).and_then(|two| two.block_on(fleet::play(rest))),
        Some((first, _)) if first == "edits-alone" => inside::play_edits(),
        _ => runtime(2).and_then(|two| two.block_on(bench(&words))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().context("starting the runtime")
}

async fn bench(words: &[String]) -> Result<()> {
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    let is_asked = |part: &str| words.iter().any(|word| part.contains(word));
    let usual = PARTS.iter().filter(|part| words.is_empty() || is_asked(part));
    for part in usual.chain(ASKED.iter().filter(|part| is_asked(part))) {
        println!("{part}:");
        if let Err(error) = measure(part, &mut lines).await {
            println!("  FAILED: {error:#}");
            broken.push(*part);
        }
    }
    println!("\n{}", table::show(&lines));
    let past = lines.iter().filter(|line| !line.is_kept()).count();
    if !broken.is_empty() {
        bail!("not measured: {}", broken.join(", "));
    }
    if past > 0 {
        bail!("past their limit: {past} of {} lines", lines.len());
    }
    Ok(())
}

async fn measure(part: &str, lines: &mut Vec<Line>) -> Result<()> {
    match part {
        "envoy" => envoy::line(lines).await,
        "inside" => {
            inside::endpoint(scale::ratio().await?, lines)?;
            inside::route_table(lines)
        }
        "engine" => inside::engine(),
        "scale" => scale::thousand(lines).await,
        "cold" => scale::cold_files(lines).await,
        "micro" => micro::lines(lines),
        "edits" => inside::edits(lines),
        "inject" => inject::line(lines).await,
        "cluster" => cluster::lines(lines).await,
        other => bail!("no part is named {other}"),
    }
}
