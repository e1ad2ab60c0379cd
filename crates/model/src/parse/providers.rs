//! Extension providers of MeshConfig.

use istio_api::mesh as api;
use serde_json::{Map, Value as Json};

use super::networking::reader::{Reader, text};
use super::substitution::{Place, fault, json_fault};
use crate::Text;
use crate::mesh_config::{ExtensionProvider, FileAccessLog, ProviderKind, TracingService};

/// A provider; one that says not what it is, is left out.
pub(super) fn extension_provider(
    reader: &mut Reader<'_>,
    spec: &api::ExtensionProvider,
) -> Option<ExtensionProvider> {
    let kind = kind(reader, spec);
    if kind.is_none() {
        reader.leave_out("", "provider-kind-missing", "the provider does not say what it is");
    }
    Some(ExtensionProvider { name: text(&spec.name), kind: kind? })
}

fn kind(reader: &mut Reader<'_>, spec: &api::ExtensionProvider) -> Option<ProviderKind> {
    if spec.prometheus.is_some() {
        return Some(ProviderKind::Prometheus);
    }
    if let Some(log) = &spec.envoy_file_access_log {
        return Some(ProviderKind::FileAccessLog(
            reader.inside("envoyFileAccessLog", |reader| file_access_log(reader, log)),
        ));
    }
    tracing(reader, spec).or_else(|| other(spec).map(|name| ProviderKind::Other(text(name))))
}

fn tracing(reader: &mut Reader<'_>, spec: &api::ExtensionProvider) -> Option<ProviderKind> {
    if let Some(zipkin) = &spec.zipkin {
        return Some(ProviderKind::Zipkin(reader.inside("zipkin", |reader| TracingService {
            path: text(&zipkin.path),
            timeout: reader.duration("timeout", zipkin.timeout),
            short_trace_ids: zipkin.enable_64bit_trace_id,
            ..service(reader, &zipkin.service, zipkin.port, zipkin.max_tag_length)
        })));
    }
    if let Some(spec) = &spec.opentelemetry {
        return Some(ProviderKind::OpenTelemetry(
            reader.inside("opentelemetry", |reader| open_telemetry(reader, spec)),
        ));
    }
    if let Some(datadog) = &spec.datadog {
        let (host, port, length) = (&datadog.service, datadog.port, datadog.max_tag_length);
        let datadog = reader.inside("datadog", |reader| service(reader, host, port, length));
        return Some(ProviderKind::Datadog(datadog));
    }
    let skywalking = spec.skywalking.as_ref()?;
    let (host, port) = (&skywalking.service, skywalking.port);
    Some(ProviderKind::SkyWalking(reader.inside("skywalking", |reader| service(reader, host, port, 0))))
}

fn open_telemetry(reader: &mut Reader<'_>, spec: &api::OpenTelemetryTracingProvider) -> TracingService {
    let http = spec.http.clone().unwrap_or_default();
    let grpc = spec.grpc.clone().unwrap_or_default();
    TracingService {
        path: text(&http.path),
        timeout: reader
            .duration("http.timeout", http.timeout)
            .or(reader.duration("grpc.timeout", grpc.timeout)),
        grpc: spec.http.is_none(),
        ..service(reader, &spec.service, spec.port, spec.max_tag_length)
    }
}

fn service(reader: &mut Reader<'_>, service: &str, port: u32, max_tag_length: u32) -> TracingService {
    TracingService {
        service: text(service),
        port: reader.port("port", port),
        max_tag_length: Some(max_tag_length).filter(|length| *length > 0),
        ..TracingService::default()
    }
}

/// A log to a file; what proxies cannot make a format of is left out, and the default one served.
fn file_access_log(reader: &mut Reader<'_>, spec: &api::EnvoyFileAccessLogProvider) -> FileAccessLog {
    let mut format = spec.log_format.clone().unwrap_or_default();
    let line = format.text.as_deref().filter(|_| format.labels.is_none());
    let fault = match &format.labels {
        Some(labels) => labels.values().find_map(json_fault),
        None => line.and_then(|line| fault(line, Place::Log)),
    };
    if let Some(fault) = fault {
        let field = if format.labels.is_some() { "logFormat.labels" } else { "logFormat.text" };
        reader.fail(field, fault.code(), (fault.detail(), "the default format is served"));
        format.text = None;
        format.labels = format.labels.map(|_| Map::new());
    }
    FileAccessLog {
        path: text(if spec.path.is_empty() { "/dev/stdout" } else { &spec.path }),
        text: format.text.filter(|_| format.labels.is_none()).map(Text::from),
        labels: format.labels.as_ref().map(labels),
        omit_empty: spec.omit_empty_values,
    }
}

/// Labels of a JSON log line; a value that is no text stands as its JSON.
fn labels(labels: &Map<String, Json>) -> Vec<(Text, Text)> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| {
            let value = value.as_str().map_or_else(|| Text::from(value.to_string()), Text::from);
            (text(name), value)
        })
        .collect()
}

/// The field of a kind that no listener is made for.
fn other(spec: &api::ExtensionProvider) -> Option<&'static str> {
    let fields = [
        (spec.envoy_ext_authz_http.is_some(), "envoyExtAuthzHttp"),
        (spec.envoy_ext_authz_grpc.is_some(), "envoyExtAuthzGrpc"),
        (spec.lightstep.is_some(), "lightstep"),
        (spec.stackdriver.is_some(), "stackdriver"),
        (spec.opencensus.is_some(), "opencensus"),
        (spec.envoy_http_als.is_some(), "envoyHttpAls"),
        (spec.envoy_tcp_als.is_some(), "envoyTcpAls"),
        (spec.envoy_otel_als.is_some(), "envoyOtelAls"),
        (spec.sds.is_some(), "sds"),
    ];
    fields.iter().find(|(set, _)| *set).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{Key, Kind};

    fn parse(spec: Json) -> (Option<ProviderKind>, Vec<&'static str>) {
        let key =
            Key { cluster: "c".into(), kind: Kind::MeshConfig, namespace: "".into(), name: "mesh".into() };
        let mut reader = Reader::of_whole(&key);
        let value = extension_provider(&mut reader, &serde_json::from_value(spec).unwrap());
        (value.map(|value| value.kind), reader.finish(()).1.iter().map(|problem| problem.code).collect())
    }

    fn traces(spec: Json) -> TracingService {
        match parse(spec) {
            (Some(ProviderKind::Zipkin(service) | ProviderKind::OpenTelemetry(service)), _) => service,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn services_that_take_traces() {
        let zipkin = traces(json!({"zipkin": {
            "service": "a", "port": 9411, "enable64bitTraceId": true, "path": "/x", "timeout": "5s"}}));
        assert_eq!((&*zipkin.service, zipkin.port, zipkin.short_trace_ids), ("a", 9411, true));
        assert_eq!((&*zipkin.path, zipkin.timeout), ("/x", Some(Duration::from_secs(5))));
        let grpc = traces(json!({"opentelemetry": {"service": "a", "port": 4317, "maxTagLength": 3}}));
        assert_eq!((grpc.grpc, grpc.max_tag_length), (true, Some(3)));
        let http = traces(json!({"opentelemetry": {"http": {"path": "/v1", "timeout": "1s"}}}));
        assert_eq!((http.grpc, &*http.path, http.timeout), (false, "/v1", Some(Duration::from_secs(1))));
    }

    #[test]
    fn other_kinds() {
        assert_eq!(parse(json!({"prometheus": {}})).0, Some(ProviderKind::Prometheus));
        assert_eq!(parse(json!({"sds": {}})).0, Some(ProviderKind::Other("sds".into())));
        assert_eq!(parse(json!({"name": "a"})), (None, vec!["provider-kind-missing"]));
        let log = parse(json!({"envoyFileAccessLog": {"logFormat": {"text": "x"}}})).0;
        let expected =
            FileAccessLog { path: "/dev/stdout".into(), text: Some("x".into()), ..Default::default() };
        assert_eq!(log, Some(ProviderKind::FileAccessLog(expected)));
        for format in [json!({"text": "%FOO%"}), json!({"labels": {"a": "100%"}})] {
            let (log, told) = parse(json!({"envoyFileAccessLog": {"logFormat": format}}));
            let Some(ProviderKind::FileAccessLog(log)) = log else { panic!("no log") };
            assert_eq!((log.text, log.labels.unwrap_or_default(), told.len()), (None, vec![], 1));
        }
    }
}
