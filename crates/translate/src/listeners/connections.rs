//! Limits of connections from clients (`ProxyConfig.connectionSettings`).

use std::time::Duration;

use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_api::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as manager;
use mesh::ListenerProfile;
use model::ProxyKind;
use model::mesh_config::MeshConfig;
use model::proxy_config::ConnectionSettings;

use crate::wire::duration;

/// The proxy's limits before the mesh's, with those of the edge profile below on gateways.
pub(crate) fn of(profile: &ListenerProfile, mesh: &MeshConfig) -> ConnectionSettings {
    let own = profile.config.connection_settings.as_ref();
    let settings = own.or(mesh.default_config.connection_settings.as_ref());
    let mut settings = settings.cloned().unwrap_or_default();
    if settings.edge && profile.kind == ProxyKind::Router {
        at_the_edge(&mut settings);
    }
    settings
}

/// What Envoy's own advice for edge proxies adds to what was said.
fn at_the_edge(settings: &mut ConnectionSettings) {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    settings.per_connection_buffer_limit_bytes.get_or_insert(32 * 1024);
    settings.idle_timeout.get_or_insert(minutes(60));
    settings.stream_idle_timeout.get_or_insert(minutes(5));
    settings.request_timeout.get_or_insert(minutes(5));
    settings.request_headers_timeout.get_or_insert(minutes(1));
    settings.max_concurrent_streams.get_or_insert(100);
    settings.initial_stream_window_size.get_or_insert(64 * 1024);
    settings.initial_connection_window_size.get_or_insert(1024 * 1024);
    settings.reject_underscores.get_or_insert(true);
    settings.merge_slashes.get_or_insert(true);
    settings.escaped_slashes.get_or_insert_with(|| "UNESCAPE_AND_REDIRECT".into());
}

/// Puts limits over what a connection manager has without them.
pub(super) fn set(head: &mut HttpConnectionManager, settings: &ConnectionSettings) {
    set_times(head, settings);
    let (streams, stream, connection) = (
        settings.max_concurrent_streams,
        settings.initial_stream_window_size,
        settings.initial_connection_window_size,
    );
    if streams.or(stream).or(connection).is_some() {
        let http2 = head.http2_protocol_options.get_or_insert_default();
        http2.max_concurrent_streams = streams;
        http2.initial_stream_window_size = stream;
        http2.initial_connection_window_size = connection;
    }
    if let Some(reject) = settings.reject_underscores {
        use core::http_protocol_options::HeadersWithUnderscoresAction as Underscores;
        let action = if reject { Underscores::RejectRequest } else { Underscores::Allow };
        head.common_http_protocol_options.get_or_insert_default().headers_with_underscores_action =
            action as i32;
    }
    if let Some(merge) = settings.merge_slashes {
        head.merge_slashes = merge;
    }
    let slashes = settings.escaped_slashes.as_deref();
    let slashes = slashes.and_then(manager::PathWithEscapedSlashesAction::from_str_name);
    if let Some(action) = slashes {
        head.path_with_escaped_slashes_action = action as i32;
    }
}

fn set_times(head: &mut HttpConnectionManager, settings: &ConnectionSettings) {
    if settings.idle_timeout.or(settings.max_connection_duration).is_some() {
        let common = head.common_http_protocol_options.get_or_insert_default();
        common.max_connection_duration = settings.max_connection_duration.map(duration);
        if let Some(timeout) = settings.idle_timeout {
            common.idle_timeout = Some(duration(timeout));
        }
    }
    if let Some(timeout) = settings.stream_idle_timeout {
        head.stream_idle_timeout = Some(duration(timeout));
    }
    head.request_timeout = settings.request_timeout.map(duration);
    head.request_headers_timeout = settings.request_headers_timeout.map(duration);
}
