//! The suites behind the Makefile's words: which cargo runs they are, in which order, and how long each took.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{MetadataCommand, TargetKind};
use clap::Args;

use crate::{repo, tidy, tools};

/// What to run of the corpora.
#[derive(Args, Default)]
pub(crate) struct CorpusArguments {
    /// One family instead of all.
    #[arg(long)]
    family: Option<String>,
    /// Where to write the report of failures.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Formatting, clippy, documentation, tidy: warnings are failures.
pub(crate) fn lint() -> Result<()> {
    stage("format", || repo::run(repo::cargo().args(["fmt", "--all", "--check"])))?;
    stage("clippy", || {
        let mut clippy = repo::cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        repo::run(&mut clippy)
    })?;
    stage("documentation", || {
        let mut doc = repo::cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        repo::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stage("tidy", tidy::run)
}

/// The whole suite; parts whose means are missing are skipped with a line, or fail in a pipeline.
pub(crate) fn test() -> Result<()> {
    stage("tools", || tools::install().map(|_| ()))?;
    stage("tests", || {
        let mut tests = repo::cargo();
        repo::run(tests.args(["test", "--workspace", "--locked"]))
    })?;
    stage("tidy", tidy::run)?;
    stage("corpus", || corpus(&CorpusArguments::default()))?;
    stage("end to end", end_to_end)
}

/// The recorded corpora, if their folder is known.
pub(crate) fn corpus(arguments: &CorpusArguments) -> Result<()> {
    let Some(folder) = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from) else {
        return skip("corpus", "PILOTHOUSE_CORPUS names no folder");
    };
    let folder = folder.canonicalize().with_context(|| format!("finding {}", folder.display()))?;
    let mut variables = vec![("PILOTHOUSE_CORPUS", folder)];
    if let Some(family) = &arguments.family {
        variables.push(("PILOTHOUSE_CORPUS_FAMILY", PathBuf::from(family)));
    }
    if let Some(report) = &arguments.report {
        let report = env::current_dir().context("finding the current folder")?.join(report);
        variables.push(("PILOTHOUSE_CORPUS_REPORT", report));
    }
    targets("corpus", &TargetKind::Test, &variables)
}

/// Real Envoys; the tests find theirs in `PILOTHOUSE_ENVOY`.
pub(crate) fn end_to_end() -> Result<()> {
    let envoy = tools::install()?.envoy;
    targets("e2e", &TargetKind::Test, &[("PILOTHOUSE_ENVOY", envoy)])
}

/// The table of speeds and sizes.
pub(crate) fn bench() -> Result<()> {
    let envoy = tools::install()?.envoy;
    targets("bench", &TargetKind::Bench, &[("PILOTHOUSE_ENVOY", envoy)])
}

/// Every fuzz target for a minute, on the pinned toolchain.
pub(crate) fn fuzz() -> Result<()> {
    let folder = repo::root().join("fuzz");
    let list = cargo_fuzz().args(["fuzz", "list"]).output().context("starting cargo fuzz")?;
    if !list.status.success() {
        bail!("`cargo fuzz list` failed in {}: is cargo-fuzz installed?", folder.display());
    }
    for name in String::from_utf8_lossy(&list.stdout).split_whitespace() {
        stage(name, || repo::run(cargo_fuzz().args(["fuzz", "run", name, "--", "-max_total_time=60"])))?;
    }
    Ok(())
}

/// `cargo fuzz` wants nightly features, which the stable compiler grants under this variable.
fn cargo_fuzz() -> Command {
    let mut command = repo::cargo();
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Runs every target of a kind that has the name; such targets say `test = false`, so plain `cargo test` leaves them.
fn targets(name: &str, kind: &TargetKind, variables: &[(&str, PathBuf)]) -> Result<()> {
    let packages = packages_with(name, kind)?;
    if packages.is_empty() {
        println!("  no crate has a target named {name} yet");
        return Ok(());
    }
    for package in packages {
        let is_bench = *kind == TargetKind::Bench;
        let words = if is_bench { ["bench", "--bench"] } else { ["test", "--test"] };
        let mut command = repo::cargo();
        command.args([words[0], "--locked", "--package", &package, words[1], name]);
        repo::run(command.envs(variables.iter().map(|(key, value)| (key, value))))?;
    }
    Ok(())
}

fn packages_with(name: &str, kind: &TargetKind) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().current_dir(repo::root()).no_deps().exec();
    let packages = metadata.context("reading cargo metadata")?.packages;
    let has_it = |package: &&cargo_metadata::Package| {
        package.targets.iter().any(|target| target.name == name && target.kind.contains(kind))
    };
    Ok(packages.iter().filter(has_it).map(|package| package.name.to_string()).collect())
}

fn skip(part: &str, because: &str) -> Result<()> {
    if repo::in_ci() {
        bail!("{part} was skipped: {because}; in a pipeline that is a failure");
    }
    println!("  SKIPPED {part}: {because}");
    Ok(())
}

/// Announces a stage, runs it and says how long it took.
fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    println!("== {name} {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    result.with_context(|| format!("stage {name}"))
}
