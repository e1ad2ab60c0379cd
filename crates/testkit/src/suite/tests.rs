//! The suite on small corpora of its own.

use std::{collections::BTreeSet, fs, path::Path};

use clap::Parser;
use serde_json::json;

use super::*;
use crate::offline::{Answer, Request};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(line: &str) -> Arguments {
    Line::parse_from(["suite"].into_iter().chain(line.split_whitespace())).arguments
}

#[test]
fn recorded_sets_are_those_that_we_cover_unless_asked_otherwise() {
    let families = |line: &str, family| arguments(line).filter(family).map(|filter| filter.families);
    let covered = BTreeSet::from([1, 2, 4, 5]);
    assert_eq!(families("", Family::XdsGolden), Ok(covered));
    assert_eq!(families("", Family::Envoy), Ok(BTreeSet::new()));
    assert_eq!(families("--case a", Family::XdsGolden), Ok(BTreeSet::new()));
    assert_eq!(families("--families all", Family::XdsGolden), Ok(BTreeSet::new()));
    assert_eq!(families("--families 3,7", Family::XdsGolden), Ok(BTreeSet::from([3, 7])));
    assert!(families("--families x", Family::XdsGolden).is_err());
}

#[test]
fn lists_count_as_a_whole_only_without_a_filter() {
    assert!(arguments("--diff --report x").is_whole());
    assert!(!arguments("--type cds").is_whole());
    assert!(!arguments("--case a").is_whole());
    assert!(!arguments("--families 1").is_whole());
}

/// A corpus of one recorded set with one cluster, and an empty folder of lists.
fn corpus(folder: &Path) -> Places {
    let set = folder.join("xds-golden/cases/a");
    fs::create_dir_all(set.join("expected/p")).expect("folders");
    fs::create_dir_all(folder.join("lists")).expect("a folder");
    let proxy = json!({"name": "p", "node": {"id": "sidecar~1.1.1.1~a~b"}, "types": ["cds"]});
    fs::write(set.join("case.json"), json!({"family": 1, "proxies": [proxy]}).to_string()).expect("a file");
    fs::write(set.join("input.yaml"), "").expect("a file");
    let recorded = json!([{"name": "c", "resource": {"name": "c"}}]);
    fs::write(set.join("expected/p/cds.json"), recorded.to_string()).expect("a file");
    Places { corpora: folder.to_owned(), lists: folder.join("lists"), ..Places::default() }
}

fn judge(line: &str, places: &Places, resource: &str) -> (bool, String) {
    let translate = |_: &Request| {
        let resources = [("cds".to_owned(), vec![("c".to_owned(), json!({"name": resource}))])];
        Ok(Answer { resources: resources.into(), problems: Vec::new() })
    };
    let product = Product { translate: Some(&translate), ..Product::default() };
    let mut out = Vec::new();
    let line = format!("--family xds-golden {line}");
    let good = run(&arguments(&line), &product, places, &mut out).expect("judged");
    (good, String::from_utf8(out).expect("text"))
}

#[test]
fn a_failure_fails_the_run_until_it_is_listed_and_again_once_it_is_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let places = corpus(folder.path());
    let (good, text) = judge("", &places, "wrong");
    assert!(!good && text.contains("FAILED a/p/cds: changed name"), "{text}");
    assert!(text.ends_with("test result: FAILED. 0 passed; 1 failed; 0 ignored\n"), "{text}");

    let (good, _) = judge("--write-list", &places, "wrong");
    assert!(good);
    assert!(judge("", &places, "wrong").1.ends_with("test result: ok. 0 passed; 0 failed; 1 ignored\n"));

    let (good, text) = judge("", &places, "c");
    assert!(!good && text.contains("PASSES NOW (remove it from the list) a/p/cds"), "{text}");
}

#[test]
fn a_family_without_its_part_is_skipped_in_a_visible_line_and_fails_where_all_is_required() {
    let folder = tempfile::tempdir().expect("a folder");
    let places = corpus(folder.path());
    let skip = |places: &Places| {
        let mut out = Vec::new();
        let arguments = arguments("--family sidecar-scope");
        let good = run(&arguments, &Product::default(), places, &mut out).expect("judged");
        (good, String::from_utf8(out).expect("text"))
    };
    let (good, text) = skip(&places);
    assert!(good && text.starts_with("SKIPPED sidecar-scope"), "{text}");
    assert!(!skip(&Places { required: true, ..places }).0);
}

#[test]
fn a_report_has_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let places = corpus(folder.path());
    let file = folder.path().join("report.txt");
    judge(&format!("--report {}", file.display()), &places, "wrong");
    let text = fs::read_to_string(file).expect("a report");
    assert!(text.contains("a/p/cds: 1 differences\n  c name: expected \"c\", got \"wrong\""), "{text}");
}
