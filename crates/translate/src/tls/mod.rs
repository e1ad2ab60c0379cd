//! TLS contexts and where their secrets come from; used by clusters and by listeners.

mod compliance;
mod downstream;
mod secrets;
mod upstream;

use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType as Validation;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::{self as api, TlsParameters};
use envoy_api::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use model::Text;
use model::networking::TlsVersion;

pub(crate) use downstream::{ServerTransport, inbound, server};
pub(crate) use secrets::{EXTERNAL as EXTERNAL_SECRETS, SecretSources};
pub(crate) use upstream::{Credentials, Origination, istio_mutual, originate};

/// The name of the transport socket that speaks TLS.
pub(crate) const TRANSPORT_SOCKET: &str = "envoy.transport_sockets.tls";

/// The protocol by which Istio's proxies tell each other who they are before TCP traffic.
pub(crate) const PEER_EXCHANGE: &str = "istio-peer-exchange";

/// Names that a peer's certificate must have one of, whole.
fn exact<'a>(names: impl IntoIterator<Item = &'a Text>) -> Vec<StringMatcher> {
    names.into_iter().map(|name| matcher(MatchPattern::Exact(name.to_string()))).collect()
}

fn matcher(pattern: MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

/// A peer is verified by what is given here and by the roots that a secret brings.
fn combined(default: api::CertificateValidationContext, roots: api::SdsSecretConfig) -> Validation {
    Validation::CombinedValidationContext(api::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(default),
        validation_context_sds_secret_config: Some(roots),
        ..Default::default()
    })
}

fn file(path: &str) -> core::DataSource {
    let specifier = Some(core::data_source::Specifier::Filename(path.into()));
    core::DataSource { specifier, ..Default::default() }
}

fn version(version: TlsVersion) -> i32 {
    use api::tls_parameters::TlsProtocol;
    let protocol = match version {
        TlsVersion::V1_0 => TlsProtocol::TlSv10,
        TlsVersion::V1_1 => TlsProtocol::TlSv11,
        TlsVersion::V1_2 => TlsProtocol::TlSv12,
        TlsVersion::V1_3 => TlsProtocol::TlSv13,
    };
    protocol as i32
}

fn versions(minimum: TlsVersion, maximum: TlsVersion) -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: version(minimum),
        tls_maximum_protocol_version: version(maximum),
        ..TlsParameters::default()
    }
}

fn texts<'a>(list: impl IntoIterator<Item = &'a Text>) -> Vec<String> {
    list.into_iter().map(|text| text.to_string()).collect()
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests;
