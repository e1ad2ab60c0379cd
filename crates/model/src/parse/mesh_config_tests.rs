//! Tables of mesh configurations.

use serde_json::json;

use super::*;
use crate::mesh_config::ProviderKind;
use crate::{Decimal, Kind};

fn parse(written: Json) -> (Option<MeshConfig>, Vec<String>) {
    let key = Key { cluster: "c".into(), kind: Kind::MeshConfig, namespace: "".into(), name: "mesh".into() };
    let mut problems = Vec::new();
    let value = parse_mesh_config(&written, &key, &mut problems);
    (value, problems.iter().map(|one| format!("{}: {} [{}]", one.field, one.detail, one.code)).collect())
}

fn clean(written: Json) -> MeshConfig {
    let (value, problems) = parse(written);
    assert_eq!(problems, Vec::<String>::new());
    value.unwrap()
}

#[test]
fn nothing_written_is_the_default() {
    let default = MeshConfig { default_config: clean(json!({})).default_config, ..MeshConfig::default() };
    assert_eq!(clean(json!({})), default);
    assert_eq!(clean(Json::Null), default);
    assert_eq!(&*default.default_config.discovery_address, "istiod.istio-system.svc:15012");
}

#[test]
fn traffic_settings() {
    let mesh = clean(json!({
        "proxyListenPort": 0, "connectTimeout": "1s", "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "inboundTrafficPolicy": {"mode": "LOCALHOST"}, "h2UpgradePolicy": "UPGRADE",
        "localityLbSetting": {"enabled": false}, "pathNormalization": {"normalization": "MERGE_SLASHES"},
        "defaultHttpRetryPolicy": {"attempts": 5}, "tcpKeepalive": {},
        "defaultTrafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}},
    }));
    assert_eq!((mesh.proxy_listen_port, mesh.proxy_inbound_listen_port), (0, 15006));
    assert_eq!(mesh.connect_timeout, Duration::from_secs(1));
    assert_eq!(mesh.outbound_traffic_policy.mode, OutboundMode::RegistryOnly);
    assert_eq!((mesh.inbound_passthrough, mesh.h2_upgrade), (false, H2Upgrade::Upgrade));
    assert_eq!((mesh.locality_lb.as_ref(), mesh.path_normalization), (None, PathNormalization::MergeSlashes));
    assert_eq!(mesh.default_http_retry.as_ref().unwrap().attempts, 5);
    assert!(mesh.tcp_keepalive.is_some());
    assert_eq!(mesh.default_pool().unwrap().tcp.as_ref().unwrap().max_connections, Some(7));
}

#[test]
fn visibility_and_trust() {
    let mesh = clean(json!({
        "defaultServiceExportTo": ["."], "defaultVirtualServiceExportTo": ["b", "*"],
        "defaultDestinationRuleExportTo": ["~"], "rootNamespace": "root", "enableAutoMtls": false,
        "trustDomainAliases": ["b", "a"], "caCertificates": [{"pem": "x", "trustDomains": ["c"]}],
        "serviceSettings": [{"settings": {"clusterLocal": true}, "hosts": ["*.A"]}, {"hosts": ["b"]}],
        "meshMTLS": {"minProtocolVersion": "TLSV1_3"}, "tlsDefaults": {"ecdhCurves": ["P-256"]},
    }));
    assert_eq!(mesh.default_service_export_to, ExportTo::Namespaces(vec![".".into()]));
    assert_eq!(mesh.default_virtual_service_export_to, ExportTo::Public);
    assert_eq!(mesh.default_destination_rule_export_to, ExportTo::Namespaces(vec![]));
    assert_eq!((&*mesh.root_namespace, mesh.enable_auto_mtls), ("root", false));
    assert_eq!(mesh.trust_domain_aliases, ["a".into(), "b".into()]);
    assert_eq!(mesh.ca_trust_domains, ["c".into()]);
    assert_eq!(mesh.service_settings, [(vec![Host::new("*.a")], true), (vec![Host::new("b")], false)]);
    assert_eq!(mesh.mesh_mtls.min_version, Some(TlsVersion::V1_3));
    assert_eq!(mesh.tls_defaults.ecdh_curves, ["P-256".into()]);
}

#[test]
fn telemetry_settings() {
    let mesh = clean(json!({
        "enableTracing": false, "accessLogFile": "/dev/stdout", "accessLogEncoding": "JSON",
        "defaultProviders": {"tracing": ["z"]}, "defaultConfig": {"tracing": {"sampling": 10}},
        "extensionProviders": [
            {"name": "z", "zipkin": {"service": "a", "port": 9411}},
            {"name": "envoy", "envoyFileAccessLog": {"logFormat": {"labels": {"a": "%PATH%"}}}},
        ],
    }));
    assert_eq!(
        (mesh.enable_tracing, &*mesh.access_log_file, mesh.access_log_json),
        (false, "/dev/stdout", true)
    );
    assert_eq!(mesh.default_tracing, ["z".into()]);
    assert_eq!(mesh.default_config.tracing.sampling, Some(Decimal::new(10.0)));
    let names: Vec<_> = mesh.extension_providers.iter().map(|provider| &*provider.name).collect();
    assert_eq!(names, ["prometheus", "stackdriver", "envoy", "z"]);
    let ProviderKind::FileAccessLog(log) = &mesh.extension_providers[2].kind else { panic!("no file log") };
    assert_eq!(log.labels, Some(vec![("a".into(), "%PATH%".into())]));
}

#[test]
fn namespaces_that_count() {
    let check = |selectors: Json, read: usize, problems: &[&str]| {
        let (value, found) = parse(json!({"discoverySelectors": selectors}));
        assert_eq!(value.unwrap().discovery_selectors.len(), read);
        assert_eq!(found, problems);
    };
    let condition =
        |operator: &str| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": ["b"]}]});
    check(json!([{"matchLabels": {"mesh": "on"}}, condition("NotIn")]), 2, &[]);
    let place = "discoverySelectors[1].matchExpressions[0].operator";
    let told =
        format!("{place}: \"Is\" is none of In, NotIn, Exists, DoesNotExist [selector-operator-unknown]");
    check(json!([{}, condition("Is")]), 0, &[&told]);
}

#[test]
fn mistakes() {
    let (value, problems) = parse(json!({"enableTracing": "yes"}));
    assert_eq!(value, None);
    assert_eq!(
        problems,
        ["enableTracing: invalid type: string \"yes\", expected true or false [wrong-type]"]
    );
    let (value, problems) = parse(json!({"enableTracin": true, "connectTimeout": "0s"}));
    assert_eq!(value.unwrap().connect_timeout, Duration::from_secs(10));
    assert_eq!(
        problems,
        [
            "enableTracin: no such field; it is ignored [unknown-field]",
            "connectTimeout: a duration of zero is not possible here [duration-zero]",
        ]
    );
    let log = |encoding: &str, format: &str| {
        let (value, problems) =
            parse(json!({"accessLogEncoding": encoding, "accessLogFormat": format, "connectTimeout": "3s"}));
        let told: Vec<_> = problems.iter().map(|one| one.split(' ').next().unwrap().to_owned()).collect();
        (value.unwrap().access_log_format.to_string(), told.join(" "))
    };
    let told = || (String::new(), "accessLogFormat:".to_owned());
    for (encoding, format) in
        [("TEXT", "%FOO% a\n"), ("TEXT", "100%"), ("JSON", r#"{"a": {"b": ["%FOO%"]}}"#)]
    {
        assert_eq!(log(encoding, format), told(), "{format}");
    }
    for (encoding, format) in
        [("TEXT", "%REQ_WITHOUT_QUERY(:PATH)%"), ("JSON", r#"{"a": "%PROTOCOL%"}"#), ("JSON", "100%")]
    {
        assert_eq!(log(encoding, format), (format.to_owned(), String::new()), "{format}");
    }
    let (value, problems) = parse(json!({"proxyListenPort": -1, "defaultHttpRetryPolicy": {"attempts": -1}}));
    assert_eq!(value, None);
    assert_eq!(problems.len(), 2);
}
