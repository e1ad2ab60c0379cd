//! Deliberate mutations: each takes one argument away from an index or a key, and some test must notice.
//!
//! They are made in a copy of the work tree below the target folder, with a target folder of its own.

mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::output::say;
use crate::repo;
use list::{MUTATIONS, Mutation, Tests};

/// Which mutations to make.
#[derive(Args)]
pub(crate) struct MutateArguments {
    /// Only those whose name contains one of these.
    only: Vec<String>,
}

/// Makes every mutation; an error if one goes unnoticed, or cannot be made any more.
pub(crate) fn run(arguments: &MutateArguments) -> Result<()> {
    let wanted = |one: &&Mutation| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| one.name.contains(only.as_str()))
    };
    let mutations: Vec<&Mutation> = MUTATIONS.iter().filter(wanted).collect();
    ensure!(!mutations.is_empty(), "no mutation is called that");
    let scratch = Scratch::new()?;
    for mutation in &mutations {
        mutation.applied(&scratch.tree)?;
    }
    scratch.baseline(&mutations)?;
    let mut rows = Vec::new();
    for mutation in mutations {
        say!("== {}", mutation.name)?;
        let start = Instant::now();
        let caught = scratch.with(mutation)?;
        say!("   noticed by {}", caught.first().map_or("NOBODY", String::as_str))?;
        rows.push((mutation.name, caught, start.elapsed().as_secs()));
    }
    print(&rows)?;
    let survivors: Vec<&str> = rows.iter().filter(|row| row.1.is_empty()).map(|row| row.0).collect();
    ensure!(survivors.is_empty(), "no test noticed: {}", survivors.join(", "));
    Ok(())
}

/// One line for each mutation: what it takes away, the first test that noticed, how long that took.
fn print(rows: &[(&str, Vec<String>, u64)]) -> Result<()> {
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    say!("\n{:width$}  {:>7}  noticed by", "mutation", "seconds")?;
    for (name, caught, seconds) in rows {
        let first = caught.first().map_or("NOBODY", String::as_str);
        let more = if caught.len() > 1 { format!(" and {} more", caught.len() - 1) } else { String::new() };
        say!("{name:width$}  {seconds:>7}  {first}{more}")?;
    }
    Ok(())
}

impl Mutation {
    /// The file's text with the mutation made; an error if its place is not there, or there more than once.
    fn applied(&self, tree: &Path) -> Result<String> {
        let path = tree.join(self.file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let count = text.matches(self.from).count();
        ensure!(
            count == 1,
            "{}: {} has its text {count} times, not once:\n{}",
            self.name,
            self.file,
            self.from
        );
        Ok(text.replacen(self.from, self.to, 1))
    }
}

/// A copy of the work tree to break things in.
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// The copy, brought up to date: what is equal is left alone, so that it is not built again.
    fn new() -> Result<Self> {
        let folder = repo::target().join("mutate");
        let scratch = Self { tree: folder.join("tree"), target: folder.join("target") };
        let files = tracked(repo::root())?;
        for file in &files {
            copy(&repo::root().join(file), &scratch.tree.join(file))?;
        }
        for file in below(&scratch.tree)?.iter().filter(|file| !files.contains(file)) {
            fs::remove_file(scratch.tree.join(file))
                .with_context(|| format!("removing {}", file.display()))?;
        }
        Ok(scratch)
    }

    /// Without a mutation the tests pass, or their failing says nothing.
    fn baseline(&self, mutations: &[&Mutation]) -> Result<()> {
        let mut done: Vec<&Tests> = Vec::new();
        say!("== without a mutation")?;
        for mutation in mutations {
            if done.contains(&&mutation.tests) {
                continue;
            }
            done.push(&mutation.tests);
            let failed = self.failed(&mutation.tests)?;
            ensure!(failed.is_empty(), "these fail without a mutation: {}", failed.join(", "));
        }
        Ok(())
    }

    /// The tests that fail with this mutation; the copy is as it was afterwards.
    fn with(&self, mutation: &Mutation) -> Result<Vec<String>> {
        let path = self.tree.join(mutation.file);
        let before = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let write =
            |text: &str| fs::write(&path, text).with_context(|| format!("writing {}", path.display()));
        write(&mutation.applied(&self.tree)?)?;
        let failed = self.failed(&mutation.tests);
        write(&before)?;
        failed.with_context(|| format!("mutation {}", mutation.name))
    }

    /// Builds some tests, which must work, and runs them; answers which of them fail.
    fn failed(&self, tests: &Tests) -> Result<Vec<String>> {
        let mut build = self.cargo(tests);
        repo::run(build.arg("--no-run"))?;
        let mut run = self.cargo(tests);
        let output = run.arg("--").args(tests.filter).output().context("starting the tests")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let failed: Vec<String> = failed.map(|name| format!("{}: {name}", tests.package)).collect();
        if !output.status.success() && failed.is_empty() {
            bail!(
                "the tests ended with {}:\n{text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        ensure!(ran_some(&text), "no test is called {:?} in {}", tests.filter, tests.package);
        Ok(failed)
    }

    fn cargo(&self, tests: &Tests) -> Command {
        let mut command = repo::cargo();
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        // Stack traces of tests that fail on purpose are of no interest, and take time.
        command.env("RUST_BACKTRACE", "0").env("CARGO_INCREMENTAL", "0");
        command.args(["test", "--locked", "--package", tests.package]).args(tests.target);
        command
    }
}

fn ran_some(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("running ") && line != "running 0 tests")
}

/// The files that git knows or would add, relative to the root.
fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    let git = git.arg("-C").arg(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let output = git.output().context("starting git")?;
    ensure!(output.status.success(), "`git ls-files`: {}", String::from_utf8_lossy(&output.stderr).trim());
    let names = String::from_utf8(output.stdout).context("names of files")?;
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))?;
    let mode = fs::metadata(from).with_context(|| format!("reading {}", from.display()))?.permissions();
    fs::set_permissions(to, mode).with_context(|| format!("making {} what it is", to.display()))
}

/// All files below a folder, relative to it.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(file) = path.strip_prefix(folder) {
                files.push(file.to_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_still_applies() {
        assert!(MUTATIONS.len() <= 10);
        for mutation in MUTATIONS {
            let mutated = mutation.applied(repo::root()).unwrap();
            assert_ne!(mutated, fs::read_to_string(repo::root().join(mutation.file)).unwrap());
        }
    }
}
