//! A mesh's root and the certificates of its workloads, as istiod would sign them.

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use testkit::secrets::Identity;

/// The signer of a trust domain.
pub(crate) struct Root {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("making the root's key")?;
        let pem = params.self_signed(&key).context("signing the root")?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// A certificate for a service account.
    pub(crate) fn identity(&self, namespace: &str, account: &str) -> Result<Identity> {
        let mut params = CertificateParams::default();
        let name = spiffe(namespace, account).as_str().try_into().context("naming a workload")?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().context("making a workload's key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a workload")?;
        Ok(Identity { chain: certificate.pem(), key: key.serialize_pem(), roots: self.pem.clone() })
    }
}

/// The name of a service account in certificates.
pub(crate) fn spiffe(namespace: &str, account: &str) -> String {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")
}
