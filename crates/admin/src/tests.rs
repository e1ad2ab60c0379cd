//! Pages over HTTP and xDS, with a real server and real streams.

use axum::http::StatusCode;
use envoy_api::envoy::admin::v3::ClustersConfigDump;
use envoy_api::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_api::{Any, type_url};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use xds::{Peer, Question};

use crate::testing::{Mesh, node, until};
use crate::{Report, answer};

const ALL: &[(&str, &[&str])] = &[
    (type_url::CLUSTER, &[]),
    (type_url::ENDPOINT, &["outbound|9080||reviews.default.svc.cluster.local"]),
    (type_url::LISTENER, &[]),
    (type_url::ROUTE, &["9080"]),
    (type_url::NAME_TABLE, &[]),
];

/// A mesh with one client that accepts all but what is `refused`, and is through with it.
async fn mesh_with_client(refused: &'static [&'static str]) -> (Mesh, crate::testing::Client) {
    let mesh = Mesh::small().await;
    let client = mesh.client(ALL, refused).await;
    until(|| {
        let list = mesh.state.connections.list();
        list.first().is_some_and(|one| {
            let answered = |url: &&str| {
                one.types.get(*url).is_some_and(|status| status.sent.is_some() && !status.pending)
            };
            [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE].iter().all(answered)
        })
    })
    .await;
    (mesh, client)
}

/// Nonces, times and ports differ from run to run.
fn check(mut value: Value, expected: &Expect) {
    scrub(&mut value);
    expected.assert_eq(&format!("{value:#}"));
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key.ends_with("sent") || key.ends_with("acked") => {
                        *text = "N".into()
                    }
                    Value::String(text) if ["sentTime", "connectedAt", "address"].contains(&&**key) => {
                        *text = "…".into();
                    }
                    other => scrub(other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(scrub),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_first_state() {
    let empty = Mesh::empty().await;
    assert_eq!(
        empty.get("/ready").await,
        (StatusCode::SERVICE_UNAVAILABLE, "the configuration has not been read yet\n".to_owned())
    );
    let mut mesh = Mesh::small().await;
    assert_eq!(mesh.get("/ready").await, (StatusCode::OK, String::new()));
    assert_eq!(mesh.get("/version").await.1, "1.30.0-abc-Clean");
    let waiting = || Report { details: vec!["a part waits".into()], ..Report::default() };
    mesh.state.parts.push(std::sync::Arc::new(waiting));
    assert_eq!(mesh.get("/ready").await, (StatusCode::SERVICE_UNAVAILABLE, "a part waits\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_pages_are_for_loopback_and_the_index_for_all() {
    let mesh = Mesh::small().await;
    assert_eq!(mesh.get_from("10.0.0.1:1", "/debug/syncz").await, (StatusCode::UNAUTHORIZED, String::new()));
    assert_eq!(mesh.get_from("10.0.0.1:1", "/debug").await.0, StatusCode::OK);
    assert_eq!(mesh.get_from("10.0.0.1:1", "/metrics").await.0, StatusCode::OK);
    assert_eq!(mesh.get("/debug/nothing").await.0, StatusCode::NOT_FOUND);
    let names = mesh.json("/debug/list").await;
    for name in names.as_array().unwrap() {
        let (status, body) = mesh.get(&format!("/debug/{}", name.as_str().unwrap())).await;
        assert!(status == StatusCode::OK || body.contains("proxyID"), "{name}: {status} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn syncz_has_the_fields_that_istioctl_reads() {
    let (mesh, _client) = mesh_with_client(&[]).await;
    check(
        mesh.json("/debug/syncz").await,
        &expect![[r#"
        [
          {
            "cluster_acked": "N",
            "cluster_id": "Kubernetes",
            "cluster_sent": "N",
            "endpoint_acked": "N",
            "endpoint_sent": "N",
            "istio_version": "1.29.1",
            "listener_acked": "N",
            "listener_sent": "N",
            "proxy": "client-1.default",
            "proxy_type": "sidecar",
            "resources": {
              "type.googleapis.com/envoy.config.cluster.v3.Cluster": {
                "acked": "N",
                "sent": "N",
                "sentTime": "…"
              },
              "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": {
                "acked": "N",
                "sent": "N",
                "sentTime": "…"
              },
              "type.googleapis.com/envoy.config.listener.v3.Listener": {
                "acked": "N",
                "sent": "N",
                "sentTime": "…"
              },
              "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {
                "acked": "N",
                "sent": "N",
                "sentTime": "…"
              },
              "type.googleapis.com/istio.networking.nds.v1.NameTable": {
                "sentTime": "…"
              }
            },
            "route_acked": "N",
            "route_sent": "N"
          }
        ]"#]],
    );
    assert_eq!(mesh.json("/debug/syncz?namespace=other").await, Value::Array(Vec::new()));
    let one = &mesh.json("/debug/syncz").await[0];
    assert_eq!(one["cluster_sent"], one["cluster_acked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_shown_with_its_reason() {
    let (mesh, _client) = mesh_with_client(&[type_url::LISTENER]).await;
    let one = &mesh.json("/debug/syncz").await[0];
    assert_eq!(one["resources"][type_url::LISTENER]["lastError"], "no good");
    assert!(one.get("listener_acked").is_none() && one.get("listener_sent").is_some());
    let metrics = mesh.get("/metrics").await.1;
    // Listeners that wait for clusters come in a response of their own, which is refused too.
    let of = |series: &str| metrics.lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned);
    let refused = of("pilot_total_xds_rejects{type=\"lds\"} ");
    assert!(refused.as_deref().is_some_and(|count| ["1", "2"].contains(&count)), "{metrics}");
    assert_eq!(of("pilot_xds_lds_reject{err=\"Internal\",node=\"client-1.default\"} "), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn adsz_shows_who_is_connected_and_what_they_watch() {
    let (mesh, _client) = mesh_with_client(&[]).await;
    check(
        mesh.json("/debug/adsz").await,
        &expect![[r#"
        {
          "clients": [
            {
              "address": "…",
              "connectedAt": "…",
              "connectionId": "client-1.default-1",
              "labels": {
                "app": "client"
              },
              "locality": {
                "region": "r",
                "zone": "z"
              },
              "metadata": {
                "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.29.1",
                "LABELS": {
                  "app": "client"
                },
                "NAMESPACE": "default",
                "PROXY_CONFIG": {}
              },
              "watches": {
                "type.googleapis.com/envoy.config.cluster.v3.Cluster": [],
                "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": [
                  "outbound|9080||reviews.default.svc.cluster.local"
                ],
                "type.googleapis.com/envoy.config.listener.v3.Listener": [],
                "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": [
                  "9080"
                ],
                "type.googleapis.com/istio.networking.nds.v1.NameTable": []
              }
            }
          ],
          "totalClients": 1
        }"#]],
    );
    assert_eq!(mesh.json("/debug/connections").await["totalClients"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_dump_has_the_parts_that_istioctl_looks_for() {
    let (mesh, _client) = mesh_with_client(&[]).await;
    let dump = mesh.json("/debug/config_dump?proxyID=client-1.default&include_eds").await;
    let types = |dump: &Value| -> Vec<String> {
        let configs = dump["configs"].as_array().unwrap();
        configs
            .iter()
            .map(|part| part["@type"].as_str().unwrap().rsplit('.').next().unwrap().into())
            .collect()
    };
    let parts = "BootstrapConfigDump ClustersConfigDump EndpointsConfigDump ListenersConfigDump \
                 ScopedRoutesConfigDump RoutesConfigDump SecretsConfigDump EcdsConfigDump";
    assert_eq!(types(&dump), parts.split_whitespace().collect::<Vec<_>>());
    let clusters = dump["configs"][1]["dynamicActiveClusters"].as_array().unwrap();
    let name = "outbound|9080||reviews.default.svc.cluster.local";
    let reviews = clusters.iter().find(|one| one["cluster"]["name"] == name).unwrap();
    assert_eq!(reviews["cluster"]["@type"], type_url::CLUSTER);
    let endpoints = &dump["configs"][2]["dynamicEndpointConfigs"][0]["endpointConfig"];
    assert_eq!(endpoints["clusterName"], name);
    let some = mesh.json("/debug/config_dump?proxyID=client-1.default&types=lds,eds").await;
    assert_eq!(types(&some), ["Listener", "Listener", "Listener", "ClusterLoadAssignment"]);
    let endpoints = mesh.json("/debug/edsz?proxyID=client-1.default").await;
    assert_eq!(types(&endpoints), ["ClusterLoadAssignment"]);
    let missing = mesh.get("/debug/config_dump").await;
    assert_eq!(missing, (StatusCode::BAD_REQUEST, "You must provide a proxyID in the query string\n".into()));
    assert_eq!(mesh.get("/debug/config_dump?proxyID=x.y").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_name_file_line_object_field_and_cause() {
    let mesh = Mesh::small().await;
    check(
        mesh.json("/debug/problems").await,
        &expect![[r#"
            [
              {
                "cause": "weight -1 is negative",
                "code": "weight-negative",
                "field": "spec.http[0].route[0].weight",
                "file": "mesh.yaml",
                "kind": "VirtualService",
                "line": 7,
                "message": "VirtualService default/broken: spec.http[0].route[0].weight: weight -1 is negative [weight-negative]",
                "name": "broken",
                "namespace": "default",
                "severity": "error"
              }
            ]"#]],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_clients_read_are_istiods() {
    let (mesh, _client) = mesh_with_client(&[]).await;
    for (page, pointer, expected) in [
        ("adsz", "/clients/0/locality", json!({"region": "r", "zone": "z"})),
        ("adsz?proxyID=client-1", "/totalClients", json!(1)),
        ("connections", "/clients/0/watches", Value::Null),
        ("syncz?namespace=default", "/0/istio_version", json!("1.29.1")),
        (
            "syncz",
            "/0/resources/type.googleapis.com~1istio.networking.nds.v1.NameTable/sentTime",
            json!("0001-01-01T00:00:00Z"),
        ),
        ("config_dump?proxyID=client-1.default&types=CDS", "/configs/0/@type", json!(type_url::CLUSTER)),
    ] {
        let shown = mesh.json(&format!("/debug/{page}")).await;
        assert_eq!(shown.pointer(pointer).unwrap_or(&Value::Null), &expected, "{page} {pointer}: {shown:#}");
    }
    let empty = Mesh::empty().await;
    assert_eq!(empty.get("/debug/adsz").await.1, r#"{"totalClients":0}"#);
    let configz = mesh.json("/debug/configz").await;
    let routes = configz
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["metadata"]["name"] == "reviews" && object["kind"] == "VirtualService");
    let routes = routes.unwrap();
    assert_eq!(routes["apiVersion"], "networking.istio.io/v1");
    assert_eq!(routes["metadata"]["namespace"], "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_have_the_shape_of_istiods_type() {
    let mesh = Mesh::small().await;
    check(
        mesh.json("/debug/registryz").await,
        &expect![[r#"
        [
          {
            "Attributes": {
              "ExportTo": {
                "*": {}
              },
              "LabelSelectors": null,
              "Labels": {},
              "Name": "reviews",
              "Namespace": "default",
              "ServiceRegistry": "Kubernetes"
            },
            "MeshExternal": false,
            "Resolution": 0,
            "clusterVIPs": {
              "Addresses": {
                "Kubernetes": [
                  "10.1.0.1"
                ]
              }
            },
            "defaultAddress": "10.1.0.1",
            "hostname": "reviews.default.svc.cluster.local",
            "ports": [
              {
                "name": "http",
                "port": 9080,
                "protocol": "HTTP"
              }
            ],
            "serviceAccounts": []
          }
        ]"#]],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_shown_by_service_and_source() {
    let mesh = Mesh::small().await;
    check(
        mesh.json("/debug/endpointShardz").await,
        &expect![[r#"
        {
          "reviews.default.svc.cluster.local": {
            "default": {
              "ServiceAccounts": {},
              "Shards": {
                "Kubernetes/Kubernetes": [
                  {
                    "Addresses": [
                      "10.0.0.1"
                    ],
                    "EndpointPort": 9080,
                    "HealthStatus": 1,
                    "HostName": "",
                    "Labels": {},
                    "LbWeight": 0,
                    "Locality": {
                      "ClusterID": "Kubernetes",
                      "Label": ""
                    },
                    "Namespace": "",
                    "Network": "",
                    "NodeName": "",
                    "ServiceAccount": "",
                    "ServicePortName": "http",
                    "SubDomain": "",
                    "TLSMode": "disabled",
                    "WorkloadName": ""
                  }
                ]
              }
            }
          }
        }"#]],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn syncz_over_xds_serves_old_and_new_readers_and_does_not_list_who_asks() {
    let (mesh, _client) = mesh_with_client(&[type_url::LISTENER]).await;
    let response = mesh.ask("istio.io/debug/syncz", &[]).await.unwrap();
    let who: Value = serde_json::from_str(&response.control_plane.unwrap().identifier).unwrap();
    assert_eq!((&who["ID"], &who["Info"]["version"]), (&"istiod-1".into(), &"1.30.0".into()));
    let [resource] = &response.resources[..] else { panic!("one proxy is connected") };
    let client: ClientConfig = resource.resource.as_ref().and_then(Any::unpack).unwrap();
    let node = client.node.unwrap();
    assert_eq!(node.id, "client-1.default");
    let keys: Vec<String> = node.metadata.unwrap().fields.into_keys().collect();
    assert_eq!(keys, ["CLUSTER_ID", "ISTIO_VERSION", "NAMESPACE"]);
    let words: Vec<_> = client
        .generic_xds_configs
        .iter()
        .map(|config| (config.type_url.rsplit('.').next().unwrap(), config.config_status()))
        .collect();
    let synced = ConfigStatus::Synced;
    let expected = [
        ("Cluster", synced),
        ("ClusterLoadAssignment", synced),
        ("Listener", ConfigStatus::Error),
        ("RouteConfiguration", synced),
        ("NameTable", ConfigStatus::NotSent),
    ];
    assert_eq!(words, expected);
    assert_eq!(client.xds_config.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_dumps_are_served_over_xds() {
    let (mesh, _client) = mesh_with_client(&[]).await;
    let page = mesh.ask("istio.io/debug", &["syncz?pretty"]).await.unwrap();
    let body = page.resources[0].resource.clone().unwrap();
    assert_eq!(body.type_url, "istio.io/debug");
    assert!(serde_json::from_slice::<Value>(&body.value).unwrap()[0]["proxy"] == "client-1.default");
    let dump = mesh.ask("istio.io/debug/config_dump", &["client-1.default"]).await.unwrap();
    let clusters = dump
        .resources
        .iter()
        .find_map(|part| part.resource.as_ref().and_then(Any::unpack::<ClustersConfigDump>));
    assert!(!clusters.unwrap().dynamic_active_clusters.is_empty());
    let unknown = mesh.ask("istio.io/debug", &["nothing"]).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_from_elsewhere_are_denied() {
    let mesh = Mesh::small().await;
    let mut extensions = axum::http::Extensions::new();
    extensions.insert(Peer("10.0.0.1:1".parse().unwrap()));
    let question = Question {
        type_url: "istio.io/debug/syncz".into(),
        names: Vec::new(),
        node: std::sync::Arc::new(node()),
        connection: "x".into(),
        extensions,
    };
    assert_eq!(answer(&mesh.state, &question).unwrap_err().code(), tonic::Code::Unauthenticated);
}
