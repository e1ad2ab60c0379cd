//! Arrows between crates, who may import what of others, and licences, from `cargo metadata`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use super::Finding;
use super::crates::{self, IMPURE, LICENCES, Rule, SINGLE, TOOLS, WRAPPERS};
use crate::repo;

/// One arrow of a manifest.
struct Arrow<'a> {
    from: &'a str,
    to: &'a str,
    kind: DependencyKind,
}

/// Every broken rule of the workspace's graph.
pub(super) fn check() -> Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .current_dir(repo::root())
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .context("reading cargo metadata (is Cargo.lock up to date?)")?;
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let mut findings: Vec<Finding> =
        members.iter().flat_map(|package| package_findings(package, &ours)).collect();
    findings.extend(licence_findings(&metadata));
    findings.extend(duplicates(metadata.packages.iter().map(|package| package.name.as_str())));
    Ok(findings)
}

fn package_findings(package: &Package, ours: &BTreeSet<&str>) -> Vec<Finding> {
    let from = package.name.as_str();
    let path = format!("crates/{from}/Cargo.toml");
    let Some(rule) = crates::rule(from) else {
        return vec![finding(path, "not in the table of crates (docs/architecture.md, section 2)")];
    };
    let arrows = package.dependencies.iter().map(|to| Arrow { from, to: &to.name, kind: to.kind });
    arrows
        .filter_map(|arrow| if ours.contains(arrow.to) { inner(&arrow, rule) } else { outer(&arrow, rule) })
        .map(|broken| finding(path.clone(), &broken))
        .collect()
}

/// An arrow between two crates of ours.
fn inner(arrow: &Arrow<'_>, rule: &Rule) -> Option<String> {
    let (from, to) = (arrow.from, arrow.to);
    if TOOLS.contains(&from) {
        return None;
    }
    let is_tool = TOOLS.contains(&to);
    if is_tool && arrow.kind != DependencyKind::Development {
        return Some(format!("{from} imports {to}, which is for tests and chores only"));
    }
    (!is_tool && !rule.may_import.contains(&to)).then(|| format!("{from} may not import {to}"))
}

/// An arrow to a crate of others; dev-dependencies are free.
fn outer(arrow: &Arrow<'_>, rule: &Rule) -> Option<String> {
    let (from, to) = (arrow.from, arrow.to);
    if arrow.kind == DependencyKind::Development {
        return None;
    }
    if let Some(wrapper) =
        WRAPPERS.iter().find(|wrapper| wrapper.package == to && !wrapper.only.contains(&from))
    {
        return Some(format!("{from} may not import {to}: {}", wrapper.because));
    }
    (rule.is_pure && arrow.kind == DependencyKind::Normal && IMPURE.contains(&to))
        .then(|| format!("{from} is pure and may not import {to}"))
}

fn licence_findings(metadata: &Metadata) -> Vec<Finding> {
    let is_refused = |package: &&Package| !is_accepted(package.license.as_deref().unwrap_or(""));
    metadata
        .packages
        .iter()
        .filter(is_refused)
        .map(|package| finding("Cargo.lock".to_owned(), &refusal(package)))
        .collect()
}

/// Crates of the list that are in the tree in more than one version.
fn duplicates<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Finding> {
    let count = |single: &&&str| names.clone().filter(|name| *name == **single).count() > 1;
    let twice = SINGLE.iter().filter(count);
    twice.map(|name| finding("Cargo.lock".to_owned(), &format!("{name} is there in two versions"))).collect()
}

fn refusal(package: &Package) -> String {
    let licence = package.license.as_deref().unwrap_or("no licence");
    format!("{} {} has {licence}, which is not on the list", package.name, package.version)
}

/// Whether one alternative of each part of an SPDX expression is on our list; a slash is the old spelling of `OR`.
fn is_accepted(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

fn finding(path: String, rule: &str) -> Finding {
    Finding { path, line: 0, rule: rule.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Build, Development, Normal};

    fn broken(from: &str, to: &str, kind: DependencyKind) -> bool {
        let arrow = Arrow { from, to, kind };
        let rule = crates::rule(from).unwrap();
        if crates::rule(to).is_some() { inner(&arrow, rule) } else { outer(&arrow, rule) }.is_some()
    }

    #[test]
    fn arrows_follow_the_table() {
        assert!(!broken("translate", "mesh", Normal));
        assert!(broken("translate", "istio-api", Normal));
        assert!(broken("xds", "model", Normal));
        assert!(broken("mesh", "push", Development));
    }

    #[test]
    fn test_support_is_for_tests() {
        assert!(!broken("xds", "testkit", Development));
        assert!(!broken("xtask", "testkit", Normal));
        assert!(broken("pilothouse", "testkit", Normal));
    }

    #[test]
    fn pure_crates_have_no_runtime() {
        assert!(broken("model", "tokio", Normal));
        assert!(!broken("model", "tokio", Development));
        assert!(!broken("xds", "tokio", Normal));
    }

    #[test]
    fn wrapped_crates_have_their_users() {
        assert!(!broken("envoy-api", "envoy-types", Build));
        assert!(broken("push", "envoy-types", Build));
        assert!(broken("admin", "clap", Normal));
        assert!(broken("webhook", "kube", Normal));
    }

    #[test]
    fn runtime_is_there_once() {
        assert_eq!(duplicates(["tokio", "syn", "syn", "tonic"].into_iter()), []);
        assert_eq!(duplicates(["tokio", "syn", "tokio"].into_iter()).len(), 1);
    }

    #[test]
    fn licences_are_read_as_expressions() {
        assert!(is_accepted("MIT OR Apache-2.0"));
        assert!(is_accepted("MIT/Apache-2.0"));
        assert!(is_accepted("(GPL-3.0 OR MIT) AND ISC"));
        assert!(!is_accepted("MIT AND GPL-3.0"));
        assert!(!is_accepted(""));
    }
}
