//! Roots that sign themselves, as istiod makes them (istiod-surface 7.6).

use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::error::Broken;
use crate::key::Key;
use crate::pem;
use crate::signer::Signer;
use crate::template::{Purpose, Template, organization};

/// A root to be kept, in PEM.
pub(crate) struct Root {
    /// Its private key, PKCS #1.
    pub(crate) key: Zeroizing<String>,
    /// Its certificate.
    pub(crate) certificate: String,
}

/// A new root of an organization, the trust domain, with a new RSA key.
pub(crate) fn make(name: &str, bits: u32, (from, until): (i64, i64)) -> Result<Root, Broken> {
    let (key, text) = Key::rsa(bits)?;
    let subject = organization(name);
    Ok(Root { key: text, certificate: sign_oneself(&key, &subject, (from, until))? })
}

/// The certificate of this root anew: same key, same subject, so that what it has signed goes on holding.
pub(crate) fn renew(signer: &Signer, validity: (i64, i64)) -> Result<String, Broken> {
    sign_oneself(signer.key(), &signer.certificate().subject, validity)
}

/// Whether so little of a certificate's lifetime is left, in percent, that it is to be renewed.
pub(crate) fn is_due(certificate: &Certificate, now: i64, percent: u32) -> bool {
    let lifetime = certificate.not_after - certificate.not_before;
    certificate.not_after - now <= lifetime.saturating_mul(percent.into()) / 100
}

fn sign_oneself(key: &Key, subject: &[u8], validity: (i64, i64)) -> Result<String, Broken> {
    let template = Template {
        issuer: subject,
        subject,
        public: key.public(),
        validity,
        signed_with: None,
        purpose: &Purpose::Authority,
    };
    Ok(pem::certificate(&template.sign(key)?))
}
