//! The little application by itself: each service's own proxy is played by the service that it calls.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use testkit::bookinfo::{App, Service};
use testkit::calls::{Client, headers};
use testkit::load::{Flow, Target, burst};
use tokio::net::TcpListener;

/// Serves one service on a port of its own; whatever it calls goes to `outbound`.
async fn serve(service: Service, version: &str, outbound: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App { service, version: version.to_owned(), outbound };
    tokio::spawn(app.serve(listener));
    address
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

async fn get(address: SocketAddr, path: &str) -> Value {
    let client = Client::new(Duration::from_secs(5));
    let answer = client.get(address, path, &headers("any", Some("jason"))).await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn first_version_has_no_stars_and_the_others_have_coloured_ones() {
    let ratings = serve(Service::Ratings, "v1", nowhere()).await;
    for (version, colour) in [("v1", Value::Null), ("v2", "black".into()), ("v3", "red".into())] {
        let reviews = serve(Service::Reviews, version, ratings).await;
        let answer = get(reviews, "/reviews/0").await;
        assert_eq!(answer["version"], version);
        assert_eq!(answer["reviews"][0]["rating"]["color"], colour);
    }
}

#[tokio::test]
async fn missing_ratings_are_said_and_are_no_failure() {
    let reviews = serve(Service::Reviews, "v2", nowhere()).await;
    let answer = get(reviews, "/reviews/0").await;
    assert_eq!(answer["reviews"][1]["rating"]["error"], "Ratings service is currently unavailable");
}

#[tokio::test]
async fn page_shows_what_is_there_and_says_what_is_not() {
    let details = serve(Service::Details, "v1", nowhere()).await;
    let page = serve(Service::Productpage, "v1", details).await;
    let client = Client::new(Duration::from_secs(5));
    let answer = client.get(page, "/productpage?user=jason", &headers("any", None)).await.unwrap();
    let html = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(html.contains("William Shakespeare") && html.contains("signed in as <b>jason</b>"));
    assert!(html.contains("Reviews are not available"));
}

#[tokio::test]
async fn headers_that_tell_who_asks_are_handed_on() {
    let seen = axum::Router::new().fallback(async |headers: http::HeaderMap| {
        let user = headers.get("end-user").and_then(|user| user.to_str().ok()).unwrap_or("").to_owned();
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("").to_owned();
        axum::Json(serde_json::json!({ "ratings": { "Antipholus": user, "Dromio": host } }))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ratings = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, seen).await });
    let answer = get(serve(Service::Reviews, "v3", ratings).await, "/reviews/0").await;
    assert_eq!(answer["reviews"][0]["rating"]["stars"], "jason");
    assert_eq!(answer["reviews"][1]["rating"]["stars"], "ratings:9080");
}

#[tokio::test]
async fn traffic_is_counted_by_kind_and_failures_by_cause() {
    let address = serve(Service::Details, "v1", nowhere()).await;
    let client = Client::new(Duration::from_secs(5));
    let kind = |answer: &testkit::calls::Answer| answer.status.as_str().to_owned();
    let target = |path: &str| Target { address, path: path.to_owned(), headers: headers("any", None), kind };
    let good = burst(&client, &target("/details/0"), 50, 4).await;
    assert_eq!((good.sent, good.failed(), good.kinds["200"]), (50, 0, 50));
    let bad = burst(&client, &target("/nothing"), 3, 2).await;
    assert_eq!((bad.sent, bad.failed()), (3, 3));
    let flow = Flow::start(client, target("/details/0"), 500);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let flowed = flow.stop().await;
    assert!(flowed.sent > 1 && flowed.failed() == 0);
}
