//! The program under istiod's name and with istiod's words, as charts and istioctl start it, and ControlZ.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::{PILOTHOUSE, Running, text};

fn call(address: &str, words: &[&str]) -> Output {
    Command::new(PILOTHOUSE).arg("request").args(words).args(["--address", address]).output().unwrap()
}

fn answer(address: &str, words: &[&str]) -> Value {
    let output = call(address, words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Where something is served, by what is said of it.
fn address(running: &Running, said: &str) -> String {
    running.says(said).rsplit_once("address=").unwrap().1.to_owned()
}

#[test]
fn pages_are_asked_for_from_within() {
    let running = Running::start(&["--ctrlz_port", "0"], &[]);
    let pages = address(&running, "serving readiness, metrics and debug pages");
    let names = answer(&pages, &["GET", "/debug/list"]);
    assert!(names.as_array().unwrap().contains(&"syncz".into()), "{names}");
    assert_eq!(answer(&pages, &["GET", "debug/mesh?pretty"])["trustDomain"], "here");
    // A page that is not there is printed, everything else that fails is an error.
    let unknown = call(&pages, &["GET", "/debug/nothing"]);
    assert!(unknown.status.success() && text(&unknown.stdout).contains("no debug page"));
    let refused = call(&pages, &["GET", "/debug/config_dump"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("status code 400: You must provide a proxyID"));
    assert!(running.end());
}

#[test]
fn log_levels_are_changed_while_it_runs_and_it_ends_when_asked() {
    let mut running =
        Running::start(&["--ctrlz_port", "0", "--log_output_level", "default:info,delta:warn"], &[]);
    let control = address(&running, "serving ControlZ");
    assert_eq!(answer(&control, &["GET", "scopej/ads"])["output_level"], "warn");
    let wanted = json!({"name": "ads", "output_level": "debug"}).to_string();
    assert!(call(&control, &["PUT", "scopej/ads", &wanted]).status.success());
    let scopes = answer(&control, &["GET", "/scopej/"]);
    let level = |name: &str| {
        let scope = scopes.as_array().unwrap().iter().find(|scope| scope["name"] == name);
        scope.unwrap()["output_level"].as_str().unwrap().to_owned()
    };
    assert_eq!([level("ads"), level("default"), level("grpc")], ["debug", "info", "none"]);
    let version = answer(&control, &["GET", "versionj/"])["version"].clone();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(call(&control, &["PUT", "homej/exit"]).status.success());
    assert!(running.child.wait().unwrap().success());
}

/// The words of istiod's chart, of the one of 1.9, and every other flag.
const FLAGS: &[&str] = &[
    "--log_as_json",
    "--log_output_level=default:info",
    "--domain",
    "cluster.local",
    "--keepaliveMaxServerConnectionAge",
    "30m",
    "--cniNamespace=kube-system",
    "--plugins=authn,authz",
    "-a",
    "default",
    "--registries",
    "Kubernetes",
    "--clusterRegistriesNamespace=x",
    "--networksConfig",
    "./networks",
    "--clusterAliases",
    "a=b,c=d",
    "--profile=false",
    "--kubernetesApiQPS",
    "80.0",
    "--kubernetesApiBurst=160",
    "--ctrlz_port=0",
    "--ctrlz_address",
    "localhost",
    "--log_target",
    "stdout",
    "--log_stacktrace_level=default:none",
    "--log_caller",
    "",
    "--log_rotate=",
    "--log_rotate_max_age=30",
    "--log_rotate_max_backups=1000",
    "--log_rotate_max_size",
    "104857600",
    "--resync",
    "60s",
    "--from-the-future",
    "value",
];

#[test]
fn istiods_name_and_flags_start_it_and_lines_are_istiods_json() {
    let running = Running::start(FLAGS, &[]);
    let unknown: Value = serde_json::from_str(&running.says("no such flag")).unwrap();
    assert_eq!((&unknown["flag"], &unknown["level"]), (&"--from-the-future".into(), &"warn".into()));
    let line: Value = serde_json::from_str(&running.says("serving xDS")).unwrap();
    assert_eq!(line["level"], "info");
    assert!(line["time"].is_string() && line["msg"].is_string() && line["address"].is_string(), "{line}");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pilot-discovery");
    symlink(PILOTHOUSE, &program).unwrap();
    let version = Command::new(&program).args(["version", "-o", "json"]).output().unwrap();
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["clientVersion"]["version"], env!("CARGO_PKG_VERSION"));
    let help = Command::new(&program).arg("--help").output().unwrap();
    assert!(text(&help.stdout).contains("Usage: pilot-discovery"), "{}", text(&help.stdout));
    assert!(running.end());
}

#[test]
fn shells_complete_its_words() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = Command::new(PILOTHOUSE).args(["completion", shell]).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("proxy-status"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("bash");
    let output = Command::new(PILOTHOUSE).args(["completion", "bash"]).output().unwrap();
    fs::write(&script, output.stdout).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).status().unwrap();
    assert!(checked.success());
}
