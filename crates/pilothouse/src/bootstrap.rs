//! `bootstrap`: attaching a stock Envoy is one pipe.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value as Json, json};

use crate::output;
use crate::usage::host_and_port;

/// Who the Envoy is, and where Pilothouse listens.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Beside a workload, or a gateway.
    #[arg(long = "type", value_enum, default_value = "sidecar")]
    kind: Kind,
    /// The pod's name.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// The pod's namespace.
    #[arg(long, default_value = "default", value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// The pod's address.
    #[arg(long)]
    ip: IpAddr,
    /// The pod's service account.
    #[arg(long = "serviceAccount", default_value = "default")]
    service_account: String,
    /// Where Pilothouse listens for plaintext gRPC, host:port.
    #[arg(long = "discoveryAddress", default_value = "127.0.0.1:15010", value_parser = host_and_port)]
    discovery_address: String,
    /// Where Envoy's administration page listens.
    #[arg(long = "adminAddress", default_value = "127.0.0.1:15000")]
    admin_address: SocketAddr,
    /// The id of the cluster.
    #[arg(long = "clusterID", default_value = "Kubernetes")]
    cluster: String,
    /// The DNS suffix of Kubernetes services.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// A label of the pod, KEY=VALUE; may be given several times.
    #[arg(long = "label", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Further metadata, KEY=VALUE; may be given several times.
    #[arg(long = "meta", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// Speak state of the world instead of delta.
    #[arg(long = "stateOfTheWorld")]
    state_of_the_world: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Sidecar,
    Router,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Prints a bootstrap in JSON.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // A plain Envoy that is sent such clusters and listeners is silent for ever.
    output::tell(
        "nobody serves certificates to this Envoy: whatever the mesh has under mutual TLS waits for them for ever. \
         Say enableAutoMtls: false in MeshConfig, and mode: DISABLE in a PeerAuthentication of its root namespace",
    );
    output::print(&serde_json::to_string_pretty(&bootstrap(arguments))?)
}

fn bootstrap(arguments: &Arguments) -> Json {
    json!({
        "node": node(arguments),
        "admin": {"address": address(&arguments.admin_address.ip().to_string(), arguments.admin_address.port())},
        "dynamic_resources": {
            "ads_config": ads(arguments),
            "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [discovery_cluster(&arguments.discovery_address)]},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
        }],
    })
}

/// The node with the metadata that an agent would send.
fn node(arguments: &Arguments) -> Json {
    let Arguments { name, namespace, ip, .. } = arguments;
    let kind = match arguments.kind {
        Kind::Sidecar => "sidecar",
        Kind::Router => "router",
    };
    let labels: Map<String, Json> =
        arguments.labels.iter().map(|(key, value)| (key.clone(), Json::String(value.clone()))).collect();
    let app = arguments.labels.iter().find(|(key, _)| key == "app").map_or(name, |(_, value)| value);
    let mut metadata = json!({
        "CLUSTER_ID": arguments.cluster,
        "INSTANCE_IPS": ip,
        "LABELS": labels,
        "MESH_ID": arguments.domain,
        "NAME": name,
        "NAMESPACE": namespace,
        "SERVICE_ACCOUNT": arguments.service_account,
        "WORKLOAD_NAME": app,
    });
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.extend(arguments.meta.iter().map(|(key, value)| (key.clone(), Json::String(value.clone()))));
    }
    json!({
        "id": format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.{}", arguments.domain),
        "cluster": format!("{app}.{namespace}"),
        "metadata": metadata,
    })
}

/// The discovery stream; lost, it is tried again within a second, since the mesh goes on changing.
fn ads(arguments: &Arguments) -> Json {
    let api = if arguments.state_of_the_world { "GRPC" } else { "DELTA_GRPC" };
    let service = json!({"envoy_grpc": {
        "cluster_name": "xds-grpc",
        "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}}}});
    json!({"api_type": api, "transport_api_version": "V3", "set_node_on_first_message_only": true,
        "grpc_services": [service]})
}

fn discovery_cluster(target: &str) -> Json {
    let (host, port) = target.rsplit_once(':').unwrap_or((target, "15010"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let kind = if host.parse::<IpAddr>().is_ok() { "STATIC" } else { "STRICT_DNS" };
    let port = port.parse().unwrap_or(15010);
    json!({
        "name": "xds-grpc",
        "type": kind,
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{
            "lb_endpoints": [{"endpoint": {"address": address(host, port)}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {
                "connection_keepalive": {"interval": "30s", "timeout": "10s"}}}}},
    })
}

fn address(ip: &str, port: u16) -> Json {
    json!({"socket_address": {"address": ip, "port_value": port}})
}
