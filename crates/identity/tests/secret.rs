//! The Secret with the root, between replicas and taken over, against an API server that keeps one Secret.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod house;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use identity::{Authority, Client, Places, RootRules};
use kube::client::Body;
use serde_json::{Value, json};

/// A cluster with room for one Secret.
fn cluster(secret: &Arc<Mutex<Option<Value>>>) -> Client {
    let secret = Arc::clone(secret);
    let service = tower::service_fn(move |request: Request<Body>| {
        let secret = Arc::clone(&secret);
        async move {
            let method = request.method().clone();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            // Whoever asks at the same time sees the same.
            tokio::task::yield_now().await;
            let (status, answer) = answer(&mut secret.lock().unwrap(), &method, &body);
            let answer = Full::new(serde_json::to_vec(&answer).unwrap().into());
            Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(answer).unwrap())
        }
    });
    Client::new(service, "istio-system")
}

fn answer(secret: &mut Option<Value>, method: &Method, body: &[u8]) -> (StatusCode, Value) {
    let failure = |status: StatusCode, reason: &str| {
        let code = status.as_u16();
        (
            status,
            json!({"kind": "Status", "status": "Failure", "code": code, "message": "", "reason": reason}),
        )
    };
    match (method, &*secret) {
        (&Method::GET, Some(kept)) => (StatusCode::OK, kept.clone()),
        (&Method::GET, None) => failure(StatusCode::NOT_FOUND, "NotFound"),
        (&Method::POST, Some(_)) => failure(StatusCode::CONFLICT, "AlreadyExists"),
        _ => {
            let value: Value = serde_json::from_slice(body).unwrap();
            *secret = Some(value.clone());
            (StatusCode::CREATED, value)
        }
    }
}

async fn roots(secret: &Arc<Mutex<Option<Value>>>) -> String {
    let places =
        Places { folder: "/nowhere".into(), cluster: Some((cluster(secret), "istio-system".to_owned())) };
    // It asks for ever where nobody answers.
    let opening = Authority::open(places, RootRules::default(), Arc::default());
    let opened = tokio::time::timeout(Duration::from_secs(60), opening).await.unwrap();
    let (authority, _keeper) = opened.unwrap();
    authority.roots().borrow().to_string()
}

fn field(secret: &Value, name: &str) -> String {
    use base64::Engine as _;
    let text = secret["data"][name].as_str().unwrap();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn replicas_that_start_at_once_have_one_root_laid_out_as_istiods() {
    let secret = Arc::default();
    let (one, two, three) = tokio::join!(roots(&secret), roots(&secret), roots(&secret));
    assert_eq!((&one, &one), (&two, &three));
    let kept = secret.lock().unwrap().clone().unwrap();
    assert_eq!(
        (&kept["type"], &kept["metadata"]["name"]),
        (&json!("istio.io/ca-root"), &json!("istio-ca-secret"))
    );
    assert_eq!(field(&kept, "ca-cert.pem"), one);
    assert_eq!(field(&kept, "root-cert.pem"), one);
    assert!(field(&kept, "ca-key.pem").starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert_eq!(field(&kept, "key.pem") + &field(&kept, "cert-chain.pem"), "");
}

#[tokio::test]
async fn a_root_that_an_istiod_made_is_taken_over() {
    use base64::Engine as _;
    let root = house::root("cluster.local");
    let kept = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let data = json!({
        "ca-cert.pem": kept(root.pem()),
        "ca-key.pem": kept(root.key().serialize_pem()),
        "root-cert.pem": "", "cert-chain.pem": "", "key.pem": "",
    });
    let metadata = json!({"name": "istio-ca-secret", "namespace": "istio-system", "resourceVersion": "7"});
    let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
    let secret = Arc::new(Mutex::new(Some(value.clone())));
    assert_eq!(roots(&secret).await, root.pem());
    assert_eq!(secret.lock().unwrap().clone(), Some(value), "nothing is written");
}
