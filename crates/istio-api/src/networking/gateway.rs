//! Gateway: the ports and hosts that a gateway proxy serves.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::{enumerations, messages};

messages! {
    /// The spec of a Gateway.
    pub struct Gateway {
        pub servers: Vec<Server>,
        pub selector: BTreeMap<String, String>,
    }

    /// A port with its hosts and TLS settings.
    pub struct Server {
        pub port: Option<GatewayPort>,
        pub bind: String,
        pub hosts: Vec<String>,
        pub tls: Option<ServerTlsSettings>,
        pub default_endpoint: String,
        pub name: String,
    }

    /// The port of a server.
    pub struct GatewayPort {
        pub number: u32,
        pub protocol: String,
        pub name: String,
        pub target_port: u32,
    }

    /// TLS towards clients.
    pub struct ServerTlsSettings {
        pub https_redirect: bool,
        pub mode: ServerTlsMode,
        pub server_certificate: String,
        pub private_key: String,
        pub ca_certificates: String,
        pub ca_crl: String,
        pub credential_name: String,
        pub credential_names: Vec<String>,
        pub ca_cert_credential_name: String,
        pub tls_certificates: Vec<TlsCertificate>,
        pub subject_alt_names: Vec<String>,
        pub verify_certificate_spki: Vec<String>,
        pub verify_certificate_hash: Vec<String>,
        pub min_protocol_version: TlsProtocol,
        pub max_protocol_version: TlsProtocol,
        pub cipher_suites: Vec<String>,
        pub insecure_skip_verify: Option<bool>,
    }

    /// Files of one certificate.
    pub struct TlsCertificate {
        pub server_certificate: String,
        pub private_key: String,
        pub ca_certificates: String,
    }
}

enumerations! {
    /// Kind of TLS towards clients.
    pub enum ServerTlsMode {
        Passthrough "PASSTHROUGH" = 0,
        Simple "SIMPLE" = 1,
        Mutual "MUTUAL" = 2,
        AutoPassthrough "AUTO_PASSTHROUGH" = 3,
        IstioMutual "ISTIO_MUTUAL" = 4,
        OptionalMutual "OPTIONAL_MUTUAL" = 5,
    }

    /// A version of TLS.
    pub enum TlsProtocol {
        TlsAuto "TLS_AUTO" = 0,
        Tlsv10 "TLSV1_0" = 1,
        Tlsv11 "TLSV1_1" = 2,
        Tlsv12 "TLSV1_2" = 3,
        Tlsv13 "TLSV1_3" = 4,
    }
}
