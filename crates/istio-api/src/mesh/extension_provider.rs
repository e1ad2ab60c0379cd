//! Extension providers: where authorization, tracing, metrics and access logs go.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::leniency::{Duration, enumerations, messages};

messages! {
    /// A named provider.
    pub struct ExtensionProvider {
        pub name: String,
        /// Exactly one of this and the following is due.
        pub envoy_ext_authz_http: Option<EnvoyExternalAuthorizationHttpProvider>,
        pub envoy_ext_authz_grpc: Option<EnvoyExternalAuthorizationGrpcProvider>,
        pub zipkin: Option<ZipkinTracingProvider>,
        pub lightstep: Option<LightstepTracingProvider>,
        pub datadog: Option<DatadogTracingProvider>,
        pub stackdriver: Option<StackdriverProvider>,
        pub opencensus: Option<OpenCensusAgentTracingProvider>,
        pub skywalking: Option<SkyWalkingTracingProvider>,
        pub opentelemetry: Option<OpenTelemetryTracingProvider>,
        pub prometheus: Option<PrometheusMetricsProvider>,
        pub envoy_file_access_log: Option<EnvoyFileAccessLogProvider>,
        pub envoy_http_als: Option<EnvoyHttpGrpcV3LogProvider>,
        pub envoy_tcp_als: Option<EnvoyTcpGrpcV3LogProvider>,
        pub envoy_otel_als: Option<EnvoyOpenTelemetryLogProvider>,
        pub sds: Option<SdsProvider>,
    }

    /// How much of a request's body is sent along.
    pub struct EnvoyExternalAuthorizationRequestBody {
        pub max_request_bytes: u32,
        pub allow_partial_message: bool,
        pub pack_as_bytes: bool,
    }

    /// External authorization over HTTP.
    pub struct EnvoyExternalAuthorizationHttpProvider {
        pub service: String,
        pub port: u32,
        pub timeout: Option<Duration>,
        pub path_prefix: String,
        pub fail_open: bool,
        pub clear_route_cache: bool,
        pub status_on_error: String,
        pub include_headers_in_check: Vec<String>,
        pub include_request_headers_in_check: Vec<String>,
        pub include_additional_headers_in_check: BTreeMap<String, String>,
        pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
        pub headers_to_upstream_on_allow: Vec<String>,
        pub headers_to_downstream_on_deny: Vec<String>,
        pub headers_to_downstream_on_allow: Vec<String>,
    }

    /// External authorization over gRPC.
    pub struct EnvoyExternalAuthorizationGrpcProvider {
        pub service: String,
        pub port: u32,
        pub timeout: Option<Duration>,
        pub fail_open: bool,
        pub clear_route_cache: bool,
        pub status_on_error: String,
        pub include_request_body_in_check: Option<EnvoyExternalAuthorizationRequestBody>,
    }

    /// Tracing to Zipkin.
    pub struct ZipkinTracingProvider {
        pub service: String,
        pub port: u32,
        pub max_tag_length: u32,
        pub enable_64bit_trace_id: bool,
        pub path: String,
        pub trace_context_option: TraceContextOption,
        pub timeout: Option<Duration>,
        pub headers: Vec<ProviderHeader>,
    }

    /// Tracing to Lightstep; deprecated.
    pub struct LightstepTracingProvider {
        pub service: String,
        pub port: u32,
        pub access_token: String,
        pub max_tag_length: u32,
    }

    /// Tracing to Datadog.
    pub struct DatadogTracingProvider {
        pub service: String,
        pub port: u32,
        pub max_tag_length: u32,
    }

    /// Tracing to SkyWalking.
    pub struct SkyWalkingTracingProvider {
        pub service: String,
        pub port: u32,
        pub access_token: String,
    }

    /// Tracing, metrics and logs to Google Cloud.
    pub struct StackdriverProvider {
        pub debug: bool,
        pub max_number_of_attributes: Option<i64>,
        pub max_number_of_annotations: Option<i64>,
        pub max_number_of_message_events: Option<i64>,
        pub max_tag_length: u32,
        pub logging: Option<StackdriverLogging>,
    }

    /// Labels of log entries.
    pub struct StackdriverLogging {
        pub labels: BTreeMap<String, String>,
    }

    /// Tracing to an OpenCensus agent; deprecated.
    pub struct OpenCensusAgentTracingProvider {
        pub service: String,
        pub port: u32,
        pub context: Vec<OpenCensusContext>,
        pub max_tag_length: u32,
    }

    /// Metrics for Prometheus.
    pub struct PrometheusMetricsProvider {}

    /// Access log into a file.
    pub struct EnvoyFileAccessLogProvider {
        pub path: String,
        pub log_format: Option<FileLogFormat>,
        pub omit_empty_values: bool,
    }

    /// The form of a line.
    pub struct FileLogFormat {
        /// Excludes `labels`.
        pub text: Option<String>,
        pub labels: Option<Map<String, Value>>,
    }

    /// Access log of HTTP over gRPC.
    pub struct EnvoyHttpGrpcV3LogProvider {
        pub service: String,
        pub port: u32,
        pub log_name: String,
        pub filter_state_objects_to_log: Vec<String>,
        pub additional_request_headers_to_log: Vec<String>,
        pub additional_response_headers_to_log: Vec<String>,
        pub additional_response_trailers_to_log: Vec<String>,
    }

    /// Access log of TCP over gRPC.
    pub struct EnvoyTcpGrpcV3LogProvider {
        pub service: String,
        pub port: u32,
        pub log_name: String,
        pub filter_state_objects_to_log: Vec<String>,
    }

    /// Access log to an OpenTelemetry collector.
    pub struct EnvoyOpenTelemetryLogProvider {
        pub service: String,
        pub port: u32,
        pub log_name: String,
        pub log_format: Option<OpenTelemetryLogFormat>,
    }

    /// Body and attributes of a log record.
    pub struct OpenTelemetryLogFormat {
        pub text: String,
        pub labels: Option<Map<String, Value>>,
    }

    /// Tracing to an OpenTelemetry collector.
    pub struct OpenTelemetryTracingProvider {
        pub service: String,
        pub port: u32,
        pub max_tag_length: u32,
        pub http: Option<HttpService>,
        pub grpc: Option<GrpcService>,
        pub resource_detectors: Option<ResourceDetectors>,
        pub service_attribute_enrichment: ServiceAttributeEnrichment,
        pub dynatrace_sampler: Option<DynatraceSampler>,
    }

    /// Sampling as Dynatrace does it.
    pub struct DynatraceSampler {
        pub tenant: String,
        pub cluster_id: i32,
        pub root_spans_per_minute: u32,
        pub http_service: Option<DynatraceApi>,
    }

    /// Where the sampler gets its settings.
    pub struct DynatraceApi {
        pub service: String,
        pub port: u32,
        pub http: Option<HttpService>,
    }

    /// A server of secrets.
    pub struct SdsProvider {
        pub name: String,
        pub service: String,
        pub port: u32,
    }

    /// Export over HTTP.
    pub struct HttpService {
        pub path: String,
        pub timeout: Option<Duration>,
        pub headers: Vec<ProviderHeader>,
    }

    /// A header of requests to a provider.
    pub struct ProviderHeader {
        pub name: String,
        /// Excludes `env_name`.
        pub value: Option<String>,
        pub env_name: Option<String>,
    }

    /// What spans say about where they come from.
    pub struct ResourceDetectors {
        pub environment: Option<EnvironmentResourceDetector>,
        pub dynatrace: Option<DynatraceResourceDetector>,
    }

    /// Attributes from the environment.
    pub struct EnvironmentResourceDetector {}

    /// Attributes from Dynatrace's files.
    pub struct DynatraceResourceDetector {}

    /// Export over gRPC.
    pub struct GrpcService {
        pub timeout: Option<Duration>,
        pub initial_metadata: Vec<ProviderHeader>,
    }
}

enumerations! {
    /// Which trace headers are propagated.
    pub enum TraceContextOption {
        UseB3 "USE_B3" = 0,
        UseB3WithW3cPropagation "USE_B3_WITH_W3C_PROPAGATION" = 1,
    }

    /// A form of trace headers.
    pub enum OpenCensusContext {
        Unspecified "UNSPECIFIED" = 0,
        W3cTraceContext "W3C_TRACE_CONTEXT" = 1,
        GrpcBin "GRPC_BIN" = 2,
        CloudTraceContext "CLOUD_TRACE_CONTEXT" = 3,
        B3 "B3" = 4,
    }

    /// How the service is named in spans.
    pub enum ServiceAttributeEnrichment {
        IstioCanonical "ISTIO_CANONICAL" = 0,
        OtelSemanticConventions "OTEL_SEMANTIC_CONVENTIONS" = 1,
    }
}
