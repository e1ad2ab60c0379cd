//! Who is at the other end of a connection, by the certificate that they show.

use std::sync::Arc;

use http::Extensions;
use model::{Caller, Text};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConnection,
    SignatureScheme,
};

use crate::certificate::Certificate;
use crate::error::Broken;
use crate::spiffe;
use crate::stats::{Stats, count};

/// Asks clients for a certificate, takes those who have none, and of the others those alone whose certificate leads
/// to a root and is for one identity of the mesh's trust domain (istiod-surface 1.9).
#[derive(Debug)]
pub(crate) struct Peers {
    chains: Arc<dyn ClientCertVerifier>,
    trust_domain: Text,
    stats: Arc<Stats>,
}

impl Peers {
    /// Those for whom one of these vouches.
    pub(crate) fn new(
        believed: &[CertificateDer<'static>],
        trust_domain: &str,
        stats: Arc<Stats>,
    ) -> Result<Self, Broken> {
        let mut roots = RootCertStore::empty();
        for root in believed {
            roots.add(root.clone()).map_err(|error| Broken::new("a root", error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| Broken::new("roots", error))?;
        Ok(Self { chains, trust_domain: trust_domain.replace('@', ".").into(), stats })
    }

    fn is_of_the_mesh(&self, certificate: &CertificateDer<'_>) -> bool {
        caller(certificate).is_some_and(|caller| caller.trust_domain == self.trust_domain)
    }
}

impl ClientCertVerifier for Peers {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now);
        if verified.is_ok() && !self.is_of_the_mesh(end_entity) {
            count(&self.stats.foreign);
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        verified.inspect_err(|_| count(&self.stats.foreign))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// What is known of the peer of an encrypted connection: the verified [`Caller`], if they showed a certificate.
pub fn known(connection: &ServerConnection) -> Extensions {
    let mut known = Extensions::new();
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    if let Some(caller) = shown.and_then(caller) {
        known.insert(caller);
    }
    known
}

/// The identity that a certificate is for: it must have exactly one URI.
fn caller(certificate: &CertificateDer<'_>) -> Option<Caller> {
    let certificate = Certificate::read(certificate.clone().into_owned()).ok()?;
    match &*certificate.uris {
        [uri] => spiffe::parse(uri),
        _ => None,
    }
}
