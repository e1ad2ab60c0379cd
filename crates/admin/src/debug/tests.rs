//! Pages about one proxy's view, the mesh and the process, over HTTP with a real server.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use envoy_api::type_url;
use expect_test::{Expect, expect};
use serde_json::Value;

use crate::testing::{Client, Mesh, until};

async fn mesh() -> (Mesh, Client) {
    let mesh = Mesh::small().await;
    let client = mesh.client(&[(type_url::CLUSTER, &[]), (type_url::LISTENER, &[])], &[]).await;
    until(|| mesh.state.connections.list().iter().any(|one| one.types.len() == 2)).await;
    (mesh, client)
}

fn check(value: &Value, expected: Expect) {
    expected.assert_eq(&format!("{value:#}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scope_of_a_proxy_has_services_rules_and_listeners() {
    let (mesh, _client) = mesh().await;
    let mut shown = mesh.json("/debug/sidecarz?proxyID=client-1.default").await;
    let host = "reviews.default.svc.cluster.local";
    assert_eq!(shown["services"][0]["hostname"], host);
    assert_eq!(shown["egressListenerServices"][0][0], shown["services"][0]);
    assert_eq!(shown["servicesByHostname"][host], shown["services"][0]);
    for list in ["services", "egressListenerServices", "servicesByHostname"] {
        shown.as_object_mut().unwrap().remove(list);
    }
    check(
        &shown,
        expect![[r#"
            {
              "destinationRules": {},
              "name": "default-sidecar",
              "namespace": "default",
              "outboundTrafficPolicy": {
                "mode": "ALLOW_ANY"
              },
              "sidecar": null,
              "version": "1"
            }"#]],
    );
    assert_eq!(mesh.json("/debug/instancesz").await, serde_json::json!({"client-1.default": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proxies_are_served_is_listed_once_with_its_size() {
    let (mesh, _client) = mesh().await;
    let kept = mesh.json("/debug/cachez").await;
    let clusters = kept[type_url::CLUSTER].as_array().unwrap();
    assert!(clusters.contains(&"outbound|9080||reviews.default.svc.cluster.local".into()), "{kept:#}");
    let sizes = mesh.json("/debug/cachez?sizes=true").await;
    assert!(sizes["total"].as_str().unwrap().ends_with('B'), "{sizes:#}");
    assert_eq!(mesh.get("/debug/cachez?clear=true").await.1, "Cache cleared\n");
    assert_eq!(mesh.get("/debug/adsz?push=true").await.1, "Pushed to 1 servers\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mesh_and_the_process_are_shown() {
    let (mesh, _client) = mesh().await;
    let shown = mesh.json("/debug/mesh").await;
    assert_eq!(shown["rootNamespace"], "istio-system");
    assert_eq!(shown["defaultConfig"]["discoveryAddress"], "istiod.istio-system.svc:15012");
    check(
        &mesh.json("/debug/clusterz").await,
        expect![[r#"
            [
              {
                "id": "Kubernetes",
                "secretName": "",
                "syncStatus": "synced"
              }
            ]"#]],
    );
    check(
        &mesh.json("/debug/inject").await,
        expect![[r#"
        {
          "sidecar": "spec: {}"
        }"#]],
    );
    let kinds = mesh.json("/debug/resourcesz").await;
    let gateway = serde_json::json!({"group": "networking.istio.io", "version": "v1", "kind": "Gateway"});
    assert!(kinds.as_array().unwrap().contains(&gateway), "{kinds:#}");
    assert_eq!(mesh.json("/debug/push_status").await, serde_json::json!({}));
}
