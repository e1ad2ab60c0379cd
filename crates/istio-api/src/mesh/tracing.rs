//! Tracing settings of a proxy.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::{enumerations, messages};
use crate::networking::ClientTlsSettings;

messages! {
    /// Tracing of one proxy.
    pub struct Tracing {
        /// At most one of the tracers.
        pub zipkin: Option<ZipkinTracer>,
        pub lightstep: Option<LightstepTracer>,
        pub datadog: Option<DatadogTracer>,
        pub stackdriver: Option<StackdriverTracer>,
        pub open_census_agent: Option<OpenCensusAgentTracer>,
        pub custom_tags: BTreeMap<String, CustomTag>,
        pub max_path_tag_length: u32,
        pub sampling: f64,
        pub tls_settings: Option<ClientTlsSettings>,
        pub enable_istio_tags: Option<bool>,
    }

    /// Tracing to Zipkin.
    pub struct ZipkinTracer {
        pub address: String,
    }

    /// Tracing to Lightstep.
    pub struct LightstepTracer {
        pub address: String,
        pub access_token: String,
    }

    /// Tracing to Datadog.
    pub struct DatadogTracer {
        pub address: String,
    }

    /// Tracing to Google Cloud.
    pub struct StackdriverTracer {
        pub debug: bool,
        pub max_number_of_attributes: Option<i64>,
        pub max_number_of_annotations: Option<i64>,
        pub max_number_of_message_events: Option<i64>,
    }

    /// Tracing to an OpenCensus agent.
    pub struct OpenCensusAgentTracer {
        pub address: String,
        pub context: Vec<TraceContext>,
    }

    /// A tag of spans.
    pub struct CustomTag {
        /// One of `literal`, `environment` and `header`.
        pub literal: Option<LiteralTag>,
        pub environment: Option<EnvironmentTag>,
        pub header: Option<RequestHeaderTag>,
    }

    /// A tag with a fixed value.
    pub struct LiteralTag {
        pub value: String,
    }

    /// A tag from the proxy's environment.
    pub struct EnvironmentTag {
        pub name: String,
        pub default_value: String,
    }

    /// A tag from a header of the request.
    pub struct RequestHeaderTag {
        pub name: String,
        pub default_value: String,
    }
}

enumerations! {
    /// A form of trace headers.
    pub enum TraceContext {
        Unspecified "UNSPECIFIED" = 0,
        W3cTraceContext "W3C_TRACE_CONTEXT" = 1,
        GrpcBin "GRPC_BIN" = 2,
        CloudTraceContext "CLOUD_TRACE_CONTEXT" = 3,
        B3 "B3" = 4,
    }
}
