//! Both webhooks as an API server meets them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;
use webhook::{Configuration, Context, Injector, Mesh, Settings, State, Stats, Surroundings, Values, router};

const CONFIGURATION: &str = include_str!("../../../tests/hostile/injection.yaml");
const VALUES: &str = r#"{"global": {"hub": "h", "tag": "1", "proxy": {"resources": {}}}}"#;

fn injector() -> Injector {
    Injector {
        configuration: Arc::new(Configuration::parse(CONFIGURATION).unwrap()),
        values: Arc::new(Values::parse(VALUES).unwrap()),
        mesh: Arc::new(Mesh::parse([]).unwrap()),
        around: Arc::new(Surroundings::default()),
        settings: Arc::new(Settings::default()),
        environment: Arc::default(),
    }
}

struct House {
    state: State,
    _sender: watch::Sender<Option<Injector>>,
}

impl House {
    fn new(injector: Option<Injector>) -> Self {
        let (sender, receiver) = watch::channel(injector);
        let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
        let stats = Arc::new(Stats::new().unwrap());
        Self { state: State { injector: receiver, context: Arc::new(context), stats }, _sender: sender }
    }

    async fn ask(&self, path: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let request = Request::post(path).header("content-type", kind).body(body.into()).unwrap();
        let answer = router(self.state.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn review(&self, path: &str, version: &str, object: Value) -> Value {
        let review = json!({"apiVersion": format!("admission.k8s.io/{version}"), "kind": "AdmissionReview",
            "request": {"uid": "u", "operation": "CREATE", "namespace": "ns", "object": object}});
        let (status, body) = self.ask(path, "application/json", review.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    fn count(&self, name: &str) -> f64 {
        let families = self.state.stats.families();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": null},
        "spec": {"containers": [{"name": "a", "image": "i", "unknownField": 1}]}})
}

fn patch(answer: &Value) -> Vec<Value> {
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
    serde_json::from_slice(&patch).unwrap()
}

#[tokio::test]
async fn pods_are_patched_and_paths_say_where_they_are() {
    let house = House::new(Some(injector()));
    for version in ["v1", "v1beta1"] {
        let answer = house.review("/inject/cluster/c1/net/n1", version, pod()).await;
        assert_eq!(answer["apiVersion"], format!("admission.k8s.io/{version}"));
        assert_eq!(answer["response"]["uid"], "u");
        assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
        let patch = serde_json::to_string(&patch(&answer)).unwrap();
        assert!(patch.contains(r#""name":"ISTIO_META_CLUSTER_ID","value":"c1""#), "{patch}");
        assert!(patch.contains(r#""topology.istio.io/network":"n1""#), "{patch}");
        assert!(!patch.contains("unknownField"), "{patch}");
    }
    let mut host = pod();
    host["spec"]["hostNetwork"] = true.into();
    let answer = house.review("/inject", "v1", host).await;
    assert_eq!(answer["response"], json!({"uid": "u", "allowed": true}));
    assert_eq!(house.count("sidecar_injection_requests_total"), 3.0);
    assert_eq!(house.count("sidecar_injection_success_total"), 3.0);
    assert_eq!(house.count("sidecar_injection_skip_total"), 1.0);
}

#[tokio::test]
async fn what_cannot_be_injected_is_denied_with_a_reason() {
    let house = House::new(Some(injector()));
    let mut bad = pod();
    bad["metadata"]["annotations"] = json!({"sidecar.istio.io/proxyCPU": "much"});
    let answer = house.review("/inject", "v1", bad).await;
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("invalid value 'much' for annotation 'sidecar.istio.io/proxyCPU'"), "{message}");
    assert_eq!(house.count("sidecar_injection_failure_total"), 1.0);
}

#[tokio::test]
async fn what_is_no_pod_is_denied_with_its_field() {
    let house = House::new(Some(injector()));
    let container = json!({"name": "c", "image": "x"});
    for (containers, field) in [
        (json!(5), "spec.containers: "),
        (json!(""), "spec.containers: "),
        (container.clone(), "spec.containers: "),
        (json!([{"name": 5}]), "spec.containers[0].name: "),
    ] {
        let mut bad = pod();
        bad["spec"]["containers"] = containers;
        let answer = house.review("/inject", "v1", bad).await;
        assert_eq!(answer["response"]["allowed"], false, "{answer}");
        let message = answer["response"]["status"]["message"].as_str().unwrap();
        assert!(message.contains("/a: ") && message.contains(field), "{message}");
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let house = House::new(Some(injector()));
    for path in ["/inject", "/validate"] {
        assert_eq!(house.ask(path, "application/json", "").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(house.ask(path, "text/plain", "{}").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let large = vec![b' '; (10 << 20) + 1];
        assert_eq!(house.ask(path, "application/json", large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
        for body in
            ["x", "{}", r#"{"apiVersion": "admission.k8s.io/v2", "kind": "AdmissionReview", "request": {}}"#]
        {
            let (status, answer) = house.ask(path, "application/json", body).await;
            assert_eq!(status, StatusCode::OK);
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(answer["response"]["allowed"], false, "{answer}");
        }
    }
    let house = House::new(None);
    assert_eq!(house.ask("/inject", "application/json", "{}").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn objects_are_validated() {
    let house = House::new(None);
    let object = |kind: &str, spec: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec});
    let rule = |host: &str| object("DestinationRule", json!({"host": host}));
    let answer = house.review("/validate", "v1", rule("a.b")).await;
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    let mut extra = rule("a.b");
    extra["more"] = 1.into();
    let cases = [
        (extra, "unknown field \"more\" on DestinationRule resource ns/a"),
        (object("Nonsense", json!({})), "unrecognized type Nonsense"),
        (object("DestinationRule", json!({"host": [1]})), "error decoding configuration: "),
        (rule(""), "configuration is invalid: "),
    ];
    for (object, expected) in cases {
        let answer = house.review("/validate", "v1", object).await;
        let message = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(expected), "{answer}");
    }
    assert_eq!(house.count("galley_validation_passed"), 1.0);
    assert_eq!(house.count("galley_validation_failed"), 4.0);
}

/// Prints what one injection costs.
#[tokio::test]
async fn what_an_injection_costs() {
    let injector = injector();
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "namespace": "ns", "object": pod()}})
    .to_string();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begin = Instant::now();
            injector.review("/inject", body.as_bytes());
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("one injection: p50 {:?}, p99 {:?} (unoptimised build)", times[100], times[198]);
}
