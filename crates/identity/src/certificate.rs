//! A certificate: its bytes, and what of it somebody here asks for.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

use crate::error::Broken;
use crate::signatures::{self, Signed};

/// A certificate that could be read.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// All of it.
    pub(crate) der: CertificateDer<'static>,
    /// Whose it is: a `Name`.
    pub(crate) subject: Vec<u8>,
    /// Who signed it: a `Name`.
    pub(crate) issuer: Vec<u8>,
    /// The public key, as it stands there (`SubjectPublicKeyInfo`).
    pub(crate) public: Vec<u8>,
    /// The name of its key, if it has one (`SubjectKeyIdentifier`).
    pub(crate) key_id: Option<Vec<u8>>,
    /// From when on it holds, in seconds since 1970.
    pub(crate) not_before: i64,
    /// Until when it holds, in seconds since 1970.
    pub(crate) not_after: i64,
    /// Whether it may sign certificates.
    pub(crate) is_authority: bool,
    /// The URIs that it is for.
    pub(crate) uris: Vec<String>,
}

impl Certificate {
    /// From its bytes.
    pub(crate) fn read(der: CertificateDer<'static>) -> Result<Self, Broken> {
        let (rest, parsed) =
            X509Certificate::from_der(&der).map_err(|error| Broken::new("a certificate", error))?;
        if !rest.is_empty() {
            return Err(Broken::because("a certificate: there is more behind it"));
        }
        let mut certificate = Self {
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            public: parsed.public_key().raw.to_vec(),
            key_id: None,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: false,
            uris: Vec::new(),
            der: CertificateDer::from(Vec::new()),
        };
        for extension in parsed.extensions() {
            certificate.note(extension.parsed_extension());
        }
        Ok(Self { der, ..certificate })
    }

    fn note(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::BasicConstraints(constraints) => self.is_authority = constraints.ca,
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.to_vec()),
            ParsedExtension::SubjectAlternativeName(names) => {
                let uris = names.general_names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                });
                self.uris.extend(uris);
            }
            _ => {}
        }
    }

    /// Whether the holder of `authority` signed this one.
    pub(crate) fn signed_by(&self, authority: &Self) -> Result<(), Broken> {
        let (_, parsed) =
            X509Certificate::from_der(&self.der).map_err(|error| Broken::new("a certificate", error))?;
        let signed = Signed {
            data: parsed.tbs_certificate.as_ref(),
            algorithm: &parsed.signature_algorithm,
            signature: &parsed.signature_value.data,
        };
        signed.verify(&signatures::public_key(&authority.public)?)
    }

    /// Whether this certificate is of this public key, however the key's kind is written.
    pub(crate) fn is_of(&self, public: &[u8]) -> Result<bool, Broken> {
        let (one, two) = (signatures::public_key(&self.public)?, signatures::public_key(public)?);
        Ok(one.subject_public_key.data == two.subject_public_key.data)
    }
}
