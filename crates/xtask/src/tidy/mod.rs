//! The rules of docs/architecture.md that no compiler checks: arrows, bans, sizes and how a file begins.

mod code;
mod crates;
mod files;
mod graph;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context as _, Result, bail};

use crate::output::say;
use crate::repo;

/// A broken rule and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// One-based; 0 when the finding is about the whole file or crate.
    line: usize,
    rule: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.rule),
            line => write!(formatter, "{}:{line}: {}", self.path, self.rule),
        }
    }
}

/// Most lines that a crate may have in `src/` beside its own tests, which its next owner need not keep in
/// mind.
const CRATE_LINES: usize = 10_000;

/// Checks the whole repository, prints what is broken and fails if anything is.
pub(crate) fn run() -> Result<()> {
    let root = repo::root();
    let mut findings = graph::check()?;
    let mut lines = BTreeMap::<String, usize>::new();
    let files = text_files(root)?;
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        if let Some(name) = files::crate_of_source(&path).filter(|_| counts(&path)) {
            *lines.entry(name.to_owned()).or_default() += text.lines().count();
        }
        findings.extend(files::check(&path, &text));
    }
    findings.extend(lines.iter().filter_map(|(name, count)| too_large(name, *count)));
    report(findings, files.len())
}

/// Whether the file is source that counts for its crate's size.
fn counts(path: &str) -> bool {
    const TESTS: [&str; 4] = ["tests.rs", "testing.rs", "properties.rs", "builders.rs"];
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".rs") && !name.ends_with("_tests.rs") && !TESTS.contains(&name)
}

fn too_large(name: &str, count: usize) -> Option<Finding> {
    // Its families are many and share one vocabulary.
    let allowed = if name == "translate" { 12_000 } else { CRATE_LINES };
    (count > allowed).then(|| Finding {
        path: format!("crates/{name}"),
        line: 0,
        rule: format!("{count} lines, {allowed} allowed: split the crate along meaning"),
    })
}

fn report(mut findings: Vec<Finding>, files: usize) -> Result<()> {
    findings.sort();
    for finding in &findings {
        say!("{finding}")?;
    }
    match findings.len() {
        0 => say!("tidy: {files} files, nothing to complain about"),
        count => bail!("tidy: {count} broken rules (docs/architecture.md, sections 2, 10 and 12)"),
    }
}

/// Where our files are.
const FOLDERS: &[&str] = &["benches", "crates", "docs", "examples", "fuzz", "manifests", "proto", "tests"];

/// Kinds of file that a person writes and reads.
const EXTENSIONS: &[&str] = &["md", "proto", "rs", "sh", "toml", "yaml", "yml"];

/// Every text file of ours, in a stable order.
fn text_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.join("Makefile"), root.join("README.md"), root.join("Cargo.toml")];
    found.retain(|path| path.is_file());
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if is_text(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_crate_is_reported() {
        assert_eq!(too_large("mesh", CRATE_LINES), None);
        assert!(too_large("mesh", CRATE_LINES + 1).is_some());
    }
}
