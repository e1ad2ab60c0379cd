//! The suites behind the Makefile's words: which cargo runs they are, in which order, and how long each took.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{MetadataCommand, Target, TargetKind};

use crate::output::say;
use crate::{demo, repo, tidy, tools};

/// Formatting, clippy, documentation, tidy: warnings are failures. All are run, whatever the first says.
pub(crate) fn lint() -> Result<()> {
    all(vec![
        stage("format", || repo::run(repo::cargo().args(["fmt", "--all", "--check"]))),
        stage("clippy", || {
            clippy(vec!["--all-targets".to_owned()])?;
            clippy(apart()?)
        }),
        stage("documentation", || {
            let mut doc = repo::cargo();
            doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
            // Private items are documented too, so links to them resolve.
            repo::run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
        }),
        stage("tidy", tidy::run),
    ])
}

fn clippy(targets: Vec<String>) -> Result<()> {
    let mut clippy = repo::cargo();
    clippy.args(["clippy", "--workspace", "--locked"]).args(targets).args(["--", "-D", "warnings"]);
    repo::run(&mut clippy)
}

/// The targets that `--all-targets` leaves out: those that `cargo test` does.
fn apart() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().current_dir(repo::root()).no_deps().exec();
    let packages = metadata.context("reading cargo metadata")?.packages;
    let targets = packages.iter().flat_map(|package| &package.targets).filter(|target| !target.test);
    let flag = |target: &Target| {
        let is = |kind| target.kind.contains(&kind);
        let flag = if is(TargetKind::Bench) { "--bench" } else { "--test" };
        (is(TargetKind::Bench) || is(TargetKind::Test)).then(|| [flag.to_owned(), target.name.clone()])
    };
    Ok(targets.filter_map(flag).flatten().collect())
}

/// The whole suite; a part whose means are missing is skipped with a line, or fails in a pipeline.
pub(crate) fn test() -> Result<()> {
    stage("tools", || tools::install().map(|_| ()))?;
    all(vec![
        stage("tests", || {
            let mut tests = repo::cargo();
            tests.env("PILOTHOUSE_ENVOY", tools::install()?.envoy);
            tests.env("PILOTHOUSE_KUBECTL", tools::kubectl()?);
            tests.envs(corpus_folder()?.map(|folder| ("PILOTHOUSE_CORPUS", folder)));
            repo::run(tests.args(["test", "--workspace", "--no-fail-fast", "--locked"]))
        }),
        stage("tidy", tidy::run),
        stage("corpus", || corpus(Vec::new())),
        stage("end to end", end_to_end),
        stage("cluster", || kube(Vec::new())),
        // The very program that the tests before had built.
        stage("demo", || demo::once(repo::target().join("debug/pilothouse"))),
    ])
}

/// One error out of those of several stages.
fn all(stages: Vec<Result<()>>) -> Result<()> {
    let errors: Vec<String> =
        stages.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

/// The recorded corpora, if their folder is there. The target is a program of its own (`harness = false`) and
/// takes our words (`testkit::suite::Arguments`); files that they name are relative to where we were started.
pub(crate) fn corpus(words: Vec<OsString>) -> Result<()> {
    let Some(folder) = corpus_folder()? else {
        return skip("the corpora", "none beside the repository, and PILOTHOUSE_CORPUS names none");
    };
    let here = env::current_dir().context("finding the current folder")?;
    let envoy = tools::install()?.envoy;
    let variables =
        [("PILOTHOUSE_CORPUS", folder), ("PILOTHOUSE_ENVOY", envoy), ("PILOTHOUSE_STARTED_IN", here)];
    Suite { name: "corpus", kind: TargetKind::Test, words }.run(&variables)
}

/// The folder of the corpora, absolute; in a pipeline it must be there.
fn corpus_folder() -> Result<Option<PathBuf>> {
    let configured = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let folder =
        testkit::corpus::find(configured, repo::root(), repo::in_ci()).context("finding the corpora")?;
    let absolute = |folder: PathBuf| folder.canonicalize().with_context(|| format!("{}", folder.display()));
    folder.map(absolute).transpose()
}

/// Real Envoys; the tests find theirs in `PILOTHOUSE_ENVOY`, and make network namespaces where
/// `PILOTHOUSE_NAMESPACES` says that they can.
pub(crate) fn end_to_end() -> Result<()> {
    let suite = Suite { name: "e2e", kind: TargetKind::Test, words: Vec::new() };
    let mut variables = vec![("PILOTHOUSE_ENVOY", tools::install()?.envoy)];
    variables.extend(corpus_folder()?.map(|folder| ("PILOTHOUSE_CORPUS", folder)));
    match tools::network()? {
        None => variables.push(("PILOTHOUSE_NAMESPACES", PathBuf::from("1"))),
        Some(reason) => skip("pods in network namespaces", reason)?,
    }
    suite.run(&variables)
}

/// Real programs of a cluster, in namespaces of their own; the target takes our words (`tests/kube/main.rs`).
pub(crate) fn kube(words: Vec<OsString>) -> Result<()> {
    if let Some(reason) = tools::network()? {
        return skip("the cluster suite", reason);
    }
    let mut variables = vec![("PILOTHOUSE_ENVOY", tools::install()?.envoy)];
    variables.extend(cluster_variables()?);
    Suite { name: "kube", kind: TargetKind::Test, words }.run(&variables)
}

/// Where whoever wants a cluster finds its programs; the first time they are built.
fn cluster_variables() -> Result<[(&'static str, PathBuf); 3]> {
    let tools::ClusterTools { kubectl, kubetest, reference } = tools::install_for_cluster()?;
    Ok([
        ("PILOTHOUSE_KUBECTL", kubectl),
        ("PILOTHOUSE_KUBETEST", kubetest),
        ("PILOTHOUSE_REFERENCE", reference),
    ])
}

/// Says that a part is skipped; in a pipeline that is a failure.
fn skip(part: &str, reason: &str) -> Result<()> {
    ensure!(!repo::in_ci(), "{part} were skipped: {reason}");
    say!("  SKIPPED {part}: {reason}")
}

/// The table of speeds and sizes; words choose its parts. One of them wants the programs of a cluster.
pub(crate) fn bench(words: Vec<OsString>) -> Result<()> {
    let mut variables = vec![("PILOTHOUSE_ENVOY", tools::install()?.envoy)];
    if words.iter().any(|word| word == "cluster") {
        variables.extend(cluster_variables()?);
    }
    Suite { name: "bench", kind: TargetKind::Bench, words }.run(&variables)
}

/// Every fuzz target for a minute, on the pinned toolchain.
pub(crate) fn fuzz() -> Result<()> {
    let program = tools::cargo_fuzz()?;
    let list = cargo_fuzz(&program).arg("list").output().context("listing the fuzz targets")?;
    ensure!(list.status.success(), "`cargo fuzz list`: {}", String::from_utf8_lossy(&list.stderr).trim());
    for name in String::from_utf8_lossy(&list.stdout).split_whitespace() {
        stage(name, || fuzz_target(&program, name))?;
    }
    Ok(())
}

/// One target; it begins with what it found before, what ever broke it, and the seeds of the plain test.
fn fuzz_target(program: &Path, name: &str) -> Result<()> {
    let found = repo::root().join("fuzz/corpus").join(name);
    fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    let more = [repo::root().join("fuzz/regressions").join(name), repo::root().join("tests/hostile/seeds")];
    let mut command = cargo_fuzz(program);
    command.args(["run", name]).arg(found).args(more.iter().filter(|folder| folder.is_dir()));
    repo::run(command.args(["--", "-max_total_time=60", "-timeout=20", "-max_len=16384"]))
}

/// `cargo fuzz` wants nightly features, which the stable compiler grants under this variable.
fn cargo_fuzz(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("fuzz").current_dir(repo::root()).env("RUSTC_BOOTSTRAP", "1");
    command
}

/// Targets of one name in whatever crates have them. They say `test = false`, so that plain `cargo test` leaves them.
struct Suite {
    name: &'static str,
    kind: TargetKind,
    /// Handed to the target's program.
    words: Vec<OsString>,
}

impl Suite {
    /// For the whole workspace, as `cargo test` runs: with one package's features all would be built once more.
    fn run(&self, variables: &[(&str, PathBuf)]) -> Result<()> {
        let (verb, flag) =
            if self.kind == TargetKind::Bench { ("bench", "--bench") } else { ("test", "--test") };
        let mut command = repo::cargo();
        command.args([verb, "--locked", "--workspace", flag, self.name, "--"]).args(&self.words);
        repo::run(command.envs(variables.iter().map(|(key, value)| (key, value))))
    }
}

/// Announces a stage, runs it and says how long it took.
fn stage(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say!("== {name}")?;
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    let told = say!("== {name} {verdict} in {:.1} s", start.elapsed().as_secs_f64());
    result.with_context(|| format!("stage {name}")).and(told)
}
