//! How a destination is called: pools, outlier detection, TLS, and exceptions by port.

use std::sync::Arc;

use istio_api::networking as api;

use super::load_balancer::load_balancer;
use super::reader::{Reader, text, texts};
use crate::Decimal;
use crate::networking::{
    ClientTls, ClientTlsMode, ConnectionPool, H2Upgrade, HttpPool, OutlierDetection, ProxyProtocol,
    RetryBudget, TcpKeepalive, TcpPool, TrafficPolicy, Tunnel,
};

/// The policy of a rule or a subset.
pub(super) fn traffic_policy(reader: &mut Reader<'_>, spec: &api::TrafficPolicy) -> TrafficPolicy {
    TrafficPolicy {
        load_balancer: reader.optional("loadBalancer", spec.load_balancer.as_ref(), load_balancer),
        connection_pool: reader.optional("connectionPool", spec.connection_pool.as_ref(), connection_pool),
        outlier_detection: reader.optional("outlierDetection", spec.outlier_detection.as_ref(), outlier),
        tls: reader.optional("tls", spec.tls.as_ref(), client_tls),
        port_levels: reader.each("portLevelSettings", &spec.port_level_settings, port_level),
        tunnel: reader.optional("tunnel", spec.tunnel.as_ref(), tunnel),
        proxy_protocol: spec.proxy_protocol.as_ref().map(|protocol| match protocol.version {
            api::ProxyProtocolVersion::V1 => ProxyProtocol::V1,
            api::ProxyProtocolVersion::V2 => ProxyProtocol::V2,
        }),
        retry_budget: reader.optional("retryBudget", spec.retry_budget.as_ref(), retry_budget),
    }
}

fn port_level(reader: &mut Reader<'_>, spec: &api::PortTrafficPolicy) -> (u16, Arc<TrafficPolicy>) {
    let number = spec.port.as_ref().map_or(0, |port| port.number);
    let policy = TrafficPolicy {
        load_balancer: reader.optional("loadBalancer", spec.load_balancer.as_ref(), load_balancer),
        connection_pool: reader.optional("connectionPool", spec.connection_pool.as_ref(), connection_pool),
        outlier_detection: reader.optional("outlierDetection", spec.outlier_detection.as_ref(), outlier),
        tls: reader.optional("tls", spec.tls.as_ref(), client_tls),
        ..TrafficPolicy::default()
    };
    (reader.required_port("port.number", number), Arc::new(policy))
}

/// Limits of connections and requests.
pub(in crate::parse) fn connection_pool(
    reader: &mut Reader<'_>,
    spec: &api::ConnectionPoolSettings,
) -> ConnectionPool {
    ConnectionPool {
        tcp: reader.optional("tcp", spec.tcp.as_ref(), tcp_pool),
        http: reader.optional("http", spec.http.as_ref(), http_pool),
    }
}

fn tcp_pool(reader: &mut Reader<'_>, spec: &api::TcpSettings) -> TcpPool {
    TcpPool {
        max_connections: reader.limit("maxConnections", spec.max_connections),
        connect_timeout: reader.positive_duration("connectTimeout", spec.connect_timeout),
        keepalive: reader.optional("tcpKeepalive", spec.tcp_keepalive.as_ref(), keepalive),
        max_connection_duration: reader
            .positive_duration("maxConnectionDuration", spec.max_connection_duration),
        idle_timeout: reader.duration("idleTimeout", spec.idle_timeout),
    }
}

/// Keepalive of connections.
pub(in crate::parse) fn keepalive(reader: &mut Reader<'_>, spec: &api::TcpKeepalive) -> TcpKeepalive {
    TcpKeepalive {
        probes: spec.probes,
        time: reader.duration("time", spec.time),
        interval: reader.duration("interval", spec.interval),
    }
}

fn http_pool(reader: &mut Reader<'_>, spec: &api::HttpSettings) -> HttpPool {
    HttpPool {
        http1_max_pending_requests: reader.limit("http1MaxPendingRequests", spec.http1_max_pending_requests),
        http2_max_requests: reader.limit("http2MaxRequests", spec.http2_max_requests),
        max_requests_per_connection: reader
            .limit("maxRequestsPerConnection", spec.max_requests_per_connection),
        max_retries: reader.limit("maxRetries", spec.max_retries),
        idle_timeout: reader.duration("idleTimeout", spec.idle_timeout),
        h2_upgrade: match spec.h2_upgrade_policy {
            api::H2UpgradePolicy::Default => H2Upgrade::Default,
            api::H2UpgradePolicy::DoNotUpgrade => H2Upgrade::DoNotUpgrade,
            api::H2UpgradePolicy::Upgrade => H2Upgrade::Upgrade,
        },
        use_client_protocol: spec.use_client_protocol,
        max_concurrent_streams: reader.limit("maxConcurrentStreams", spec.max_concurrent_streams),
        http2_keepalive: reader.optional("http2KeepAlive", spec.http2_keep_alive.as_ref(), |reader, spec| {
            for (field, time) in [("interval", spec.interval), ("timeout", spec.timeout)] {
                if time.is_none() {
                    reader.refuse(field, "duration-missing", "keepalive needs an interval and a timeout");
                }
            }
            (
                reader.positive_duration("interval", spec.interval),
                reader.positive_duration("timeout", spec.timeout),
            )
        }),
    }
}

/// When endpoints are ejected.
pub(in crate::parse) fn outlier(reader: &mut Reader<'_>, spec: &api::OutlierDetection) -> OutlierDetection {
    if spec.consecutive_errors != 0 {
        let detail = "without effect; consecutive5xxErrors has taken its place";
        reader.warn("consecutiveErrors", "field-without-effect", detail);
    }
    OutlierDetection {
        consecutive_5xx: spec.consecutive_5xx_errors,
        consecutive_gateway: spec.consecutive_gateway_errors,
        consecutive_local_origin: spec.consecutive_local_origin_failures,
        split_external_local_origin: spec.split_external_local_origin_errors,
        interval: reader.positive_duration("interval", spec.interval),
        base_ejection_time: reader.positive_duration("baseEjectionTime", spec.base_ejection_time),
        max_ejection_percent: percent(reader, "maxEjectionPercent", spec.max_ejection_percent),
        min_health_percent: percent(reader, "minHealthPercent", spec.min_health_percent),
        http_error_codes: spec.outlier_detection_http_error_codes.clone(),
    }
}

fn percent(reader: &mut Reader<'_>, field: &str, number: i32) -> u32 {
    let percent = reader.limit(field, number).unwrap_or(0);
    if percent > 100 {
        reader.refuse(field, "percentage-out-of-range", format!("{percent} is above 100"));
    }
    percent
}

/// TLS towards endpoints.
pub(in crate::parse) fn client_tls(reader: &mut Reader<'_>, spec: &api::ClientTlsSettings) -> ClientTls {
    let mode = match spec.mode {
        api::ClientTlsMode::Disable => ClientTlsMode::Disable,
        api::ClientTlsMode::Simple => ClientTlsMode::Simple,
        api::ClientTlsMode::Mutual => ClientTlsMode::Mutual,
        api::ClientTlsMode::IstioMutual => ClientTlsMode::IstioMutual,
    };
    let files = !spec.client_certificate.is_empty() && !spec.private_key.is_empty();
    if mode == ClientTlsMode::Mutual && !files && spec.credential_name.is_empty() {
        let detail = "mode MUTUAL needs clientCertificate and privateKey, or credentialName";
        reader.refuse("", "client-certificate-missing", detail);
    }
    ClientTls {
        mode,
        client_certificate: text(&spec.client_certificate),
        private_key: text(&spec.private_key),
        ca_certificates: text(&spec.ca_certificates),
        ca_crl: text(&spec.ca_crl),
        credential_name: text(&spec.credential_name),
        // An empty list cannot be told from none in the API.
        subject_alt_names: Some(texts(&spec.subject_alt_names)).filter(|names| !names.is_empty()),
        sni: text(&spec.sni),
        insecure_skip_verify: spec.insecure_skip_verify.unwrap_or_default(),
    }
}

fn tunnel(reader: &mut Reader<'_>, spec: &api::TunnelSettings) -> Tunnel {
    if !matches!(spec.protocol.as_str(), "" | "CONNECT" | "POST") {
        let detail = format!("{:?} is neither CONNECT nor POST", spec.protocol);
        reader.refuse("protocol", "tunnel-protocol-unknown", detail);
    }
    if spec.target_host.is_empty() {
        reader.refuse("targetHost", "host-missing", "a tunnel needs a target");
    }
    Tunnel {
        use_post: spec.protocol == "POST",
        target_host: text(&spec.target_host),
        target_port: reader.required_port("targetPort", spec.target_port),
    }
}

fn retry_budget(reader: &mut Reader<'_>, spec: &api::RetryBudget) -> RetryBudget {
    if spec.percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        reader.refuse("percent", "percentage-out-of-range", "the range is 0 to 100");
    }
    RetryBudget {
        percent: spec.percent.map(Decimal::new),
        min_retry_concurrency: Some(spec.min_retry_concurrency).filter(|number| *number > 0),
        budget_interval: reader.positive_duration("budgetInterval", spec.budget_interval),
    }
}

#[cfg(test)]
#[path = "traffic_policy_tests.rs"]
mod tests;
