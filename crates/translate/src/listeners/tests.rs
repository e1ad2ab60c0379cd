//! Tests of what the chains of all classes share.

use envoy_api::envoy::config::listener::v3::filter::ConfigType;
use envoy_api::envoy::extensions::access_loggers::file::v3::{
    FileAccessLog, file_access_log::AccessLogFormat,
};
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_api::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy as TcpMessage;
use model::Protocol;
use model::mesh_config::{ExtensionProvider, FileAccessLog as Log, MeshConfig, ProviderKind};
use model::proxy_config::{ConnectionSettings, ForwardClientCert, GatewayTopology, ProxyConfig};
use prost::Message;

use super::testing::{inputs, last, with};
use super::{Base, Class, Hcm, HcmOptions, Inputs, Memos, Routes, TcpProxy, TcpTarget};

fn manager(inputs: &Inputs, class: Class) -> HttpConnectionManager {
    manager_with(inputs, class, HcmOptions::default())
}

fn manager_with(inputs: &Inputs, class: Class, options: HcmOptions) -> HttpConnectionManager {
    let hcm = Hcm {
        base: Base::of(inputs, class, &Memos::default()).http,
        stat_prefix: "x;".into(),
        protocol: Protocol::Http,
        routes: Routes::Discovered("80".into()),
        options,
    };
    let Some(ConfigType::TypedConfig(config)) = hcm.filter().config_type else { panic!("no config") };
    config.unpack().unwrap()
}

fn configured(change: impl FnOnce(&mut ProxyConfig)) -> Inputs {
    let inputs = inputs();
    Inputs { profile: with(&inputs.profile, |profile| change(&mut profile.config)), ..inputs }
}

fn in_mesh(change: impl FnOnce(&mut MeshConfig)) -> Inputs {
    let inputs = inputs();
    Inputs { mesh: with(&inputs.mesh, change), ..inputs }
}

#[test]
fn gateways_trust_what_stands_before_them() {
    let plain = manager(&inputs(), Class::Gateway);
    assert_eq!((plain.use_remote_address, plain.xff_num_trusted_hops), (Some(true), 0));
    assert!(plain.set_current_client_cert_details.is_some() && plain.http_protocol_options.is_some());
    let behind = configured(|config| {
        config.gateway_topology = Some(GatewayTopology {
            num_trusted_proxies: 2,
            forward_client_cert: Some(ForwardClientCert::ForwardOnly),
            proxy_protocol: false,
        });
    });
    let behind = manager(&behind, Class::Gateway);
    assert_eq!(behind.xff_num_trusted_hops, 2);
    assert_eq!(behind.set_current_client_cert_details, None);
}

#[test]
fn the_server_header_is_not_ours_towards_the_workload() {
    let names = [Class::SidecarInbound, Class::SidecarOutbound, Class::Gateway]
        .map(|class| manager(&inputs(), class).server_name);
    assert_eq!(names, ["istio-envoy", "", "istio-envoy"]);
    let hidden = configured(|config| config.headers.server = Some((true, "".into())));
    assert_eq!(manager(&hidden, Class::Gateway).server_name, "");
}

#[test]
fn limits_of_connections_stand_over_what_everybody_has() {
    let limited = configured(|config| {
        config.connection_settings = Some(ConnectionSettings {
            max_concurrent_streams: Some(7),
            escaped_slashes: Some("REJECT_REQUEST".into()),
            ..ConnectionSettings::default()
        });
    });
    let limited = manager(&limited, Class::SidecarOutbound);
    assert_eq!(limited.http2_protocol_options.unwrap().max_concurrent_streams, Some(7));
    assert_eq!(limited.path_with_escaped_slashes_action, 2);
}

#[test]
fn outbound_filters_offer_istios_protocols() {
    let names = |class| -> Vec<String> {
        manager(&inputs(), class).http_filters.iter().map(|filter| last(&filter.name).to_owned()).collect()
    };
    let expected = "metadata_exchange grpc_stats alpn fault cors router";
    assert_eq!(names(Class::SidecarOutbound).join(" "), expected);
    assert_eq!(names(Class::Gateway).join(" "), expected);
}

#[test]
fn the_explicit_proxy_tells_all_peers_of_the_workload() {
    let inputs = configured(|config| config.headers.metadata_exchange_in_mesh = Some(true));
    let exchange = |absolute_url| {
        let options = HcmOptions { absolute_url, ..HcmOptions::default() };
        let manager = manager_with(&inputs, Class::SidecarOutbound, options);
        format!("{:?}", manager.http_filters.first().unwrap())
    };
    let plain = format!("{:?}", manager(&self::inputs(), Class::SidecarOutbound).http_filters[0]);
    assert_ne!(exchange(false), plain);
    assert_eq!(exchange(true), plain);
}

#[test]
fn the_explicit_proxy_believes_what_clients_say_of_themselves() {
    let inputs = inputs();
    let settings = with(&inputs.settings, |settings| settings.sidecar_use_remote_address = true);
    let inputs = Inputs { settings, ..inputs };
    let remote = |absolute_url| {
        let options = HcmOptions { absolute_url, ..HcmOptions::default() };
        manager_with(&inputs, Class::SidecarOutbound, options).use_remote_address
    };
    assert_eq!((remote(false), remote(true)), (Some(true), Some(false)));
}

/// Formats of the logs of connection managers; `json` for those that have fields.
fn formats(inputs: &Inputs) -> Vec<String> {
    let logs = manager(inputs, Class::SidecarOutbound).access_log;
    let format = |log: envoy_api::envoy::config::accesslog::v3::AccessLog| {
        use envoy_api::envoy::config::accesslog::v3::access_log::ConfigType::TypedConfig;
        use envoy_api::envoy::config::core::v3::data_source::Specifier::InlineString;
        use envoy_api::envoy::config::core::v3::substitution_format_string::Format;
        let Some(TypedConfig(config)) = log.config_type else { return "none".to_owned() };
        let Some(file) = config.unpack::<FileAccessLog>() else { return log.name };
        let Some(AccessLogFormat::LogFormat(format)) = file.access_log_format else { return "none".into() };
        match format.format {
            Some(Format::TextFormatSource(source)) => match source.specifier {
                Some(InlineString(text)) => format!("{} {text}", file.path),
                _ => "none".into(),
            },
            Some(Format::JsonFormat(fields)) => format!("{} json of {}", file.path, fields.fields.len()),
            _ => "none".into(),
        }
    };
    logs.into_iter().map(format).collect()
}

#[test]
fn access_logs_by_the_mesh_and_by_its_default_providers() {
    assert_eq!(formats(&inputs()), [""; 0]);
    let file = |json: bool, format: &'static str| {
        in_mesh(move |mesh| {
            mesh.access_log_file = "/log".into();
            mesh.access_log_json = json;
            mesh.access_log_format = format.into();
        })
    };
    assert_eq!(formats(&file(false, "%PROTOCOL%")), ["/log %PROTOCOL%\n"]);
    assert_eq!(formats(&file(true, "")), ["/log json of 24"]);
    assert_eq!(formats(&file(true, r#"{"a": {"b": "%DURATION%"}}"#)), ["/log json of 1"]);
    let provided = in_mesh(|mesh| {
        mesh.default_access_logging = vec!["mine".into(), "nobody".into()];
        let kind = ProviderKind::FileAccessLog(Log { text: Some("x".into()), ..Log::default() });
        mesh.extension_providers.push(ExtensionProvider { name: "Mine".into(), kind });
    });
    assert_eq!(formats(&provided), ["/dev/stdout x\n"]);
    let service = in_mesh(|mesh| mesh.enable_access_log_service = true);
    assert_eq!(formats(&service), ["envoy.access_loggers.http_grpc"]);
}

#[test]
fn tracing_is_left_out_where_its_collector_is_not_known() {
    assert!(manager(&inputs(), Class::SidecarOutbound).tracing.is_some());
    let off = in_mesh(|mesh| mesh.enable_tracing = false);
    assert_eq!(manager(&off, Class::SidecarOutbound).tracing, None);
    let unknown = in_mesh(|mesh| mesh.default_tracing = vec!["prometheus".into()]);
    assert_eq!(manager(&unknown, Class::SidecarOutbound).tracing, None);
}

#[test]
fn databases_have_filters_of_their_own_where_they_are_switched_on() {
    let inputs = inputs();
    let inputs =
        Inputs { settings: with(&inputs.settings, |settings| settings.redis_filter = true), ..inputs };
    let base = Base::of(&inputs, Class::SidecarOutbound, &Memos::default()).tcp;
    let names = |protocol| -> Vec<String> {
        let proxy = TcpProxy { protocol, ..TcpProxy::to(&base, "c") };
        proxy.filters().iter().map(|filter| last(&filter.name).to_owned()).collect()
    };
    assert_eq!(names(Protocol::Mongo), ["mongo_proxy", "tcp_proxy"]);
    assert_eq!(names(Protocol::Redis), ["redis_proxy"]);
    assert_eq!(names(Protocol::Mysql), ["tcp_proxy"]);
}

#[test]
fn several_clusters_are_shared_by_weight() {
    let base = Base::of(&inputs(), Class::SidecarOutbound, &Memos::default()).tcp;
    let target = TcpTarget::Weighted(vec![("a".into(), 1), ("b".into(), 3)]);
    let proxy = TcpProxy { target, ..TcpProxy::to(&base, "x") };
    assert_eq!(proxy.target.clusters().map(|cluster| &**cluster).collect::<Vec<_>>(), ["a", "b"]);
    let Some(ConfigType::TypedConfig(config)) = proxy.filters().remove(0).config_type else {
        panic!("no config")
    };
    assert!(TcpMessage::decode(config.value).unwrap().cluster_specifier.is_some());
}
