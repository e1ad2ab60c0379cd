//! Who sees which pages, over HTTP and xDS.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::sync::Arc;

use axum::http::{Extensions, StatusCode};
use envoy_api::type_url;
use expect_test::expect;
use model::Caller;
use tonic::Code;
use xds::{Answer, Peer, Question};

use crate::testing::{Client, Mesh, node, until};
use crate::{Access, answer};

/// A mesh with a connected sidecar of namespace `default`.
async fn mesh() -> (Mesh, Client) {
    let mesh = Mesh::small().await;
    let client = mesh.client(&[(type_url::CLUSTER, &[])], &[]).await;
    until(|| mesh.state.connections.list().iter().any(|one| !one.types.is_empty())).await;
    (mesh, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_for_who_proves_an_identity() {
    let (mesh, _client) = mesh().await;
    let mut told = String::new();
    for namespace in ["istio-system", "default", "other", ""] {
        for page in [
            "",
            "/syncz",
            "/configz",
            "/config_dump?proxyID=client-1.default",
            "/ndsz?proxyID=client-1.default",
        ] {
            let (status, _) = mesh.get_as(namespace, &format!("/debug{page}")).await;
            let page = page.split('?').next().unwrap();
            told += &format!("{namespace:?} /debug{page} {}\n", status.as_u16());
        }
    }
    expect![[r#"
        "istio-system" /debug 200
        "istio-system" /debug/syncz 200
        "istio-system" /debug/configz 200
        "istio-system" /debug/config_dump 200
        "istio-system" /debug/ndsz 200
        "default" /debug 200
        "default" /debug/syncz 403
        "default" /debug/configz 403
        "default" /debug/config_dump 200
        "default" /debug/ndsz 200
        "other" /debug 200
        "other" /debug/syncz 403
        "other" /debug/configz 403
        "other" /debug/config_dump 404
        "other" /debug/ndsz 404
        "" /debug 200
        "" /debug/syncz 403
        "" /debug/configz 403
        "" /debug/config_dump 404
        "" /debug/ndsz 404
    "#]]
    .assert_eq(&told);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_over_http_can_be_switched_off() {
    let (mut mesh, _client) = mesh().await;
    mesh.state.access = Access { over_http: false, ..Access::default() };
    for page in ["/debug", "/debug/syncz"] {
        assert_eq!(mesh.get(page).await.0, StatusCode::NOT_FOUND, "{page}");
    }
    assert_eq!(mesh.get("/ready").await.0, StatusCode::OK);
}

/// What is answered to an identity of a namespace, from elsewhere.
fn ask(mesh: &Mesh, namespace: Option<&str>, url: &str, names: &[&str]) -> Result<Answer, Code> {
    let mut extensions = Extensions::new();
    extensions.insert(Peer("10.0.0.1:1".parse().unwrap()));
    if let Some(namespace) = namespace {
        extensions.insert(Caller {
            trust_domain: "cluster.local".into(),
            namespace: namespace.into(),
            service_account: "default".into(),
        });
    }
    let question = Question {
        type_url: url.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        node: Arc::new(node()),
        connection: "x".into(),
        extensions,
    };
    answer(&mesh.state, &question).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_by_namespace() {
    let (mut mesh, _client) = mesh().await;
    let count = |mesh: &Mesh, namespace: Option<&str>, url: &str, names: &[&str]| {
        ask(mesh, namespace, url, names).map(|answer| answer.resources.len())
    };
    let (syncz, dump, page) = ("istio.io/debug/syncz", "istio.io/debug/config_dump", "istio.io/debug");
    let proxy = ["client-1.default"];
    assert_eq!(count(&mesh, None, syncz, &[]), Err(Code::Unauthenticated));
    assert_eq!(count(&mesh, None, page, &["syncz"]), Err(Code::Unauthenticated));
    assert_eq!(count(&mesh, Some("istio-system"), syncz, &[]), Ok(1));
    assert_eq!(count(&mesh, Some("istio-system"), page, &["syncz"]), Ok(1));
    assert_eq!(count(&mesh, Some("default"), syncz, &[]), Ok(1));
    assert_eq!(count(&mesh, Some("other"), syncz, &[]), Ok(0));
    assert!(count(&mesh, Some("default"), dump, &proxy).is_ok_and(|parts| parts > 0));
    assert_eq!(count(&mesh, Some("other"), dump, &proxy), Err(Code::NotFound));
    assert_eq!(count(&mesh, Some("default"), page, &["syncz"]), Err(Code::PermissionDenied));
    assert_eq!(count(&mesh, Some("default"), page, &["ndsz?proxyID=client-1.default"]), Ok(1));
    mesh.state.access = Access { by_namespace: false, ..Access::default() };
    assert_eq!(count(&mesh, None, syncz, &[]), Ok(1));
    assert_eq!(count(&mesh, None, page, &["syncz"]), Err(Code::Unauthenticated));
    assert_eq!(count(&mesh, Some("other"), page, &["syncz"]), Ok(1));
}
