//! The scopes of log lines and their levels, which may change while the process runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use admin::Scope;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::reload::{Handle, Layer};

use super::Levels;

/// A scope: istiod's names for it, the first of which is shown, what it is about, which crates write it, and its
/// level where nothing is said.
struct Row {
    names: &'static [&'static str],
    about: &'static str,
    crates: &'static [&'static str],
    level: Option<&'static str>,
}

const fn row(names: &'static [&'static str], about: &'static str, crates: &'static [&'static str]) -> Row {
    Row { names, about, crates, level: None }
}

const ROWS: [Row; 11] = [
    row(&["ads", "delta"], "Discovery streams", &["xds"]),
    row(
        &["controllers", "status", "gateway", "untaint", "tag-watcher"],
        "What is written to the cluster",
        &["controllers"],
    ),
    row(&["default"], "Everything else", &[]),
    Row { level: Some("error"), ..row(&["file"], "The library that watches folders", &["notify"]) },
    Row {
        level: Some("none"),
        ..row(&["grpc"], "The library that speaks gRPC", &["h2", "hyper", "hyper_util", "tonic", "tower"])
    },
    // The watches tell of each failure themselves, once and in words.
    Row {
        level: Some("none"),
        ..row(&["krt"], "The library that watches clusters", &["kube_client", "kube_runtime"])
    },
    row(&["kube", "serviceentry"], "What is read of the cluster and of files", &["sources"]),
    row(&["monitoring"], "Pages and metrics", &["admin"]),
    row(&["push", "model", "processing"], "The state of the mesh and its way to proxies", &["push"]),
    row(
        &[
            "security",
            "authn",
            "ca",
            "serverca",
            "pkica",
            "pkira",
            "rootcertrotator",
            "spiffe",
            "trustBundle",
        ],
        "Certificates and who is calling",
        &["identity", "rustls"],
    ),
    row(&["validation", "validationServer", "validationController"], "Admission and injection", &["webhook"]),
];

/// Names of istiod's scopes that have no counterpart here; they are taken and do nothing.
const OTHERS: [&str; 12] = [
    "adsc",
    "all",
    "analysis",
    "authorization",
    "gatewaycommon",
    "grpcgen",
    "ip-autoallocate",
    "retry",
    "sds",
    "secretcontroller",
    "util",
    "wle",
];

/// The levels by scope, and the way to the filter that they make.
struct Running {
    levels: Mutex<BTreeMap<&'static str, &'static str>>,
    filter: Handle<Targets, Registry>,
}

static RUNNING: OnceLock<Running> = OnceLock::new();

/// The filter of a process that begins with these levels; [`Scopes`] changes it.
pub(super) fn filter(levels: &Levels) -> Layer<Targets, Registry> {
    let levels = first(levels);
    let (layer, filter) = Layer::new(targets(&levels));
    RUNNING.get_or_init(|| Running { levels: Mutex::new(levels), filter });
    layer
}

/// Whether istiod has a scope of this name.
pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some() || OTHERS.contains(&name)
}

/// The scope that a crate's lines are of; nothing for the default one.
pub(super) fn of_target(target: &str) -> Option<&'static str> {
    let package = target.split("::").next().unwrap_or(target);
    ROWS.iter().find(|row| row.crates.contains(&package)).and_then(Row::name)
}

impl Row {
    fn name(&self) -> Option<&'static str> {
        self.names.first().copied()
    }
}

fn find(name: &str) -> Option<&'static str> {
    ROWS.iter().find(|row| row.names.contains(&name)).and_then(Row::name)
}

fn first(written: &Levels) -> BTreeMap<&'static str, &'static str> {
    let said = |names: &[&str]| {
        let found = written.0.iter().rev().find(|(scope, _)| names.contains(&scope.as_str()));
        found.map(|(_, level)| *level)
    };
    let usual = said(&["default", "all"]).unwrap_or("info");
    let level = |row: &Row| said(row.names).or(row.level).unwrap_or(usual);
    ROWS.iter().filter_map(|row| Some((row.name()?, level(row)))).collect()
}

fn targets(levels: &BTreeMap<&'static str, &'static str>) -> Targets {
    let of = |row: &Row| {
        row.name().and_then(|name| levels.get(name)).map_or(LevelFilter::INFO, |level| parse(level))
    };
    let all = ROWS.iter().flat_map(|row| row.crates.iter().map(|package| (*package, of(row))));
    let default = levels.get("default").map_or(LevelFilter::INFO, |level| parse(level));
    Targets::new().with_targets(all).with_default(default)
}

fn parse(level: &str) -> LevelFilter {
    match level {
        "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warn" => LevelFilter::WARN,
        "none" => LevelFilter::OFF,
        _ => LevelFilter::ERROR,
    }
}

/// The scopes of this process, for ControlZ.
pub(crate) struct Scopes;

impl admin::Scopes for Scopes {
    fn all(&self) -> Vec<Scope> {
        let Some(running) = RUNNING.get() else { return Vec::new() };
        let levels = running.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |row: &Row| {
            let name = row.name()?;
            Some(Scope { name, description: row.about, level: levels.get(name).copied()? })
        };
        ROWS.iter().filter_map(one).collect()
    }

    fn set(&self, name: &str, level: &'static str) -> bool {
        let (Some(running), Some(name)) = (RUNNING.get(), find(name)) else { return false };
        let mut levels = running.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.insert(name, level);
        // It fails only when nobody writes lines any more.
        let _ = running.filter.reload(targets(&levels));
        true
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn check(written: &str, target: &str, level: Level, is_written: bool) {
        let targets = targets(&first(&written.parse().unwrap()));
        assert_eq!(targets.would_enable(target, &level), is_written, "{written}: {target} {level}");
    }

    #[test]
    fn levels_are_by_scope() {
        check("default:info", "xds::stream", Level::INFO, true);
        check("default:info", "xds::stream", Level::DEBUG, false);
        check("default:info,delta:debug", "xds::stream", Level::DEBUG, true);
        check("default:info,ads:debug", "push::engine", Level::DEBUG, false);
        check("all:debug", "push::engine", Level::DEBUG, true);
        check("debug", "pilothouse", Level::DEBUG, true);
        check("default:none", "pilothouse", Level::ERROR, false);
        check("default:debug", "h2::codec", Level::ERROR, false);
        check("grpc:debug", "h2::codec", Level::DEBUG, true);
        assert!("ads:loud".parse::<Levels>().is_err());
        assert!(is_known("wle") && !is_known("nothing"));
        assert!(ROWS.is_sorted_by_key(|row| row.names));
    }
}
