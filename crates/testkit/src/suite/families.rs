//! Each family judged, and what is said about it beside the verdicts.

use std::fmt::Write as _;

use super::{Arguments, Family, Outcome, Places, Product};
use crate::{
    corpus::Error,
    envoy::{self, Envoy},
    family::{consumers, inject, install, nodes, scope, simulation, tables},
    golden::{
        self, Filter, Scoreboard,
        report::{self, Detail},
    },
    verdict::Verdict,
};

/// Percent of whole files that must be equal in the covered families, by type (the limits).
const LIMITS: [(&str, f64); 4] = [("eds", 95.0), ("cds", 90.0), ("rds", 85.0), ("lds", 75.0)];

/// Judges one family; `None`: what it needs was not handed in.
pub(super) fn judge(
    family: Family,
    arguments: &Arguments,
    product: &Product<'_>,
    places: &Places,
) -> Result<Option<Outcome>, Error> {
    let filter = arguments.filter(family);
    let filter = filter.map_err(|message| Error::Program { program: "--families".into(), message })?;
    let root = &places.corpora;
    let whole = arguments.is_whole();
    let plain = |verdicts: Vec<Verdict>| Outcome { verdicts, whole: true, ..Outcome::default() };
    Ok(match (family, product.translate) {
        (Family::BootstrapNodes, _) => match product.parse_node {
            Some(parse) => Some(plain(nodes::judge(root, parse)?)),
            None => None,
        },
        (Family::SidecarScope, _) => match product.compute_scope {
            Some(compute) => Some(plain(scope::judge(root, compute)?)),
            None => None,
        },
        (Family::Inject, _) => match product.inject {
            Some(product) => {
                Some(injected(&inject::judge(root, arguments.case.as_deref(), product)?, arguments))
            }
            None => None,
        },
        (Family::SmallTables, _) => match product.compute {
            Some(compute) => {
                Some(tables(tables::judge(root, arguments.case.as_deref(), compute)?, arguments))
            }
            None => None,
        },
        (Family::InstallManifests, _) => match product.install {
            Some(product) => {
                let (verdicts, left_out) = install::judge(root, arguments.case.as_deref(), product)?;
                Some(Outcome { left_out, whole: arguments.case.is_none(), ..plain(verdicts) })
            }
            None => None,
        },
        (Family::IstioctlConsumers, _) => match product.recode {
            Some(recode) => {
                let (verdicts, left_out) = consumers::judge(root, arguments.case.as_deref(), recode)?;
                Some(Outcome { left_out, whole: arguments.case.is_none(), ..plain(verdicts) })
            }
            None => None,
        },
        (_, None) => None,
        (Family::XdsGolden, Some(translate)) => {
            let board = golden::judge(root, &filter, translate)?;
            Some(Outcome { whole, ..scores(&board, &filter, arguments) })
        }
        (Family::XdsSimulation, Some(translate)) => {
            let judged = simulation::judge(root, arguments.everything, translate)?;
            let left_out = judged.out_of_scope.len();
            Some(Outcome { left_out, whole: !arguments.everything, ..plain(judged.verdicts) })
        }
        (Family::Envoy, Some(translate)) => match envoy(places)? {
            Some(envoy) => {
                let verdicts = envoy::judge(root, &filter, &envoy, translate)?;
                Some(Outcome { whole, text: refusals(&verdicts), ..plain(verdicts) })
            }
            None => None,
        },
    })
}

/// Equal trees are what counts; how many files are equal to the byte is said beside it.
fn injected(judged: &inject::Judged, arguments: &Arguments) -> Outcome {
    let (files, equal) = judged.files;
    Outcome {
        verdicts: judged.verdicts.clone(),
        whole: arguments.case.is_none(),
        text: format!("inject: {equal} of {files} files are equal byte by byte\n"),
        ..Outcome::default()
    }
}

/// Checks that have no counterpart are said in one line.
fn tables(judged: tables::Judged, arguments: &Arguments) -> Outcome {
    let checks: Vec<&str> = judged.left_out.keys().map(String::as_str).collect();
    let left_out = judged.left_out.values().sum();
    Outcome {
        verdicts: judged.verdicts,
        left_out,
        whole: arguments.case.is_none(),
        text: format!("small-tables: {left_out} cases have no counterpart, of {}\n", checks.join(", ")),
        ..Outcome::default()
    }
}

fn scores(board: &Scoreboard, filter: &Filter, arguments: &Arguments) -> Outcome {
    let differences = if arguments.diff { arguments.most } else { 0 };
    let mut text = report::text(board, Detail { groups: arguments.groups, differences });
    if filter.case.is_none() {
        text.push_str(&limits(board));
    }
    Outcome {
        verdicts: board.verdicts(),
        left_out: board.left_out(),
        text,
        report: report::text(board, Detail { groups: usize::MAX, differences: usize::MAX }),
        ..Outcome::default()
    }
}

/// The score of each type beside its limit.
fn limits(board: &Scoreboard) -> String {
    let scores = report::percentages(board);
    let mut text = String::new();
    for (kind, limit) in LIMITS {
        if let Some(score) = scores.get(kind) {
            let word = if *score >= limit { "reached" } else { "NOT reached" };
            let _ = writeln!(text, "{kind} {score:.1} %, limit {limit} % {word}");
        }
    }
    text
}

/// A folder for bootstraps beside other build output; what Envoy refused can be looked at there.
fn envoy(places: &Places) -> Result<Option<Envoy>, Error> {
    let Some(program) = places.envoy.clone() else { return Ok(None) };
    let folder = std::env::temp_dir().join(format!("pilothouse-validate-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    Ok(Some(Envoy { program, folder }))
}

/// Envoy's complaints, the most frequent first, each with the proxies that met it.
fn refusals(verdicts: &[Verdict]) -> String {
    let mut groups: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for verdict in verdicts {
        if let Some(failure) = &verdict.failure {
            groups.entry(failure).or_default().push(&verdict.id);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, ids)| std::cmp::Reverse(ids.len()));
    let mut text = String::new();
    for (failure, ids) in groups.iter().take(20) {
        let _ = writeln!(text, "{:>4} proxies, e.g. {}: {failure}", ids.len(), ids[0]);
    }
    text
}
