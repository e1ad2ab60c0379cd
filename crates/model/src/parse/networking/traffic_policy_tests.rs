//! Tables of traffic policies.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::{DOMAIN, meta, spec};
use super::*;
use crate::Kind;

fn parse(json: Value) -> (TrafficPolicy, Vec<String>) {
    let meta = meta(Kind::DestinationRule);
    let mut reader = Reader::new(&meta, DOMAIN);
    let value = traffic_policy(&mut reader, &spec(json));
    let problems = reader.finish(()).1;
    (value, problems.iter().map(|one| format!("{} [{}]", one.field, one.code)).collect())
}

fn clean(json: Value) -> TrafficPolicy {
    let (value, problems) = parse(json);
    assert_eq!(problems, Vec::<String>::new());
    value
}

#[test]
fn nothing_said_is_nothing_read() {
    assert_eq!(clean(json!({})), TrafficPolicy::default());
    let pool = clean(json!({"connectionPool": {"tcp": {}, "http": {}}})).connection_pool.unwrap();
    assert_eq!((pool.tcp, pool.http), (Some(TcpPool::default()), Some(HttpPool::default())));
}

#[test]
fn pools() {
    let pool = clean(json!({"connectionPool": {
        "tcp": {"maxConnections": 10, "connectTimeout": "30ms", "tcpKeepalive": {"time": "7200s", "probes": 3}},
        "http": {"http1MaxPendingRequests": 1, "h2UpgradePolicy": "UPGRADE", "idleTimeout": "0s",
                 "http2KeepAlive": {"interval": "1s", "timeout": "2s"}},
    }}));
    let pool = pool.connection_pool.unwrap();
    let tcp = pool.tcp.unwrap();
    assert_eq!((tcp.max_connections, tcp.connect_timeout), (Some(10), Some(Duration::from_millis(30))));
    let keepalive = tcp.keepalive.unwrap();
    assert_eq!((keepalive.probes, keepalive.time), (3, Some(Duration::from_secs(7200))));
    let http = pool.http.unwrap();
    assert_eq!((http.http1_max_pending_requests, http.max_retries), (Some(1), None));
    assert_eq!((http.h2_upgrade, http.idle_timeout), (H2Upgrade::Upgrade, Some(Duration::ZERO)));
    assert_eq!(http.http2_keepalive, Some((Some(Duration::from_secs(1)), Some(Duration::from_secs(2)))));
}

#[test]
fn ejection() {
    let outlier = clean(json!({"outlierDetection": {
        "consecutive5xxErrors": 0, "interval": "5m", "minHealthPercent": 50,
        "outlierDetectionHttpErrorCodes": [503],
    }}));
    let outlier = outlier.outlier_detection.unwrap();
    assert_eq!((outlier.consecutive_5xx, outlier.consecutive_gateway), (Some(0), None));
    assert_eq!((outlier.interval, outlier.min_health_percent), (Some(Duration::from_secs(300)), 50));
    assert_eq!(outlier.http_error_codes, [503]);
}

#[test]
fn tls_and_tunnels() {
    let policy = clean(json!({
        "tls": {"mode": "MUTUAL", "credentialName": "c", "subjectAltNames": [], "insecureSkipVerify": true},
        "tunnel": {"protocol": "POST", "targetHost": "t", "targetPort": 443},
        "proxyProtocol": {}, "retryBudget": {"percent": 25, "budgetInterval": "1s"},
    }));
    let tls = policy.tls.unwrap();
    assert_eq!(
        (tls.mode, tls.subject_alt_names, tls.insecure_skip_verify),
        (ClientTlsMode::Mutual, None, true)
    );
    let tunnel = policy.tunnel.unwrap();
    assert_eq!((tunnel.use_post, tunnel.target_port), (true, 443));
    assert_eq!(policy.proxy_protocol, Some(ProxyProtocol::V1));
    let budget = policy.retry_budget.unwrap();
    assert_eq!((budget.percent, budget.min_retry_concurrency), (Some(Decimal::new(25.0)), None));
}

#[test]
fn ports_have_policies_of_their_own() {
    let policy = clean(json!({"portLevelSettings": [
        {"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}, {"port": {"number": 81}, "loadBalancer": {}}]}));
    let (number, first) = &policy.port_levels[0];
    assert_eq!((*number, first.tls.as_ref().unwrap().mode), (80, ClientTlsMode::Simple));
    assert_eq!(policy.port_levels[1].0, 81);
}

#[test]
fn mistakes_are_found_where_they_are() {
    let check = |json: Value, expected: &[&str]| assert_eq!(parse(json).1, expected);
    check(json!({"portLevelSettings": [{}]}), &["spec.portLevelSettings[0].port.number [port-missing]"]);
    check(json!({"tls": {"mode": "MUTUAL"}}), &["spec.tls [client-certificate-missing]"]);
    check(
        json!({"connectionPool": {"tcp": {"maxConnections": -1, "connectTimeout": "0s"}}}),
        &[
            "spec.connectionPool.tcp.maxConnections [number-negative]",
            "spec.connectionPool.tcp.connectTimeout [duration-zero]",
        ],
    );
    check(
        json!({"outlierDetection": {"consecutiveErrors": 5, "maxEjectionPercent": 101}}),
        &[
            "spec.outlierDetection.consecutiveErrors [field-without-effect]",
            "spec.outlierDetection.maxEjectionPercent [percentage-out-of-range]",
        ],
    );
    check(
        json!({"connectionPool": {"http": {"http2KeepAlive": {"interval": "5s"}}}}),
        &["spec.connectionPool.http.http2KeepAlive.timeout [duration-missing]"],
    );
    check(
        json!({"tunnel": {"protocol": "connect", "targetPort": 0}}),
        &[
            "spec.tunnel.protocol [tunnel-protocol-unknown]",
            "spec.tunnel.targetHost [host-missing]",
            "spec.tunnel.targetPort [port-missing]",
        ],
    );
    check(json!({"retryBudget": {"percent": 101}}), &["spec.retryBudget.percent [percentage-out-of-range]"]);
}
