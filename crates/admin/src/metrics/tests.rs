//! The names are what dashboards know.

use std::collections::BTreeSet;

use envoy_api::type_url;
use expect_test::expect;

use super::names::ALL;
use super::{Remembered, text};
use crate::testing::{Mesh, until};

/// Names of our own, or of istiod's.
fn names(is_ours: bool) -> String {
    let names = ALL.iter().map(|metric| metric.name);
    let mut names: Vec<&str> = names.filter(|name| name.starts_with("pilothouse_") == is_ours).collect();
    names.sort_unstable();
    names.join("\n")
}

#[test]
fn names_of_istiods_metrics() {
    expect![[r#"
        citadel_server_authentication_failure_count
        citadel_server_cert_chain_expiry_seconds
        citadel_server_cert_chain_expiry_timestamp
        citadel_server_csr_count
        citadel_server_csr_parsing_err_count
        citadel_server_csr_sign_err_count
        citadel_server_root_cert_expiry_seconds
        citadel_server_root_cert_expiry_timestamp
        citadel_server_success_cert_issuance_count
        endpoint_no_pod
        galley_validation_config_update_error
        galley_validation_config_updates
        istio_build
        istiod_uptime_seconds
        pilot_conflict_inbound_listener
        pilot_conflict_outbound_listener_tcp_over_current_tcp
        pilot_debounce_time
        pilot_destrule_subsets
        pilot_dns_cluster_without_endpoints
        pilot_duplicate_envoy_clusters
        pilot_eds_no_instances
        pilot_endpoint_not_ready
        pilot_inbound_updates
        pilot_info
        pilot_k8s_cfg_events
        pilot_k8s_reg_events
        pilot_no_ip
        pilot_proxy_convergence_time
        pilot_proxy_queue_time
        pilot_push_triggers
        pilot_pushcontext_init_seconds
        pilot_services
        pilot_total_rejected_configs
        pilot_total_xds_internal_errors
        pilot_total_xds_rejects
        pilot_virt_services
        pilot_vservice_dup_domain
        pilot_xds
        pilot_xds_cds_reject
        pilot_xds_config_size_bytes
        pilot_xds_eds_reject
        pilot_xds_expired_nonce
        pilot_xds_lds_reject
        pilot_xds_push_time
        pilot_xds_pushes
        pilot_xds_rds_reject
        pilot_xds_recv_max
        pilot_xds_send_time
        webhook_patch_attempts_total
        webhook_patch_failures_total
        webhook_patch_retries_total"#]]
    .assert_eq(&names(false));
}

#[test]
fn names_of_metrics_of_our_own() {
    expect![[r#"
        pilothouse_changes_without_effect_total
        pilothouse_config_age_seconds
        pilothouse_failed_renewals_total
        pilothouse_foreign_certificates_total
        pilothouse_injection_config_refused
        pilothouse_memo_entries
        pilothouse_plans_made_total
        pilothouse_plans_reused_total
        pilothouse_problems
        pilothouse_resources_encoded_total
        pilothouse_resources_removed_total
        pilothouse_resources_reused_total
        pilothouse_resources_sent_total
        pilothouse_sets
        pilothouse_snapshot_generation
        pilothouse_state_age_seconds
        pilothouse_strange_streams_total
        pilothouse_tokens_total
        pilothouse_views_seconds
        pilothouse_watch_errors_total
        pilothouse_watch_live"#]]
    .assert_eq(&names(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_of_a_listed_name_and_the_usual_ones_are_there() {
    let mesh = Mesh::small().await;
    let text = mesh.get("/metrics").await.1;
    let shown: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !name.starts_with("process_"))
        .collect();
    let known: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert!(shown.is_subset(&known), "{:?}", shown.difference(&known));
    for line in [
        "istio_build{component=\"pilot\",tag=\"1.30.0\"} 1",
        "pilot_info{version=\"1.30.0\"} 1",
        "pilot_xds{version=\"1.30.0\"} 0",
        "pilot_xds_pushes{type=\"cds\"} 0",
        "pilot_services 1",
        "pilot_virt_services 1",
        "pilot_k8s_cfg_events{event=\"add\",type=\"VirtualService\"} 1",
        "pilot_k8s_reg_events{event=\"add\",type=\"Services\"} 1",
        "pilot_inbound_updates{type=\"eds\"} 1",
        "pilot_push_triggers{type=\"config\"} 1",
        "pilot_total_rejected_configs{name=\"broken.default\",type=\"VirtualService\"} 1",
        "pilothouse_problems{code=\"weight-negative\",severity=\"error\"} 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("process_cpu_seconds_total") && text.contains("process_open_fds"));
}

/// What every one of these metrics counts is there once.
const TROUBLE: [&str; 6] = [
    r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "default"},
        "spec": {"clusterIP": "10.1.0.2", "selector": {"app": "client"}, "ports": [{"name": "http", "port": 80}]}}"#,
    r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b", "namespace": "default"},
        "spec": {"clusterIP": "10.1.0.3", "selector": {"app": "client"}, "ports": [{"name": "tcp", "port": 80}]}}"#,
    r#"{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "a-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": ["10.0.0.9"], "targetRef": {"kind": "Pod", "name": "gone"}}]}"#,
    r#"{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "x", "namespace": "one"},
        "spec": {"hosts": ["x.com"], "resolution": "DNS", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}}"#,
    r#"{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "x", "namespace": "two"},
        "spec": {"hosts": ["x.com"], "resolution": "STATIC", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}}"#,
    r#"{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "x", "namespace": "one"},
        "spec": {"host": "x.com", "subsets": [{"name": "none", "labels": {"version": "none"}}]}}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_counted() {
    let mesh = Mesh::small().await;
    let _client = mesh.client(&[(type_url::CLUSTER, &[])], &[]).await;
    until(|| mesh.state.connections.list().iter().any(|one| !one.types.is_empty())).await;
    let remembered = Remembered::default();
    let shows = |lines: &[&str]| {
        let text = String::from_utf8(text(&mesh.state, &remembered).unwrap()).unwrap();
        lines.iter().all(|line| text.lines().any(|shown| shown == *line))
    };
    assert!(shows(&["pilot_no_ip 1", "pilot_conflict_inbound_listener 0", "endpoint_no_pod 0"]));
    mesh.apply(&TROUBLE).await;
    until(|| mesh.state.snapshot().services.all().count() == 5).await;
    let expected = [
        "pilot_no_ip 0",
        "pilot_conflict_inbound_listener 1",
        "pilot_duplicate_envoy_clusters 1",
        "pilot_dns_cluster_without_endpoints 1",
        "endpoint_no_pod 1",
    ];
    assert!(shows(&expected), "{}", mesh.get("/metrics").await.1);
}
