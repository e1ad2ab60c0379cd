//! What Kiali asks of a control plane, and what it makes of the answers (kiali/kiali, business/controlplane_monitor.go,
//! istio/version.go, config/dashboards; business/services.go of 1.29 to 1.5x for the older pages).

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use axum::http::StatusCode;
use envoy_api::type_url;
use serde_json::Value;

use crate::testing::{Mesh, until};

const TYPES: &[(&str, &[&str])] = &[
    (type_url::CLUSTER, &[]),
    (type_url::ENDPOINT, &["outbound|9080||reviews.default.svc.cluster.local"]),
    (type_url::LISTENER, &[]),
    (type_url::ROUTE, &["9080"]),
];

async fn mesh() -> (Mesh, crate::testing::Client) {
    let mesh = Mesh::small().await;
    let client = mesh.client(TYPES, &[]).await;
    until(|| {
        let list = mesh.state.connections.list();
        let settled = |url: &&str| {
            list.first()
                .and_then(|one| one.types.get(*url))
                .is_some_and(|one| one.acked.is_some() && !one.pending)
        };
        TYPES.iter().all(|(url, _)| settled(url))
    })
    .await;
    (mesh, client)
}

/// Where a value stands in an answer, and whether it is the one that Kiali needs.
type Check = (&'static str, fn(&Value) -> bool);

const IS_TEXT: fn(&Value) -> bool = |value| value.as_str().is_some_and(|text| !text.is_empty());

/// Each page with what Kiali reads of it.
const PAGES: &[(&str, &[Check])] = &[
    (
        "/debug/syncz",
        &[
            // Kiali looks for `name.namespace`, and calls a proxy synced whose pairs are equal.
            ("/0/proxy", |value| value == "client-1.default"),
            ("/0/istio_version", |value| value == "1.29.1"),
            ("/0/cluster_id", |value| value == "Kubernetes"),
            ("/0/cluster_sent", IS_TEXT),
            ("/0/cluster_acked", IS_TEXT),
            ("/0/listener_sent", IS_TEXT),
            ("/0/listener_acked", IS_TEXT),
            ("/0/route_sent", IS_TEXT),
            ("/0/route_acked", IS_TEXT),
            ("/0/endpoint_sent", IS_TEXT),
            ("/0/endpoint_acked", IS_TEXT),
        ],
    ),
    (
        "/debug/registryz",
        &[
            ("/0/hostname", |value| value == "reviews.default.svc.cluster.local"),
            ("/0/Attributes/Name", |value| value == "reviews"),
            ("/0/Attributes/Namespace", |value| value == "default"),
            ("/0/Attributes/ServiceRegistry", |value| value == "Kubernetes"),
            ("/0/Attributes/Labels", Value::is_object),
            ("/0/ports/0/name", |value| value == "http"),
            ("/0/ports/0/port", |value| value == 9080),
            ("/0/ports/0/protocol", |value| value == "HTTP"),
            ("/0/Resolution", Value::is_number),
            ("/0/MeshExternal", Value::is_boolean),
        ],
    ),
    (
        "/debug/configz",
        &[
            ("/0/kind", IS_TEXT),
            ("/0/apiVersion", IS_TEXT),
            ("/0/metadata/name", IS_TEXT),
            ("/0/metadata/namespace", IS_TEXT),
            ("/0/spec", Value::is_object),
        ],
    ),
    (
        "/debug/endpointz",
        &[(
            "/reviews.default.svc.cluster.local/default/Shards/Kubernetes~1Kubernetes/0/Addresses/0",
            |value| value == "10.0.0.1",
        )],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_what_kiali_reads() {
    let (mesh, _client) = mesh().await;
    for (page, checks) in PAGES {
        let answer = mesh.json(page).await;
        for (pointer, holds) in *checks {
            let value = answer.pointer(pointer).unwrap_or(&Value::Null);
            assert!(holds(value), "{page}{pointer}: {value} in {answer:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_is_reachable_and_has_a_version() {
    let mesh = Mesh::small().await;
    // From its pod, without any proof of who it is.
    assert_eq!(mesh.get_from("10.0.0.1:1", "/ready").await.0, StatusCode::OK);
    let (status, version) = mesh.get_from("10.0.0.1:1", "/version").await;
    assert_eq!(status, StatusCode::OK);
    // `\d+\.\d+\.\d+` somewhere, and neither of the forms of development builds.
    let first = version.split('-').next().unwrap();
    assert_eq!(first.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{version}");
    assert!(!version.contains("alpha") && !version.contains("dev"), "{version}");
}

/// What its dashboard of the control plane and its page of the mesh ask Prometheus for.
const METRICS: [&str; 9] = [
    "istio_build",
    "pilot_info",
    "pilot_proxy_convergence_time_count",
    "pilot_proxy_convergence_time_sum",
    "pilot_services",
    "pilot_xds",
    "pilot_xds_pushes",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
];

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_what_its_dashboards_show() {
    let (mesh, _client) = mesh().await;
    let (status, metrics) = mesh.get_from("10.0.0.1:1", "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    let names: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| *name != "#")
        .collect();
    let missing: Vec<_> = METRICS.iter().filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
