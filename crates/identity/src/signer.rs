//! An authority in one state: its key, its certificate and what leads from there to the roots.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::certificate::Certificate;
use crate::error::Broken;
use crate::key::Key;
use crate::pem;
use crate::template::{self, Name, Purpose, Template, key_id};

/// By how much the clocks of those who verify a certificate may be slow, in seconds (istiod-surface 7.3).
pub(crate) const BACKDATED: i64 = 120;

/// What an authority is made of, in PEM.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// The private key.
    pub(crate) key: &'a [u8],
    /// The certificate that says that the key may sign.
    pub(crate) certificate: &'a [u8],
    /// What leads from there to a root; the certificate itself may be among it.
    pub(crate) chain: &'a [u8],
    /// Those that everybody is to trust.
    pub(crate) roots: &'a [u8],
}

/// An authority in one state.
#[derive(Debug)]
pub(crate) struct Signer {
    key: Key,
    certificate: Certificate,
    key_id: Vec<u8>,
    /// What is handed out behind each certificate; empty if the authority is itself a root.
    chain: Vec<Certificate>,
    chain_pem: Vec<String>,
    roots: Vec<Certificate>,
    roots_pem: Arc<str>,
}

/// Who is to get a certificate, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    /// The public key.
    pub(crate) public: &'a [u8],
    /// What its holder is called.
    pub(crate) names: Vec<Name>,
    /// The common name, if there is to be one.
    pub(crate) common_name: Option<String>,
    /// Now, and for how long it is to hold, in seconds.
    pub(crate) now: i64,
    pub(crate) lifetime: i64,
}

impl Signer {
    /// Takes an authority that may sign at this moment, whose key is its certificate's, and whose certificate
    /// leads to one of its roots.
    pub(crate) fn new(parts: Parts<'_>, now: i64) -> Result<Self, Broken> {
        let own = one(pem::certificates(parts.certificate)?)?;
        let certificate = Certificate::read(own)?;
        let chain = read_all(parts.chain)?;
        let roots = read_all(parts.roots)?;
        let key = Key::from_pem(parts.key)?;
        if !certificate.is_of(key.public())? {
            return Err(Broken::because("the key is not that of the certificate"));
        }
        let path = path(&certificate, &chain, &roots)?;
        path.iter().chain([&&certificate]).try_for_each(|certificate| may_sign(certificate, now))?;
        let chain = handed_out(&certificate, chain);
        Ok(Self {
            key_id: certificate.key_id.clone().unwrap_or_else(|| key_id(&certificate.public)),
            chain_pem: chain.iter().map(|one| pem::certificate(&one.der)).collect(),
            roots_pem: String::from_utf8_lossy(parts.roots).into(),
            key,
            certificate,
            chain,
            roots,
        })
    }

    /// This authority with another certificate of the same key, a root, and these roots.
    pub(crate) fn renewed(&self, certificate: &[u8], roots: &[u8]) -> Result<Self, Broken> {
        let certificate = Certificate::read(one(pem::certificates(certificate)?)?)?;
        Ok(Self {
            key: self.key.clone(),
            key_id: certificate.key_id.clone().unwrap_or_else(|| key_id(&certificate.public)),
            certificate,
            chain: Vec::new(),
            chain_pem: Vec::new(),
            roots: read_all(roots)?,
            roots_pem: String::from_utf8_lossy(roots).into(),
        })
    }

    /// A certificate to these terms: those of istiod, and never longer than the authority's own.
    pub(crate) fn sign(&self, order: &Order<'_>) -> Result<Vec<u8>, Broken> {
        let common_name = order.common_name.as_deref().map(template::common_name);
        let until = order.now.saturating_add(order.lifetime).min(self.certificate.not_after);
        let template = Template {
            issuer: &self.certificate.subject,
            subject: common_name.as_deref().unwrap_or(template::NO_NAME),
            public: order.public,
            validity: (order.now - BACKDATED, until),
            signed_with: Some(&self.key_id),
            purpose: &Purpose::Names(order.names.clone()),
        };
        template.sign(&self.key)
    }

    /// What leads from a certificate of this authority to its roots, each in PEM.
    pub(crate) fn chain_pem(&self) -> &[String] {
        &self.chain_pem
    }

    /// The same for TLS.
    pub(crate) fn chain(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.chain.iter().map(|certificate| certificate.der.clone())
    }

    /// The roots, as they were given.
    pub(crate) fn roots_pem(&self) -> &Arc<str> {
        &self.roots_pem
    }

    /// The same for TLS.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.iter().map(|certificate| &certificate.der)
    }

    /// When the first of the roots ends; then when the authority's certificate does, if it is no root.
    pub(crate) fn ends(&self) -> (i64, Option<i64>) {
        let root = self.roots.first().unwrap_or(&self.certificate).not_after;
        (root, (!self.chain.is_empty()).then_some(self.certificate.not_after))
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The authority's key, for those who renew its certificate.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
}

fn one(certificates: Vec<CertificateDer<'static>>) -> Result<CertificateDer<'static>, Broken> {
    certificates.into_iter().next().ok_or_else(|| Broken::because("there is no certificate in PEM"))
}

/// All certificates in a text.
pub(crate) fn read_all(text: &[u8]) -> Result<Vec<Certificate>, Broken> {
    pem::certificates(text)?.into_iter().map(Certificate::read).collect()
}

fn may_sign(certificate: &Certificate, now: i64) -> Result<(), Broken> {
    if !certificate.is_authority {
        return Err(Broken::because("a certificate on the way to the root may not sign others"));
    }
    holds(certificate, now)
}

/// Whether it is a certificate's time.
pub(crate) fn holds(certificate: &Certificate, now: i64) -> Result<(), Broken> {
    let day = |at| jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default();
    if certificate.not_after <= now {
        return Err(Broken::because(format!("a certificate has ended on {}", day(certificate.not_after))));
    }
    // Clocks may differ by as much as certificates are backdated.
    if certificate.not_before > now + BACKDATED {
        return Err(Broken::because(format!("a certificate begins on {}", day(certificate.not_before))));
    }
    Ok(())
}

/// The certificates from this one, which is left out, to a root.
pub(crate) fn path<'a>(
    from: &'a Certificate,
    chain: &'a [Certificate],
    roots: &'a [Certificate],
) -> Result<Vec<&'a Certificate>, Broken> {
    let mut path: Vec<&Certificate> = Vec::new();
    let mut at = from;
    while !roots.iter().any(|root| root.der == at.der) {
        let signed = |above: &&Certificate| {
            at.der != above.der && at.issuer == above.subject && at.signed_by(above).is_ok()
        };
        let above = roots.iter().chain(chain).find(signed);
        at = above.ok_or_else(|| Broken::because("its certificate leads to none of its roots"))?;
        if path.len() > chain.len() {
            return Err(Broken::because("its chain goes round in a circle"));
        }
        path.push(at);
    }
    Ok(path)
}

/// What is handed out behind a certificate: the chain as it was given, led by the authority's own certificate,
/// without which nobody could follow it.
fn handed_out(own: &Certificate, mut chain: Vec<Certificate>) -> Vec<Certificate> {
    let is_root = own.issuer == own.subject && own.signed_by(own).is_ok();
    if !is_root && !chain.iter().any(|one| one.der == own.der) {
        chain.insert(0, own.clone());
    }
    chain
}
