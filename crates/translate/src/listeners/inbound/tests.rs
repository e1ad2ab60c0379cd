//! Tests of inbound listeners.

use envoy_api::envoy::config::listener::v3::filter::ConfigType;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
use model::Protocol;
use model::networking::{
    CaptureMode, IngressListener, ListenerPort, MutualTlsMode, ServerTls, ServerTlsMode,
};
use serde_json::json;

use super::super::testing::{chains, decode, describe, inputs, inputs_of, last, with};
use super::super::{Inputs, Memos};
use super::listeners;
use MutualTlsMode::{Disable, Permissive, Strict};

fn described(inputs: &Inputs) -> Vec<String> {
    let memos = Memos::default();
    listeners(inputs, &memos).iter().map(|listener| describe(listener)).collect()
}

/// The chains of one port in the listener for captured traffic, without their name and port.
fn of_port(inputs: &Inputs, port: &str) -> String {
    let all = described(inputs).pop().unwrap();
    let lines = all.lines().skip(1).filter_map(|line| line.split_once(": ")?.1.strip_prefix(port));
    lines.map(|line| format!("{}\n", line.trim())).collect()
}

fn check(protocol: Protocol, mode: MutualTlsMode, expected: &[&str]) {
    let inputs = inputs().serving("a", (80, 8080), protocol).mode(mode, &[]);
    let lines: String = expected.iter().map(|line| format!("{line}\n")).collect();
    let http = "metadata_exchange http inbound_0.0.0.0_8080;";
    let tcp = "metadata_exchange tcp inbound|8080||";
    assert_eq!(
        of_port(&inputs, "8080"),
        lines.replace("HTTP", http).replace("TCP", tcp),
        "{protocol:?} {mode:?}"
    );
}

#[test]
fn the_oldest_http_is_told_too_where_it_is_served() {
    let inputs = inputs().serving("a", (80, 8080), Protocol::Auto).mode(Disable, &[]);
    let settings = with(&inputs.settings, |settings| settings.http10 = true);
    let told = described(&Inputs { settings, ..inputs }).pop().unwrap();
    assert_eq!(told.matches("raw_buffer [http/1.0,http/1.1,h2c]").count(), 2, "{told}");
    assert!(!told.contains("[http/1.1,h2c]") && told.contains("http_inspector"), "{told}");
}

#[test]
fn chains_by_protocol_and_mode() {
    let mesh = "tls [istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2]";
    let mesh_http = "tls [istio-http/1.0,istio-http/1.1,istio-h2] -> HTTP tls-ends";
    check(Protocol::Http, Permissive, &[&format!("{mesh} -> HTTP tls-ends"), "raw_buffer [] -> HTTP"]);
    check(Protocol::Grpc, Strict, &["tls [] -> HTTP tls-ends"]);
    check(Protocol::Http2, Disable, &["raw_buffer [] -> HTTP"]);
    check(
        Protocol::Tcp,
        Permissive,
        &[&format!("{mesh} -> TCP tls-ends"), "tls [] -> TCP", "raw_buffer [] -> TCP"],
    );
    check(Protocol::Https, Strict, &["tls [] -> TCP tls-ends"]);
    check(Protocol::Mysql, Disable, &["raw_buffer [] -> TCP"]);
    let plain_http = "raw_buffer [http/1.1,h2c] -> HTTP";
    let mesh_tcp = "tls [istio-peer-exchange,istio] -> TCP tls-ends";
    check(
        Protocol::Auto,
        Permissive,
        &[mesh_http, plain_http, mesh_tcp, "raw_buffer [] -> TCP", "tls [] -> TCP"],
    );
    check(Protocol::Auto, Strict, &[mesh_http, "tls [] -> TCP tls-ends"]);
    check(Protocol::Auto, Disable, &[plain_http, "raw_buffer [] -> TCP"]);
}

#[test]
fn undeclared_traffic_is_forwarded_and_loops_are_cut() {
    let inputs = inputs().mode(Strict, &[(9000, Disable)]);
    let expected = "\
virtualInbound 0.0.0.0 [original_dst tls_inspector http_inspector]
virtualInbound-blackhole: 15006  [] -> metadata_exchange tcp BlackHoleCluster
virtualInbound-catchall-http: * tls [istio-http/1.0,istio-http/1.1,istio-h2] -> metadata_exchange http InboundPassthroughCluster; tls-ends
virtualInbound: * tls [] -> metadata_exchange tcp InboundPassthroughCluster tls-ends
virtualInbound-catchall-http: 9000 raw_buffer [http/1.1,h2c] -> metadata_exchange http InboundPassthroughCluster;
virtualInbound: 9000 raw_buffer [] -> metadata_exchange tcp InboundPassthroughCluster
";
    assert_eq!(described(&inputs), [expected]);
}

#[test]
fn the_first_service_wins_a_port_and_reserved_ports_are_left_out() {
    let inputs = inputs()
        .serving("a", (80, 8080), Protocol::Http)
        .serving("b", (81, 8080), Protocol::Tcp)
        .serving("c", (15021, 15021), Protocol::Http)
        .serving("d", (15006, 15006), Protocol::Http)
        .mode(Disable, &[]);
    assert_eq!(of_port(&inputs, "8080"), "raw_buffer [] -> metadata_exchange http inbound_0.0.0.0_8080;\n");
    assert_eq!(of_port(&inputs, "15021"), "");
}

fn ingress(number: u16, protocol: Protocol) -> IngressListener {
    IngressListener {
        port: ListenerPort { number, protocol, name: "p".into() },
        bind: "".into(),
        capture_mode: CaptureMode::Default,
        default_endpoint: "127.0.0.1:1".into(),
        tls: None,
        connection_pool: None,
    }
}

#[test]
fn a_sidecars_ingress_takes_the_place_of_services() {
    let inputs = inputs().serving("a", (80, 8080), Protocol::Http).mode(Disable, &[]).sidecar(|sidecar| {
        let bound = IngressListener {
            capture_mode: CaptureMode::None,
            bind: "::".into(),
            ..ingress(1, Protocol::Tcp)
        };
        sidecar.ingress = vec![ingress(9000, Protocol::Http), bound];
    });
    let all = described(&inputs);
    assert_eq!(all[0], "::_1 :: []\n::_1: 1 raw_buffer [] -> metadata_exchange tcp inbound|1||\n");
    assert_eq!(of_port(&inputs, "9000"), "raw_buffer [] -> metadata_exchange http inbound_10.0.0.1_9000;\n");
    assert_eq!(of_port(&inputs, "8080"), "");
}

#[test]
fn a_sidecars_own_tls_counts_where_mutual_tls_is_off() {
    let inputs = inputs().sidecar(|sidecar| {
        let tls = ServerTls { mode: ServerTlsMode::Simple, ..ServerTls::default() };
        sidecar.ingress = vec![IngressListener { tls: Some(tls), ..ingress(9000, Protocol::Https) }];
    });
    let on = Inputs {
        settings: with(&inputs.settings, |settings| settings.tls_on_sidecar_ingress = true),
        ..inputs.clone()
    };
    let http = "metadata_exchange http inbound_10.0.0.1_9000;";
    assert_eq!(of_port(&on.clone().mode(Disable, &[]), "9000"), format!("tls [] -> {http} tls-ends\n"));
    assert_eq!(of_port(&on.mode(Strict, &[]), "9000"), format!("tls [] -> {http} tls-ends\n"));
    let off = of_port(&inputs.mode(Disable, &[]), "9000");
    assert_eq!(off, "raw_buffer [] -> metadata_exchange tcp inbound|9000||\n");
}

#[test]
fn nothing_is_served_for_services_where_nothing_is_captured() {
    let inputs = inputs_of(&json!({"INTERCEPTION_MODE": "NONE"})).serving("a", (80, 8080), Protocol::Http);
    assert_eq!(described(&inputs), [""; 0]);
}

#[test]
fn what_a_proxy_cannot_do_is_not_sent() {
    let inputs = inputs_of(&json!({"ISTIO_VERSION": ""})).serving("a", (80, 8080), Protocol::Tcp);
    let lines = of_port(&inputs, "8080");
    assert!(lines.starts_with("tls [istio,istio-peer-exchange,"), "{lines}");
    assert!(!lines.contains("metadata_exchange"), "{lines}");
    let memos = Memos::default();
    let listener = decode(&listeners(&inputs, &memos)[0]);
    for chain in chains(&listener) {
        let Some(socket) = chain.transport_socket else { continue };
        let Some(envoy_api::envoy::config::core::v3::transport_socket::ConfigType::TypedConfig(config)) =
            socket.config_type
        else {
            continue;
        };
        let context: DownstreamTlsContext = config.unpack().unwrap();
        assert_eq!(context.common_tls_context.unwrap().alpn_protocols, ["h2", "http/1.1"]);
    }
}

#[test]
fn http_filters_stand_in_order() {
    let filters = |inputs: &Inputs| -> Vec<String> {
        let memos = Memos::default();
        let listener = decode(&listeners(inputs, &memos)[0]);
        let chain = chains(&listener).pop().unwrap();
        let Some(ConfigType::TypedConfig(config)) = &chain.filters.last().unwrap().config_type else {
            return Vec::new();
        };
        let manager: HttpConnectionManager = config.unpack().unwrap();
        manager.http_filters.iter().map(|filter| last(&filter.name).to_owned()).collect()
    };
    let plain = inputs().serving("a", (80, 8080), Protocol::GrpcWeb).mode(Disable, &[]);
    let measured = Inputs {
        mesh: with(&plain.mesh, |mesh| mesh.default_metrics = vec!["Prometheus".into(), "none".into()]),
        ..plain.clone()
    };
    let expected = "metadata_exchange grpc_web grpc_stats fault cors stats router";
    assert_eq!(filters(&measured).join(" "), expected);
    assert_eq!(filters(&plain).join(" "), "metadata_exchange grpc_web grpc_stats fault cors router");
}

#[test]
fn workloads_share_what_carries_no_tags() {
    let memos = Memos::default();
    let one = inputs().serving("a", (80, 8080), Protocol::Tcp);
    let other =
        Inputs { profile: with(&one.profile, |profile| profile.mesh_id = "other".into()), ..one.clone() };
    let first = listeners(&one, &memos);
    let made = memos.inbound.chains.counts().made;
    assert_eq!(listeners(&one, &memos), first);
    assert_eq!((memos.inbound.sets.counts().made, memos.inbound.listeners.counts().made), (1, 1));
    let second = listeners(&other, &memos);
    assert_ne!(first, second);
    assert_eq!(memos.inbound.chains.counts().made, made + 2, "only the two for HTTP");
}
