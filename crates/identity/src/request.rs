//! Requests for certificates: what of a CSR counts, which is its key.

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::error::Broken;
use crate::signatures::Signed;

/// The longest request that is looked at, in bytes; one with an RSA key of 8192 bits has a fifth of it.
const LONGEST: usize = 16 << 10;

/// A request whose sender has shown that the key is theirs. Subject and names are not read: whoever asks gets their
/// own (istiod-surface 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The public key.
    pub(crate) public: Vec<u8>,
    /// Whether the certificate is to have a common name too.
    pub(crate) has_common_name: bool,
}

impl Request {
    /// From PEM.
    pub(crate) fn from_pem(text: &str) -> Result<Self, Broken> {
        if text.len() > LONGEST {
            return Err(Broken::because(format!("a request of {} bytes is too long", text.len())));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .map_err(|_| Broken::because("there is no certificate request in PEM"))?;
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| Broken::new("a certificate request", error))?;
        if !rest.is_empty() {
            return Err(Broken::because("a certificate request: there is more behind it"));
        }
        let info = &request.certification_request_info;
        let signed = Signed {
            data: info.raw,
            algorithm: &request.signature_algorithm,
            signature: &request.signature_value.data,
        };
        signed.verify(&info.subject_pki)?;
        Ok(Self {
            public: info.subject_pki.raw.to_vec(),
            has_common_name: info.subject.iter_common_name().next().is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData as _};

    use super::*;

    fn csr(algorithm: &'static rcgen::SignatureAlgorithm, common_name: Option<&str>) -> (String, KeyPair) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(["evil.example.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        common_name.into_iter().for_each(|name| params.distinguished_name.push(DnType::CommonName, name));
        (params.serialize_request(&key).unwrap().pem().unwrap(), key)
    }

    #[test]
    fn keys_of_all_kinds_are_taken_as_they_are() {
        for algorithm in [
            &rcgen::PKCS_RSA_SHA256,
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ECDSA_P521_SHA512,
            &rcgen::PKCS_ED25519,
        ] {
            let (text, key) = csr(algorithm, None);
            let request = Request::from_pem(&text).unwrap();
            assert_eq!(request.public, key.subject_public_key_info(), "{algorithm:?}");
            assert!(!request.has_common_name);
        }
        assert!(Request::from_pem(&csr(&rcgen::PKCS_ED25519, Some("me")).0).unwrap().has_common_name);
    }

    #[test]
    fn requests_that_prove_nothing_are_refused() {
        let (text, _) = csr(&rcgen::PKCS_ECDSA_P256_SHA256, None);
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes()).unwrap();
        for at in [20, 60, der.len() - 5] {
            let mut broken = der.to_vec();
            broken[at] ^= 1;
            assert!(Request::from_pem(&crate::pem::block("CERTIFICATE REQUEST", &broken)).is_err(), "{at}");
        }
        let long = format!("{text}{}", " ".repeat(LONGEST));
        for text in ["", "-----BEGIN CERTIFICATE REQUEST-----", &*long, &text.replace(" REQUEST", "")] {
            assert!(Request::from_pem(text).is_err());
        }
    }
}
