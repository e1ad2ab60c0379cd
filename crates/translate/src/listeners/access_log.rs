//! Access logs by the mesh's configuration (xds-semantics, access logs and access logging).

use envoy_api::Any;
use envoy_api::envoy::config::accesslog::v3::access_log::ConfigType;
use envoy_api::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_api::envoy::config::accesslog::v3::{AccessLog, AccessLogFilter, ResponseFlagFilter};
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::access_loggers::file::v3::{FileAccessLog, file_access_log};
use envoy_api::envoy::extensions::access_loggers::grpc::v3::{
    CommonGrpcAccessLogConfig, HttpGrpcAccessLogConfig, TcpGrpcAccessLogConfig,
};
use memo::Shared;
use model::Text;
use model::mesh_config::{self, MeshConfig, ProviderKind};
use prost_types::Struct;

use crate::wire::text_value;

/// What access logs may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Inputs {
    /// The mesh's configuration.
    pub(super) mesh: Shared<MeshConfig>,
}

/// The access logs of connection managers, TCP proxies and listeners.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AccessLogs {
    /// Of connection managers.
    pub(crate) http: Vec<AccessLog>,
    /// Of TCP proxies.
    pub(crate) tcp: Vec<AccessLog>,
    /// Of listeners: only connections that no filter chain was found for.
    pub(crate) listener: Vec<AccessLog>,
}

impl AccessLogs {
    /// The logs by the mesh's default providers, else by its older settings.
    pub(super) fn new(inputs: &Inputs) -> Self {
        let mesh = &*inputs.mesh;
        let (http, tcp, listener) = if mesh.default_access_logging.is_empty() {
            legacy(mesh)
        } else {
            let logs: Vec<_> =
                sorted_providers(mesh).into_iter().filter_map(|it| provider(it, mesh)).collect();
            // A list whose providers log nothing counts as no list.
            if logs.is_empty() { legacy(mesh) } else { (logs.clone(), logs.clone(), logs) }
        };
        let listener = if mesh.disable_listener_log { Vec::new() } else { listener };
        Self { http, tcp, listener: listener.into_iter().map(only_without_route).collect() }
    }
}

fn sorted_providers(mesh: &MeshConfig) -> Vec<&mesh_config::ExtensionProvider> {
    let mut all: Vec<_> = mesh.default_access_logging.iter().filter_map(|name| mesh.provider(name)).collect();
    all.sort_by(|one, two| one.name.cmp(&two.name));
    all.dedup_by(|one, two| one.name == two.name);
    all
}

type Logs = (Vec<AccessLog>, Vec<AccessLog>, Vec<AccessLog>);

fn legacy(mesh: &MeshConfig) -> Logs {
    let mut logs = Logs::default();
    if !mesh.access_log_file.is_empty() {
        let file = file(&mesh.access_log_file, mesh_format(mesh));
        logs = (vec![file.clone()], vec![file.clone()], vec![file]);
    }
    if mesh.enable_access_log_service {
        logs.0.push(http_service());
        logs.1.push(tcp_service("tcp_envoy_accesslog"));
        logs.2.push(tcp_service("listener_envoy_accesslog"));
    }
    logs
}

/// The provider that every mesh has; without a format of its own it follows the mesh's.
const BUILT_IN: &str = "envoy";

fn provider(provider: &mesh_config::ExtensionProvider, mesh: &MeshConfig) -> Option<AccessLog> {
    let ProviderKind::FileAccessLog(log) = &provider.kind else { return None };
    let path = if log.path.is_empty() { "/dev/stdout" } else { &log.path };
    let unsaid = log.text.is_none() && log.labels.is_none() && !log.omit_empty;
    let format = if unsaid && &*provider.name == BUILT_IN { mesh_format(mesh) } else { own_format(log) };
    Some(file(path, format))
}

fn own_format(log: &mesh_config::FileAccessLog) -> core::SubstitutionFormatString {
    let mut format = match &log.labels {
        Some(labels) if labels.is_empty() => json(default_json()),
        Some(labels) => json(labels_json(labels)),
        None => text(log.text.as_deref().unwrap_or_default()),
    };
    format.omit_empty_values = log.omit_empty;
    format
}

fn mesh_format(mesh: &MeshConfig) -> core::SubstitutionFormatString {
    match (mesh.access_log_json, &*mesh.access_log_format) {
        (false, written) => text(written),
        (true, written) => json(json_fields(written).unwrap_or_else(default_json)),
    }
}

/// The fields of a JSON format; `None` if there are none or it is no JSON object.
fn json_fields(written: &str) -> Option<Struct> {
    crate::wire::parse_struct(written).filter(|fields| !fields.fields.is_empty())
}

fn labels_json(labels: &[(Text, Text)]) -> Struct {
    Struct { fields: labels.iter().map(|(name, format)| (name.to_string(), text_value(format))).collect() }
}

fn json(fields: Struct) -> core::SubstitutionFormatString {
    core::SubstitutionFormatString {
        formatters: formatters(fields.fields.values().any(mentions_path_without_query)),
        json_format_options: Some(core::JsonFormatOptions { sort_properties: false }),
        format: Some(core::substitution_format_string::Format::JsonFormat(fields)),
        ..Default::default()
    }
}

fn mentions_path_without_query(value: &prost_types::Value) -> bool {
    use prost_types::value::Kind;
    match &value.kind {
        Some(Kind::StringValue(text)) => text.contains(WITHOUT_QUERY),
        Some(Kind::StructValue(inner)) => inner.fields.values().any(mentions_path_without_query),
        Some(Kind::ListValue(list)) => list.values.iter().any(mentions_path_without_query),
        _ => false,
    }
}

/// A text format: the default one if empty, with a line's end in any case.
fn text(written: &str) -> core::SubstitutionFormatString {
    let mut line = if written.is_empty() { DEFAULT_TEXT.to_owned() } else { written.to_owned() };
    if !line.ends_with('\n') {
        line.push('\n');
    }
    core::SubstitutionFormatString {
        formatters: formatters(line.contains(WITHOUT_QUERY)),
        format: Some(core::substitution_format_string::Format::TextFormatSource(core::DataSource {
            specifier: Some(core::data_source::Specifier::InlineString(line)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// A command that Envoy knows only with an extension.
const WITHOUT_QUERY: &str = "%REQ_WITHOUT_QUERY";

fn formatters(without_query: bool) -> Vec<core::TypedExtensionConfig> {
    use envoy_api::envoy::extensions::formatter::req_without_query::v3::ReqWithoutQuery;
    let formatter = core::TypedExtensionConfig {
        name: "envoy.formatter.req_without_query".into(),
        typed_config: Some(Any::pack(&ReqWithoutQuery::default())),
    };
    if without_query { vec![formatter] } else { Vec::new() }
}

fn file(path: &str, format: core::SubstitutionFormatString) -> AccessLog {
    let config = FileAccessLog {
        path: path.into(),
        access_log_format: Some(file_access_log::AccessLogFormat::LogFormat(format)),
    };
    log("envoy.access_loggers.file", Any::pack(&config))
}

fn log(name: &str, config: Any) -> AccessLog {
    AccessLog { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() }
}

/// The cluster of the access log service, which the bootstrap brings.
const SERVICE_CLUSTER: &str = "envoy_accesslog_service";

/// What metadata exchange has found out about both ends, under its present and its former names.
const PEERS: [&str; 6] = [
    "upstream_peer",
    "downstream_peer",
    "wasm.upstream_peer",
    "wasm.upstream_peer_id",
    "wasm.downstream_peer",
    "wasm.downstream_peer_id",
];

fn service(log_name: &str) -> CommonGrpcAccessLogConfig {
    let target = core::grpc_service::TargetSpecifier::EnvoyGrpc(core::grpc_service::EnvoyGrpc {
        cluster_name: SERVICE_CLUSTER.into(),
        ..Default::default()
    });
    CommonGrpcAccessLogConfig {
        log_name: log_name.into(),
        grpc_service: Some(core::GrpcService { target_specifier: Some(target), ..Default::default() }),
        transport_api_version: core::ApiVersion::V3 as i32,
        filter_state_objects_to_log: PEERS.map(str::to_owned).into(),
        ..Default::default()
    }
}

fn http_service() -> AccessLog {
    let config = HttpGrpcAccessLogConfig {
        common_config: Some(service("http_envoy_accesslog")),
        ..Default::default()
    };
    log("envoy.access_loggers.http_grpc", Any::pack(&config))
}

fn tcp_service(log_name: &str) -> AccessLog {
    let config = TcpGrpcAccessLogConfig { common_config: Some(service(log_name)) };
    log("envoy.tcp_grpc_access_log", Any::pack(&config))
}

/// `NR`: no filter chain was found; everything else is logged by the chain's own filters.
fn only_without_route(log: AccessLog) -> AccessLog {
    let flags = ResponseFlagFilter { flags: vec!["NR".into()] };
    let filter = AccessLogFilter { filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(flags)) };
    AccessLog { filter: Some(filter), ..log }
}

const DEFAULT_TEXT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% "#,
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    r#""%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "#,
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% "#,
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n",
);

fn default_json() -> Struct {
    Struct {
        fields: DEFAULT_JSON.iter().map(|(name, format)| ((*name).to_owned(), text_value(format))).collect(),
    }
}

const DEFAULT_JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];
