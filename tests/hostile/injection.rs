//! Injection and admission with whatever comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::parse::Context;
use serde_json::{Value, json};
use webhook::{Configuration, Injected, Injector, Mesh, Settings, Surroundings, Values, check, offline};

/// A template that uses what templates use.
const CONFIGURATION: &str = include_str!("injection.yaml");
const VALUES: &str = r#"{"global": {"hub": "h", "tag": "t", "network": "n", "proxy": {"image": "proxyv2", "resources":
    {"limits": {"cpu": "2000m"}}}, "proxy_init": {"image": "proxyv2"}},
    "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true}, "revision": ""}"#;
/// What a template may take of time, and what it may take to be refused for that.
const PATIENCE: Duration = Duration::from_secs(4);

/// The body of a request: an AdmissionReview or not.
pub(crate) fn review(input: &[u8]) {
    let Some(injector) = injector(CONFIGURATION) else { return };
    let (answer, _) = injector.review("/inject/cluster/c/net/n", input);
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    assert!(answer["response"]["allowed"].is_boolean(), "an answer answers nothing: {answer}");
    if let Ok(review) = serde_json::from_slice::<Value>(input) {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        check(review.pointer("/request/object").unwrap_or(&review), &context);
    }
}

/// A pod, and the same as a document of a file. What is injected is injected whole: the proxy is there, and
/// injecting again changes nothing that the first time did not.
pub(crate) fn pod(input: &[u8]) {
    let Some(injector) = injector(CONFIGURATION) else { return };
    let text = String::from_utf8_lossy(input);
    let _ = offline::inject_text(&injector, &text);
    let Ok(pod) = serde_json::from_str::<Value>(&text) else { return };
    if let Ok(Injected::Pod { after, .. }) = injector.inject(pod, "default", [].into()) {
        let is_whole = after.pointer("/metadata/annotations/sidecar.istio.io~1status").is_some();
        assert!(is_whole, "half a pod: {after}");
    }
}

/// A template, over a pod.
pub(crate) fn template(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let configuration = json!({"policy": "enabled", "templates": {"sidecar": text}}).to_string();
    let Some(injector) = injector(&configuration) else { return };
    let pod = json!({"metadata": {"name": "a", "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80}]}]}});
    let begin = Instant::now();
    let _ = injector.inject(pod, "default", [].into());
    assert!(begin.elapsed() < PATIENCE, "a template takes its time: {:?}", begin.elapsed());
}

fn injector(configuration: &str) -> Option<Injector> {
    Some(Injector {
        configuration: Arc::new(Configuration::parse(configuration).ok()?),
        values: Arc::new(Values::parse(VALUES).ok()?),
        mesh: Arc::new(Mesh::parse([]).ok()?),
        around: Arc::new(Surroundings::default()),
        settings: Arc::new(Settings::default()),
        environment: Arc::default(),
    })
}
