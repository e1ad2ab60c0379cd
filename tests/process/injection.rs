//! `pilothouse inject`: files in, injected files out.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{PILOTHOUSE, text};

/// Runs `inject` over a text at standard input, with the flags of a folder.
fn inject(folder: &Path, input: &str) -> Output {
    let mut child = Command::new(PILOTHOUSE)
        .args(["inject", "-f", "-", "--revision", "r1", "--injectConfigFile"])
        .arg(folder.join("config.yaml"))
        .arg("--valuesFile")
        .arg(folder.join("values.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn files_are_injected_without_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), INJECTION).unwrap();
    fs::write(folder.path().join("values.json"), r#"{"global": {"hub": "hub", "tag": "1"}}"#).unwrap();
    let workload = |network: bool| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {{selector: {{}}, template: {{spec: \
             {{hostNetwork: {network}, containers: [{{name: app, image: a}}]}}}}}}\n"
        )
    };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
    let output = inject(folder.path(), &format!("{service}---\n{}", workload(false)));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let injected = text(&output.stdout);
    assert!(injected.starts_with(service), "{injected}");
    assert!(injected.contains("- image: hub/proxyv2:1\n        name: istio-proxy\n"), "{injected}");
    assert!(injected.contains(r#""revision":"r1""#), "{injected}");
    let output = inject(folder.path(), &workload(true));
    assert!(text(&output.stderr).contains("Deployment \"web\" has host networking enabled"));
    let refused = workload(false)
        .replace("{spec:", "{metadata: {annotations: {inject.istio.io/templates: none}}, spec:");
    let output = inject(folder.path(), &refused);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("requested template \"none\" not found; have sidecar"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_workload_with_a_wrong_type_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), INJECTION).unwrap();
    fs::write(folder.path().join("values.json"), r#"{"global": {"hub": "hub", "tag": "1"}}"#).unwrap();
    let workload = |spec: &str| {
        format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec: {spec}\n")
    };
    let containers = |containers: &str| format!("{{template: {{spec: {{containers: {containers}}}}}}}");
    let list = "Deployment web: spec.template.spec.containers: invalid type";
    for (spec, expected) in [
        (containers("{name: c, image: x}"), list),
        (containers("5"), list),
        (containers("''"), list),
        (containers("[{name: 5}]"), "Deployment web: spec.template.spec.containers[0].name: invalid type"),
        ("{template: 5}".to_owned(), "Deployment web: spec.template: an object is expected, not 5"),
        ("{replicas: 1}".to_owned(), "Deployment web: spec.template is required"),
    ] {
        for input in [workload(&spec), format!("apiVersion: v1\nkind: List\nitems: [{}]\n", inline(&spec))] {
            let output = inject(folder.path(), &input);
            assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(1), ""), "{input}");
            assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
        }
    }
    let output = inject(folder.path(), "apiVersion: v1\nkind: List\nitems: 5\n");
    assert!(
        text(&output.stderr).contains("List: items: a list is expected, not 5"),
        "{}",
        text(&output.stderr)
    );
}

/// A workload as an item of a list on one line.
fn inline(spec: &str) -> String {
    format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {spec}}}")
}

const INJECTION: &str = "\
policy: enabled
templates:
  sidecar: |
    spec:
      containers:
      - name: istio-proxy
        image: {{ .ProxyImage }}
";
