//! Private keys: made or read, used, never shown.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{AlgorithmIdentifier, PrivateKeyDer, PrivatePkcs8KeyDer, alg_id};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::error::Broken;
use crate::{der, pem};

/// How certificates are signed with each kind of key, the choice of Go's library and so istiod's.
const SCHEMES: [(SignatureScheme, AlgorithmIdentifier); 5] = [
    (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
    (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
    (SignatureScheme::ED25519, alg_id::ED25519),
];

/// A private key. Its bytes are the cryptographic library's, which clears them; ours are cleared after reading.
#[derive(Clone)]
pub(crate) struct Key {
    inner: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    algorithm: AlgorithmIdentifier,
    public: Arc<[u8]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key([redacted])")
    }
}

impl Key {
    /// From the first private key in a PEM text: PKCS #1, SEC 1 or PKCS #8; RSA, ECDSA or Ed25519.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, Broken> {
        let key = PrivateKeyDer::from_pem_slice(text)
            .map_err(|_| Broken::because("there is no private key in PEM that is not encrypted"))?;
        Self::new(&Zeroizing::new(key))
    }

    /// A new RSA key, and the PKCS #1 text that it is kept as.
    pub(crate) fn rsa(bits: u32) -> Result<(Self, Zeroizing<String>), Broken> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => return Err(Broken::because(format!("RSA keys of {bits} bits are not made"))),
        };
        let failed = |_| Broken::because("an RSA key could not be made");
        let pair = aws_lc_rs::rsa::KeyPair::generate(size).map_err(failed)?;
        let document = pair.as_der().map_err(failed)?;
        let key = Zeroizing::new(PrivateKeyDer::from(PrivatePkcs8KeyDer::from(document.as_ref().to_vec())));
        let inside =
            pkcs1(document.as_ref()).ok_or_else(|| Broken::because("an RSA key could not be kept"))?;
        let text = Zeroizing::new(pem::block("RSA PRIVATE KEY", inside));
        Ok((Self::new(&key)?, text))
    }

    /// A new key on the curve P-256, and the PKCS #8 text that it is kept as.
    pub(crate) fn p256() -> Result<(Self, Zeroizing<String>), Broken> {
        let failed = |_| Broken::because("an ECDSA key could not be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let document = pair.to_pkcs8v1().map_err(failed)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(document.as_ref().to_vec()));
        let text = Zeroizing::new(pem::block("PRIVATE KEY", document.as_ref()));
        Ok((Self::new(&Zeroizing::new(key))?, text))
    }

    fn new(key: &PrivateKeyDer<'static>) -> Result<Self, Broken> {
        let inner = any_supported_type(key)
            .map_err(|_| Broken::because("its private key is of a kind that is not accepted"))?;
        let (scheme, algorithm) = SCHEMES
            .into_iter()
            .find(|(scheme, _)| inner.choose_scheme(&[*scheme]).is_some())
            .ok_or_else(|| Broken::because("its private key is of a kind that does not sign certificates"))?;
        let public = inner.public_key().map(|key| Arc::from(key.as_ref()));
        let public = public.ok_or_else(|| Broken::because("its private key has no public one"))?;
        Ok(Self { inner, scheme, algorithm, public })
    }

    /// The public key, as certificates hold it (`SubjectPublicKeyInfo`).
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The element that says how this key signs.
    pub(crate) fn algorithm(&self) -> Vec<u8> {
        der::element(der::SEQUENCE, &[&self.algorithm])
    }

    /// Signs.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        let signer = self.inner.choose_scheme(&[self.scheme]);
        let signer = signer.ok_or_else(|| Broken::because("the key does not sign any more"))?;
        signer.sign(message).map_err(|error| Broken::new("signing", error))
    }

    /// As TLS uses it.
    pub(crate) fn for_tls(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.inner)
    }
}

/// The PKCS #1 key inside a PKCS #8 document.
fn pkcs1(document: &[u8]) -> Option<&[u8]> {
    let (der::SEQUENCE, fields, _) = der::first(document)? else { return None };
    let (_version, _, rest) = der::first(fields)?;
    let (_algorithm, _, rest) = der::first(rest)?;
    match der::first(rest)? {
        (der::OCTET_STRING, key, _) => Some(key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_as_istiod_keeps_it_and_read_again() {
        let (key, text) = Key::rsa(2048).unwrap();
        assert!(text.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert_eq!(Key::from_pem(text.as_bytes()).unwrap().public(), key.public());
        assert_eq!(format!("{key:?}"), "Key([redacted])");
    }

    #[test]
    fn what_is_no_key_is_told_without_its_text() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "secret"] {
            let told = Key::from_pem(text.as_bytes()).unwrap_err().to_string();
            assert!(!told.contains("c2VjcmV0") && !told.contains("secret"), "{told}");
        }
    }
}
