//! What is told of configuration that others recorded: a list that only shrinks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use pilothouse::offline;
use testkit::corpus;
use testkit::golden::{Filter, case};

/// Problems of every recorded set by their codes. Those listed are true, and istiod's analyzers or its
/// validation tell them too; kinds that are not read and secrets that are not served yet go without saying.
#[test]
fn recorded_configuration_has_no_problems_but_its_own() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let configured = std::env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let Some(root) = corpus::find(configured, &repository, std::env::var_os("CI").is_some()).unwrap() else {
        println!("SKIPPED: no corpora beside the repository; set PILOTHOUSE_CORPUS");
        return;
    };
    let mut told = String::new();
    for set in case::sets(&root, &Filter::default()).unwrap() {
        let asked = set.request(&set.proxies[0], &Filter::default()).unwrap();
        let request = offline::Request {
            files: asked.files,
            mesh: asked.mesh,
            mesh_path: "mesh.yaml".into(),
            env: asked.env,
            ..offline::Request::default()
        };
        let mut codes: BTreeMap<String, usize> = BTreeMap::new();
        for line in offline::problems(&request) {
            let code = line.rsplit_once('[').map_or(&*line, |(_, code)| code.trim_end_matches(']'));
            if !matches!(code, "kind-not-read" | "secret-not-served") {
                *codes.entry(code.to_owned()).or_default() += 1;
            }
        }
        let counts: String = codes.iter().map(|(code, count)| format!(" {code} {count}")).collect();
        if !counts.is_empty() {
            told += &format!("{}:{counts}\n", set.name);
        }
    }
    expect_file!["problems.txt"].assert_eq(&told);
}
