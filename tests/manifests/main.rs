//! The installation in `manifests/`, rendered by kubectl: names, selectors, rights, the pod's contract.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod chart;
mod rights;
mod selectors;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::labels::Labels;
use model::revision::{self, Revision};
use serde_json::{Value, json};

/// The overlays that are control planes, with the revision of each.
const CONTROL_PLANES: [(&str, &str); 3] =
    [("default", "default"), ("revision-1-9-1", "1-9-1"), ("revision-1-9-2", "1-9-2")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// kubectl, if it was named or `cargo xtask tools` has fetched it; in a pipeline it must be there.
fn kubectl() -> Option<PathBuf> {
    let named = env::var_os("PILOTHOUSE_KUBECTL").map(PathBuf::from);
    let tools = root().join(".tools").read_dir().into_iter().flatten().flatten();
    let fetched = || tools.map(|tool| tool.path().join("kubectl")).find(|path| path.is_file());
    let found = named.or_else(fetched);
    if found.is_none() {
        assert!(env::var_os("CI").is_none(), "PILOTHOUSE_KUBECTL names no kubectl");
        eprintln!("SKIPPED the manifests: no kubectl; `cargo xtask tools` fetches it");
    }
    found
}

/// The objects of an overlay; `None` without kubectl.
fn rendered(overlay: &str) -> Option<Vec<Value>> {
    let output = Command::new(kubectl()?)
        .arg("kustomize")
        .arg(root().join("manifests").join(overlay))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{overlay}: {complaint}");
    Some(serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap())
}

/// The one object of a kind.
fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    object
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
    objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn objects_are_called_by_their_revision() {
    for (overlay, revision) in CONTROL_PLANES {
        let Some(objects) = rendered(overlay) else { return };
        let name = |base| Revision::new(revision).named(base);
        for (kind, base) in [
            ("Deployment", "istiod"),
            ("Service", "istiod"),
            ("ServiceAccount", "istiod"),
            ("ConfigMap", "istio"),
            ("ConfigMap", "istio-sidecar-injector"),
            ("MutatingWebhookConfiguration", "istio-sidecar-injector"),
            ("ValidatingWebhookConfiguration", "istio-validator"),
            ("ClusterRole", "pilothouse"),
            ("Role", "pilothouse"),
            ("HorizontalPodAutoscaler", "istiod"),
            ("PodDisruptionBudget", "istiod"),
            ("NetworkPolicy", "istiod"),
        ] {
            named(&objects, kind, &name(base));
        }
        for object in &objects {
            let said = &object["metadata"]["labels"][revision::REVISION];
            assert_eq!(said, revision, "{overlay}: {} {}", object["kind"], object["metadata"]["name"]);
        }
    }
}

#[test]
fn what_names_another_object_names_that_of_its_revision() {
    for (overlay, revision) in CONTROL_PLANES {
        let Some(objects) = rendered(overlay) else { return };
        let istiod = Revision::new(revision).named("istiod");
        let deployment = only(&objects, "Deployment");
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let selector = json!({"app": "istiod", "istio.io/rev": revision});
        let service = only(&objects, "Service");
        for (who, selected) in [
            ("Deployment", &deployment["spec"]["selector"]["matchLabels"]),
            ("Service", &service["spec"]["selector"]),
            (
                "PodDisruptionBudget",
                &only(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            ),
            ("NetworkPolicy", &only(&objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]),
        ] {
            assert_eq!(selected, &selector, "{overlay}: {who}");
        }
        assert_eq!(labels["istio.io/rev"], revision);
        let scaled = &only(&objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"];
        assert_eq!(scaled, &istiod);
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            let binding = only(&objects, kind);
            assert_eq!(binding["subjects"][0]["name"], istiod);
            assert_eq!(binding["roleRef"]["name"], Revision::new(revision).named("pilothouse"));
        }
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert!(
            container["env"].as_array().unwrap().contains(&json!({"name": "REVISION", "value": revision})),
            "{overlay}"
        );
        let mesh = named(&objects, "ConfigMap", &Revision::new(revision).named("istio"));
        let mesh: Value = serde_saphyr::from_str(mesh["data"]["mesh"].as_str().unwrap()).unwrap();
        assert_eq!(mesh["defaultConfig"]["discoveryAddress"], format!("{istiod}.istio-system.svc:15012"));
    }
}

#[test]
fn all_selectors_together_select_whom_the_rule_says() {
    let mut objects = Vec::new();
    for (overlay, _) in CONTROL_PLANES {
        let Some(rendered) = rendered(overlay) else { return };
        objects.extend(rendered);
    }
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs.iter().filter(|(_, value)| !value.is_empty()).copied().collect()
    };
    let revisions = ["", "default", "1-9-1", "1-9-2"];
    for injection in ["", "enabled", "disabled"] {
        for (of_namespace, of_pod) in
            revisions.iter().flat_map(|one| revisions.iter().map(move |other| (one, other)))
        {
            for inject in ["", "true", "false"] {
                let namespace =
                    labels(&[(revision::INJECTION, injection), (revision::REVISION, of_namespace)]);
                let pod = labels(&[(revision::INJECT, inject), (revision::REVISION, of_pod)]);
                let called = selectors::called(&objects, &namespace, &pod);
                let services: Vec<&str> = called.iter().map(|(service, _)| &**service).collect();
                let rule =
                    revision::injector(&namespace, &pod).map(|name| Revision::new(name).named("istiod"));
                assert_eq!(
                    services,
                    rule.iter().map(|name| &**name).collect::<Vec<_>>(),
                    "{namespace:?} {pod:?}: {called:?}"
                );
            }
        }
    }
}

#[test]
fn rights_are_those_of_the_table_and_no_more_than_the_chart_grants() {
    let Some(objects) = rendered("default") else { return };
    for (kind, table, chart) in
        [("ClusterRole", rights::CLUSTER, rights::CHART), ("Role", rights::HOME, rights::CHART_HOME)]
    {
        let granted = rights::of_role(only(&objects, kind));
        let needed = rights::of_table(table);
        assert_eq!(
            granted.difference(&needed).collect::<Vec<_>>(),
            Vec::<&rights::Right>::new(),
            "{kind}: nobody needs"
        );
        assert_eq!(
            needed.difference(&granted).collect::<Vec<_>>(),
            Vec::<&rights::Right>::new(),
            "{kind}: not granted"
        );
        let bound = rights::of_table(chart);
        let beyond: Vec<_> = needed.iter().filter(|right| !rights::grants(&bound, right)).collect();
        assert!(beyond.is_empty(), "{kind}: istiod's chart does not grant {beyond:?}");
        for need in table {
            assert!(is_code(need.code), "{}: no such code", need.code);
        }
    }
}

/// Whether a folder of code is there, or its crate is one that the architecture page has a place for.
fn is_code(folder: &str) -> bool {
    let name = folder.split('/').nth(1).unwrap();
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    root().join(folder).is_dir() || page.contains(&format!("| `{name}` ° |"))
}

/// The arguments, ports, probe and mounts that istiod's chart gives (istiod-surface 1.3 and 1.5).
#[test]
fn the_pod_has_the_charts_contract() {
    let Some(objects) = rendered("default") else { return };
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let arguments = json!([
        "discovery",
        "--monitoringAddr=:15014",
        "--log_output_level=default:info",
        "--domain",
        "cluster.local",
        "--keepaliveMaxServerConnectionAge",
        "30m"
    ]);
    assert_eq!(container["name"], "discovery");
    assert_eq!(container["args"], arguments);
    let ports: Vec<i64> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|port| port["containerPort"].as_i64())
        .collect();
    assert_eq!(ports, [8080, 15010, 15012, 15017, 15014]);
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/ready", "port": 8080}));
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let opened = only(&objects, "NetworkPolicy")["spec"]["ingress"][0]["ports"].as_array().unwrap();
    assert!(ports.iter().all(|port| opened.iter().any(|open| open["port"] == *port)), "{opened:?}");
    let writable: Vec<&Value> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .collect();
    assert_eq!(writable, [&json!({"name": "local-certs", "mountPath": "/var/run/secrets/istio-dns"})]);
}

/// Whether the name of an image begins with a host, as engines tell it.
fn names_registry(image: &str) -> bool {
    image.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']))
}

#[test]
fn no_image_is_named_with_a_registry() {
    assert!(
        names_registry("registry.example.test/a/b:1")
            && !names_registry("a/b:1.2")
            && !names_registry("a:1.2")
    );
    let file = fs::read_to_string(root().join("Containerfile")).unwrap();
    let builder = file.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    assert!(!names_registry(builder), "{builder}");
    let bases: Vec<&str> = file.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases, ["${RUST} AS build", "scratch"]);
    let values = fs::read_to_string(root().join("manifests/base/injection/values.json")).unwrap();
    let values: Value = serde_json::from_str(&values).unwrap();
    let hub = values["global"]["hub"].as_str().unwrap();
    assert!(!names_registry(&format!("{hub}/proxyv2")), "{hub}");
    for overlay in ["default", "gateway"] {
        let Some(objects) = rendered(overlay) else { return };
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        for container in pod["containers"].as_array().unwrap() {
            let image = container["image"].as_str().unwrap();
            assert!(!names_registry(image), "{overlay}: {image}");
        }
    }
}

/// As in istiod's chart: the control plane itself closes validation, once it has seen that it works.
#[test]
fn injection_fails_closed_and_validation_begins_open() {
    for (overlay, _) in CONTROL_PLANES {
        let Some(objects) = rendered(overlay) else { return };
        for (kind, policy) in
            [("MutatingWebhookConfiguration", "Fail"), ("ValidatingWebhookConfiguration", "Ignore")]
        {
            let of_kind = objects.iter().filter(|object| object["kind"] == kind);
            let entries: Vec<_> = of_kind.flat_map(|object| object["webhooks"].as_array().unwrap()).collect();
            assert!(
                !entries.is_empty() && entries.iter().all(|entry| entry["failurePolicy"] == policy),
                "{overlay}"
            );
        }
    }
}

#[test]
fn injection_can_be_read() {
    let Some(objects) = rendered("revision-1-9-1") else { return };
    let injector = &named(&objects, "ConfigMap", "istio-sidecar-injector-1-9-1")["data"];
    let config: Value = serde_saphyr::from_str(injector["config"].as_str().unwrap()).unwrap();
    let templates: Vec<&String> = config["templates"].as_object().unwrap().keys().collect();
    assert_eq!(templates, ["gateway", "sidecar"]);
    let values: Value = serde_json::from_str(injector["values"].as_str().unwrap()).unwrap();
    assert_eq!(values["global"]["istioNamespace"], "istio-system");
}

#[test]
fn a_teams_gateway_brings_no_control_plane_and_reads_its_revisions_mesh() {
    let Some(objects) = rendered("gateway") else { return };
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let expected = [
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    ];
    assert_eq!(kinds, expected);
    assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "istio-gateway-sample"));
    let pod = &only(&objects, "Deployment")["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"][revision::INJECT], "false");
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let mesh = json!({"name": "config-volume", "configMap": {"name": "istio-1-9-1", "optional": true}});
    assert!(volumes.contains(&mesh), "{volumes:?}");
    let address = json!({"name": "CA_ADDR", "value": "istiod-1-9-1.istio-system.svc:15012"});
    assert!(pod["spec"]["containers"][0]["env"].as_array().unwrap().contains(&address));
}
