//! What istiod's chart hands to the control plane: its flags are known here.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::root;

/// How long a program may be silent before it is up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The containers of control planes in the corpus, if there is one.
fn containers() -> Vec<Value> {
    let named = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let is_required = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let Some(corpus) = testkit::corpus::find(named, root(), is_required).unwrap() else {
        eprintln!("SKIPPED istiod's chart: no corpus; PILOTHOUSE_CORPUS names none");
        return Vec::new();
    };
    let cases = corpus.join("install-manifests/cases");
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
        let lines = testkit::processes::lines(child.stderr.take().unwrap());
        let mut before = Vec::new();
        let mut is_up = false;
        while let Some(line) = lines.recv_timeout(PATIENCE).ok().filter(|_| !is_up) {
            is_up = line.contains("serving xDS");
            before.push(line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let before = before.join("\n");
        assert!(is_up && !before.contains("no such flag"), "{arguments:?} said\n{before}");
    }
}
