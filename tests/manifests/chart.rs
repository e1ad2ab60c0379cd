//! What istiod's chart hands to the control plane: its flags are known here.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::root;

/// The containers of control planes in the corpus, if there is one.
fn containers() -> Vec<Value> {
    let named = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let cases = named.unwrap_or_else(|| root().join("../shared/corpus")).join("install-manifests/cases");
    if !cases.is_dir() {
        eprintln!("SKIPPED istiod's chart: no corpus; PILOTHOUSE_CORPUS names none");
        return Vec::new();
    }
    let mut containers = Vec::new();
    for case in fs::read_dir(cases).unwrap() {
        for object in testkit::corpus::yaml(&case.unwrap().path().join("rendered.yaml")).unwrap() {
            let all =
                object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
            containers.extend(all.into_iter().filter(|container| container["name"] == "discovery"));
        }
    }
    assert!(containers.len() > 3, "only {} Deployments of control planes", containers.len());
    containers
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[test]
fn flags_are_known() {
    let lines: BTreeSet<Vec<String>> =
        containers().iter().map(|container| texts(&container["args"])).collect();
    for arguments in lines.into_iter().filter(|arguments| !arguments.is_empty()) {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pilothouse"))
            .args(&arguments)
            .arg("--configDir")
            .arg(folder.path())
            .args(["--grpcAddr=127.0.0.1:0", "--httpAddr=127.0.0.1:0", "--monitoringAddr=127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let is_up = said.by_ref().any(|line| {
            let is_last = line.contains("serving xDS");
            before.push(line);
            is_last
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let before = before.join("\n");
        assert!(is_up && !before.contains("no such flag"), "{arguments:?} said\n{before}");
    }
}
