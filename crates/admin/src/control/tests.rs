//! The calls of `istioctl admin log`, and the pages.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Request;
use expect_test::expect;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

struct Two(Mutex<[&'static str; 2]>);

impl Scopes for Two {
    fn all(&self) -> Vec<Scope> {
        let [ads, default] = *self.0.lock().unwrap();
        vec![
            Scope { name: "ads", description: "ads debugging", level: ads },
            Scope { name: "default", description: "All else.", level: default },
        ]
    }

    fn set(&self, name: &str, level: &'static str) -> bool {
        let place = ["ads", "default"].into_iter().position(|known| known == name);
        place.map(|place| self.0.lock().unwrap()[place] = level).is_some()
    }
}

fn control() -> Control {
    Control {
        build: Build {
            version: "1.30.0".into(),
            revision: "abc".into(),
            status: "Clean".into(),
            instance: "istiod-1".into(),
        },
        scopes: Arc::new(Two(Mutex::new(["info", "info"]))),
        arguments: vec!["pilot-discovery".into(), "discovery".into()],
        environment: vec![("API_TOKEN".into(), "x".into()), ("REVISION".into(), "1-9-1".into())],
        end: Arc::new(|| {}),
    }
}

async fn call(control: &Control, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = control_router(control.clone()).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn levels_are_shown_and_changed_as_istioctl_does() {
    let control = control();
    let put = call(&control, "PUT", "/scopej/ads", r#"{"name":"ads","output_level":"debug"}"#).await;
    assert_eq!(put, (202, String::new()));
    // A level of stack traces alone is taken and changes nothing, as an unknown level does.
    for body in [r#"{"name":"ads","stack_trace_level":"error"}"#, r#"{"name":"ads","output_level":"loud"}"#] {
        assert_eq!(call(&control, "PUT", "/scopej/ads", body).await.0, 202);
    }
    let shown = call(&control, "GET", "/scopej", "").await;
    assert_eq!(shown, call(&control, "GET", "/scopej/", "").await);
    let shown: Value = serde_json::from_str(&shown.1).unwrap();
    expect![[r#"
        [
          {
            "description": "ads debugging",
            "log_callers": false,
            "name": "ads",
            "output_level": "debug",
            "stack_trace_level": "none"
          },
          {
            "description": "All else.",
            "log_callers": false,
            "name": "default",
            "output_level": "info",
            "stack_trace_level": "none"
          }
        ]"#]]
    .assert_eq(&format!("{shown:#}"));
    let one: Value = serde_json::from_str(&call(&control, "GET", "/scopej/ads", "").await.1).unwrap();
    assert_eq!(one, shown[0]);
    for (method, path, body) in
        [("GET", "/scopej/none", ""), ("PUT", "/scopej/none", "{}"), ("PUT", "/scopej/ads", "{")]
    {
        assert_eq!(call(&control, method, path, body).await.0, 400, "{method} {path}");
    }
}

#[tokio::test]
async fn every_topic_has_json_and_a_page() {
    let control = control();
    for (word, ..) in TOPICS {
        let (status, body) = call(&control, "GET", &format!("/{word}j/"), "").await;
        assert!(status == 200 && serde_json::from_str::<Value>(&body).is_ok(), "{word}: {status} {body}");
        let (status, body) = call(&control, "GET", &format!("/{word}z/"), "").await;
        assert!(status == 200 && body.contains("<h1>"), "{word}: {status} {body}");
    }
    assert_eq!(call(&control, "GET", "/nothing", "").await.0, 404);
    let environment = call(&control, "GET", "/envj/", "").await.1;
    assert!(environment.contains("1-9-1") && !environment.contains("\"x\""), "{environment}");
    assert_eq!(call(&control, "PUT", "/memj/forcecollection", "").await.0, 202);
}

#[tokio::test(start_paused = true)]
async fn the_process_is_ended_a_moment_after_it_was_asked() {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let control = Control { end: Arc::new(move || end.store(true, Ordering::Relaxed)), ..control() };
    assert_eq!(call(&control, "PUT", "/homej/exit", "").await.0, 202);
    assert!(!ended.load(Ordering::Relaxed));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(ended.load(Ordering::Relaxed));
}
