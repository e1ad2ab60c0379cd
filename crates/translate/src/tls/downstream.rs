//! TLS of listeners: inbound mutual TLS of sidecars, servers of gateways and of Sidecar ingress.

use envoy_api::envoy::extensions::transport_sockets::tls::v3::{
    self as api, CertificateValidationContext, CommonTlsContext, DownstreamTlsContext,
};
use envoy_api::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use mesh::ListenerProfile;
use model::Text;
use model::mesh_config::MeshConfig;
use model::networking::{ServerTls, ServerTlsMode, TlsVersion};
use model::settings::Settings;

use super::compliance::enforced;
use super::secrets::SecretSources;
use super::{PEER_EXCHANGE, Validation, combined, exact, file, matcher, texts, versions, words};

/// What is spoken inside the TLS of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerTransport {
    /// HTTP over TCP; also everything on a Sidecar's ingress.
    Http,
    /// Bytes: a gateway's server with protocol `TLS` or `TCP` that ends TLS.
    Tcp,
    /// HTTP/3.
    Quic,
}

const HTTP: &[&str] = &["h2", "http/1.1"];
const HTTP_AFTER_EXCHANGE: &[&str] = &[PEER_EXCHANGE, "h2", "http/1.1"];

/// Cipher suites of inbound mutual TLS where the mesh's `meshMTLS` says none.
const MUTUAL_CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// Inbound mutual TLS of a sidecar. `tcp` is whether the chain carries bytes; peers then tell each other
/// who they are first, if this proxy can.
pub(crate) fn inbound(
    tcp: bool,
    profile: &ListenerProfile,
    mesh: &MeshConfig,
    settings: &Settings,
) -> DownstreamTlsContext {
    let mut params = versions(mutual_minimum(mesh), TlsVersion::V1_3);
    params.cipher_suites = match mesh.mesh_mtls.cipher_suites.as_slice() {
        [] => words(MUTUAL_CIPHERS),
        own => texts(own),
    };
    let exchange = tcp && settings.metadata_exchange && offers_exchange(profile, settings);
    let files = &profile.server_files;
    let sources = sources(profile);
    let peers = CertificateValidationContext {
        match_subject_alt_names: trust_domains(mesh, settings),
        ..Default::default()
    };
    let common = CommonTlsContext {
        tls_params: enforced(Some(params), settings.compliance),
        alpn_protocols: words(if exchange { HTTP_AFTER_EXCHANGE } else { HTTP }),
        tls_certificate_sds_secret_configs: vec![sources.certificate_file(&files.chain, &files.key)],
        validation_context_type: Some(combined(peers, sources.roots_file(&files.root))),
        ..Default::default()
    };
    context(common, true)
}

/// TLS of a gateway's server or of a Sidecar's ingress (xds-semantics, TLS context).
///
/// Passthrough servers have none; do not ask for them.
pub(crate) fn server(
    tls: &ServerTls,
    transport: ServerTransport,
    profile: &ListenerProfile,
    mesh: &MeshConfig,
    settings: &Settings,
) -> DownstreamTlsContext {
    let requires = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual);
    let requires = requires && transport != ServerTransport::Quic;
    let validates = requires || tls.mode == ServerTlsMode::OptionalMutual;
    let sources = sources(profile);
    let mut common = match tls.mode {
        ServerTlsMode::IstioMutual => {
            let files = &profile.server_files;
            let pair = [(files.chain.clone(), files.key.clone())];
            by_files(tls, &pair, &files.root, (sources, validates))
        }
        _ if has_credential(tls) => by_credential(tls, sources),
        _ => {
            let certificates = tls.certificates.iter().map(|(chain, key, _)| (chain.clone(), key.clone()));
            let mut pairs: Vec<_> = certificates.collect();
            if pairs.is_empty() {
                pairs.push((tls.server_certificate.clone(), tls.private_key.clone()));
            }
            by_files(tls, &pairs, &tls.ca_certificates, (sources, validates))
        }
    };
    common.alpn_protocols = words(match transport {
        ServerTransport::Quic => &["h3"],
        ServerTransport::Tcp
            if tls.mode == ServerTlsMode::IstioMutual && offers_exchange(profile, settings) =>
        {
            HTTP_AFTER_EXCHANGE
        }
        _ => HTTP,
    });
    if tls.mode != ServerTlsMode::IstioMutual {
        common.tls_params = server_params(tls, mesh);
    }
    common.tls_params = enforced(common.tls_params, settings.compliance);
    context(common, requires)
}

/// The lowest version of mutual TLS: 1.2 unless the mesh says 1.3.
fn mutual_minimum(mesh: &MeshConfig) -> TlsVersion {
    match mesh.mesh_mtls.min_version {
        Some(TlsVersion::V1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    }
}

fn context(common: CommonTlsContext, requires: bool) -> DownstreamTlsContext {
    DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: Some(requires),
        ..Default::default()
    }
}

fn sources(profile: &ListenerProfile) -> SecretSources {
    SecretSources { external: profile.external_sds, files: profile.file_credentials }
}

fn offers_exchange(profile: &ListenerProfile, settings: &Settings) -> bool {
    !settings.disable_mx_alpn && profile.capabilities.metadata_exchange
}

/// Peers must be of one of the mesh's trust domains.
fn trust_domains(mesh: &MeshConfig, settings: &Settings) -> Vec<super::StringMatcher> {
    if settings.skip_validate_trust_domain {
        return Vec::new();
    }
    let own = std::iter::once(&mesh.trust_domain);
    let mut known: Vec<&Text> = Vec::new();
    for domain in own.chain(&mesh.trust_domain_aliases).chain(&mesh.ca_trust_domains) {
        if !domain.is_empty() && !known.contains(&domain) {
            known.push(domain);
        }
    }
    known.into_iter().map(|domain| matcher(MatchPattern::Prefix(format!("spiffe://{domain}/")))).collect()
}

fn has_credential(tls: &ServerTls) -> bool {
    !tls.credential_names.is_empty() || !tls.credential_name.is_empty()
}

fn by_files(
    tls: &ServerTls,
    pairs: &[(Text, Text)],
    roots: &str,
    (sources, validates): (SecretSources, bool),
) -> CommonTlsContext {
    let own = pairs.iter().map(|(chain, key)| sources.certificate_file(chain, key)).collect();
    let clients = || {
        let names = CertificateValidationContext {
            match_subject_alt_names: exact(&tls.subject_alt_names),
            crl: (!tls.ca_crl.is_empty()).then(|| file(&tls.ca_crl)),
            trust_chain_verification: chain_verification(tls),
            ..Default::default()
        };
        combined(names, sources.roots_file(roots))
    };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: own,
        validation_context_type: validates.then(clients),
        ..Default::default()
    }
}

fn by_credential(tls: &ServerTls, sources: SecretSources) -> CommonTlsContext {
    let one = std::slice::from_ref(&tls.credential_name);
    let names = if tls.credential_names.is_empty() { one } else { &tls.credential_names };
    let own = names.iter().map(|name| sources.credential(name)).collect();
    let clients = CertificateValidationContext {
        match_subject_alt_names: exact(&tls.subject_alt_names),
        ..Default::default()
    };
    let validation = match tls.mode {
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            let clients = CertificateValidationContext {
                verify_certificate_spki: texts(&tls.certificate_spki),
                verify_certificate_hash: texts(&tls.certificate_hash),
                trust_chain_verification: chain_verification(tls),
                ..clients
            };
            let roots = match (&*tls.ca_credential_name, names.first()) {
                ("", first) => sources.credential_roots(first.map_or("", |name| name)),
                (name, _) => sources.credential(name),
            };
            Some(combined(clients, roots))
        }
        _ if !tls.subject_alt_names.is_empty() => Some(Validation::ValidationContext(clients)),
        _ => None,
    };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: own,
        validation_context_type: validation,
        ..Default::default()
    }
}

fn chain_verification(tls: &ServerTls) -> i32 {
    use api::certificate_validation_context::TrustChainVerification;
    let how = if tls.insecure_skip_verify {
        TrustChainVerification::AcceptUntrusted
    } else {
        TrustChainVerification::VerifyTrustChain
    };
    how as i32
}

/// Versions, cipher suites and curves: the server's own over the mesh's `tlsDefaults`; `None` if nobody
/// says anything.
fn server_params(tls: &ServerTls, mesh: &MeshConfig) -> Option<api::TlsParameters> {
    let defaults = &mesh.tls_defaults;
    let ciphers = valid_ciphers(&tls.cipher_suites);
    let minimum = tls.min_version.or(defaults.min_version.map(|_| default_minimum(defaults.min_version)));
    let choose = |own: Vec<String>, default: &[Text]| if own.is_empty() { texts(default) } else { own };
    let params = api::TlsParameters {
        tls_minimum_protocol_version: minimum.map_or(0, super::version),
        tls_maximum_protocol_version: tls.max_version.map_or(0, super::version),
        cipher_suites: choose(ciphers, &defaults.cipher_suites),
        ecdh_curves: choose(texts(&tls.ecdh_curves), &defaults.ecdh_curves),
        ..Default::default()
    };
    (params != api::TlsParameters::default()).then_some(params)
}

/// The mesh's default knows 1.2 and 1.3 only.
fn default_minimum(version: Option<TlsVersion>) -> TlsVersion {
    if version == Some(TlsVersion::V1_3) { TlsVersion::V1_3 } else { TlsVersion::V1_2 }
}

/// Suites that Envoy knows, each once; expressions (`-ALL`) are kept.
fn valid_ciphers(suites: &[Text]) -> Vec<String> {
    let mut valid: Vec<String> = Vec::new();
    for suite in suites {
        let word = suite.starts_with(|first: char| first.is_alphanumeric());
        let known = !word || &**suite == "ALL" || KNOWN_CIPHERS.contains(&&**suite);
        if known && !valid.iter().any(|one| **one == **suite) {
            valid.push(suite.to_string());
        }
    }
    valid
}

/// Suites by the names that BoringSSL knows them by; any other would make Envoy refuse the listener.
const KNOWN_CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
];
