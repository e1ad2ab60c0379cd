//! Which headers proxies add, and what happens to client certificates in headers.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use crate::leniency::{enumerations, messages};

messages! {
    /// Headers that proxies add.
    pub struct ProxyHeaders {
        pub forwarded_client_cert: ForwardClientCertDetails,
        pub set_current_client_cert_details: Option<SetCurrentClientCertDetails>,
        pub request_id: Option<RequestIdHeader>,
        pub server: Option<ServerHeader>,
        pub attempt_count: Option<AttemptCountHeader>,
        pub envoy_debug_headers: Option<EnvoyDebugHeaders>,
        pub metadata_exchange_headers: Option<MetadataExchangeHeaders>,
        pub preserve_http1_header_case: Option<bool>,
        pub x_forwarded_host: Option<XForwardedHostHeader>,
        pub x_forwarded_port: Option<XForwardedPortHeader>,
    }

    /// The `server` header.
    pub struct ServerHeader {
        pub disabled: Option<bool>,
        pub value: String,
    }

    /// The `x-request-id` header.
    pub struct RequestIdHeader {
        pub disabled: Option<bool>,
    }

    /// The `x-envoy-attempt-count` header.
    pub struct AttemptCountHeader {
        pub disabled: Option<bool>,
    }

    /// The `x-forwarded-host` header.
    pub struct XForwardedHostHeader {
        pub enabled: Option<bool>,
    }

    /// The `x-forwarded-port` header.
    pub struct XForwardedPortHeader {
        pub enabled: Option<bool>,
    }

    /// Envoy's debug headers.
    pub struct EnvoyDebugHeaders {
        pub disabled: Option<bool>,
    }

    /// Headers that carry workload metadata.
    pub struct MetadataExchangeHeaders {
        pub mode: MetadataExchangeMode,
    }

    /// What of the client's certificate is forwarded.
    pub struct SetCurrentClientCertDetails {
        pub subject: Option<bool>,
        pub cert: Option<bool>,
        pub chain: Option<bool>,
        pub dns: Option<bool>,
        pub uri: Option<bool>,
    }
}

enumerations! {
    /// What happens to the header with the client certificate.
    pub enum ForwardClientCertDetails {
        Undefined "UNDEFINED" = 0,
        Sanitize "SANITIZE" = 1,
        ForwardOnly "FORWARD_ONLY" = 2,
        AppendForward "APPEND_FORWARD" = 3,
        SanitizeSet "SANITIZE_SET" = 4,
        AlwaysForwardOnly "ALWAYS_FORWARD_ONLY" = 5,
    }

    /// Where metadata headers are exchanged.
    pub enum MetadataExchangeMode {
        Undefined "UNDEFINED" = 0,
        InMesh "IN_MESH" = 1,
    }
}
