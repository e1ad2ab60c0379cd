//! What istiod's chart hands to the control plane: its flags and variables are known here, or it is said why not.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::root;

/// Variables of the chart that nothing here reads, and why that is right.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("GOMAXPROCS", "Go's runtime alone"),
    ("GOMEMLIMIT", "Go's runtime alone"),
    ("PILOT_CERT_PROVIDER", "the control plane's own authority is the only one there is, as the chart says"),
    ("PLATFORM", "templates of injection see what the values say"),
    ("PILOT_ENABLE_ANALYSIS", "there is no analysis in the control plane, and the chart switches it off"),
    ("CA_TRUSTED_NODE_ACCOUNTS", "accounts of ztunnel, which is of ambient mode"),
    ("SERVICE_ACCOUNT", "the account is known from its token"),
    ("FAKE_ENV_NAME", "a user's own"),
];

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

#[test]
fn variables_are_read_or_it_is_said_why_not() {
    let variables: BTreeSet<String> = containers()
        .iter()
        .flat_map(|container| container["env"].as_array().cloned().unwrap_or_default())
        .filter_map(|variable| variable["name"].as_str().map(str::to_owned))
        .collect();
    let mut code = String::new();
    read(&root().join("crates/pilothouse/src"), &mut code);
    for variable in variables {
        let is_read = code.contains(&format!("\"{variable}\""));
        let reason = WITHOUT_EFFECT.iter().find(|(name, _)| *name == variable);
        assert!(is_read != reason.is_some(), "{variable}: read {is_read}, without effect because {reason:?}");
    }
}

/// The code below a folder that may read the environment; a bootstrap only writes names.
fn read(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, code);
        } else if path.extension() == Some(OsStr::new("rs")) && !path.ends_with("bootstrap.rs") {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
