//! TLS towards endpoints.

use std::sync::LazyLock;

use envoy_api::Any;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, UpstreamTlsContext,
    common_tls_context::CombinedCertificateValidationContext,
};
use model::Text;
use model::mesh_config::TlsSettings;
use model::networking::TlsVersion;
use model::settings::Compliance;
use prost::{Message, Name};

use super::compliance::enforced;
use super::secrets::{SecretSources, mesh_roots, own_certificate};
use super::{Validation, combined, exact, file, texts, versions};

/// TLS that a rule asks for towards endpoints outside Istio's mutual TLS (`SIMPLE`, `MUTUAL`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origination {
    /// The server name sent; empty for that of the request.
    pub(crate) sni: Text,
    /// Names accepted of the server; empty for any.
    pub(crate) names: Vec<Text>,
    /// What the proxy shows and which roots it trusts.
    pub(crate) credentials: Credentials,
    /// Whether the server's certificate is not verified.
    pub(crate) insecure: bool,
    /// Whether HTTP/2 is offered.
    pub(crate) http2: bool,
    /// Where secrets come from.
    pub(crate) sources: SecretSources,
}

/// What a proxy shows and which roots it trusts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credentials {
    /// A secret; its certificate is shown if the flag is set.
    Secret(Text, bool),
    /// Files.
    Files {
        /// Certificate and key; `None` to show none.
        own: Option<(Text, Text)>,
        /// Roots; empty for the operating system's.
        roots: Text,
        /// Revoked certificates, may be empty.
        revoked: Text,
    },
}

/// What Istio's mutual TLS says in every cluster, encoded once: versions, the workload's own certificate,
/// the mesh's roots.
static MUTUAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let common = CommonTlsContext {
        tls_params: Some(versions(TlsVersion::V1_2, TlsVersion::V1_3)),
        tls_certificate_sds_secret_configs: vec![own_certificate()],
        validation_context_type: Some(combined(CertificateValidationContext::default(), mesh_roots())),
        ..Default::default()
    };
    UpstreamTlsContext { common_tls_context: Some(common), ..Default::default() }.encode_to_vec()
});

/// Istio's mutual TLS, an `UpstreamTlsContext`: the workload's own certificate, the mesh's roots.
///
/// `names` are the identities accepted of the server, empty for any of the mesh. The offered protocols
/// are the caller's, since they follow from the cluster and from what the proxy can do.
///
/// The encoding is that of what all clusters say, then of what this one says: to a decoder, messages one
/// after the other are one message with the fields of both.
pub(crate) fn istio_mutual(names: &[Text], sni: &str, offered: &[&str], policy: Compliance) -> Any {
    let names = CertificateValidationContext { match_subject_alt_names: exact(names), ..Default::default() };
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(names),
        ..Default::default()
    };
    // Versions that a regulation changes come after those that all say, and so win.
    let params = || versions(TlsVersion::V1_2, TlsVersion::V1_3);
    let common = CommonTlsContext {
        tls_params: (policy != Compliance::None).then(params).and_then(|it| enforced(Some(it), policy)),
        validation_context_type: Some(Validation::CombinedValidationContext(validation)),
        alpn_protocols: super::words(offered),
        ..Default::default()
    };
    let own = UpstreamTlsContext { common_tls_context: Some(common), sni: sni.into(), ..Default::default() };
    let mut value = Vec::with_capacity(MUTUAL.len() + own.encoded_len());
    value.extend_from_slice(&MUTUAL);
    own.encode_raw(&mut value);
    Any { type_url: UpstreamTlsContext::type_url(), value: value.into() }
}

/// TLS that a rule asks for; `defaults` are the mesh's curves and cipher suites.
pub(crate) fn originate(tls: &Origination, defaults: &TlsSettings, policy: Compliance) -> UpstreamTlsContext {
    let mut params = versions(TlsVersion::V1_2, TlsVersion::V1_3);
    params.ecdh_curves = texts(&defaults.ecdh_curves);
    params.cipher_suites = texts(&defaults.cipher_suites);
    let mut common = CommonTlsContext { tls_params: enforced(Some(params), policy), ..Default::default() };
    if tls.http2 {
        common.alpn_protocols = vec!["h2".into()];
    }
    let names =
        CertificateValidationContext { match_subject_alt_names: exact(&tls.names), ..Default::default() };
    match &tls.credentials {
        Credentials::Secret(name, shown) => {
            let own = shown.then(|| tls.sources.credential(name));
            common.tls_certificate_sds_secret_configs = own.into_iter().collect();
            let roots = || combined(names, tls.sources.credential_roots(name));
            common.validation_context_type = (!tls.insecure).then(roots);
        }
        Credentials::Files { own, roots, revoked } => {
            let own = own.as_ref().map(|(chain, key)| tls.sources.certificate_file(chain, key));
            common.tls_certificate_sds_secret_configs = own.into_iter().collect();
            let roots: &str = if roots.is_empty() { "system" } else { roots };
            let crl = (!revoked.is_empty()).then(|| file(revoked));
            common.validation_context_type = Some(if tls.insecure {
                Validation::ValidationContext(CertificateValidationContext::default())
            } else {
                combined(CertificateValidationContext { crl, ..names }, tls.sources.roots_file(roots))
            });
        }
    }
    UpstreamTlsContext { common_tls_context: Some(common), sni: tls.sni.to_string(), ..Default::default() }
}
