//! The port over TLS as proxies meet it: who is let in, and who gets a certificate.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair, SanType,
};
use testkit::agent::{Agent, Shown};
use tonic::Code;

use crate::{PATIENCE, Running};

pub(crate) type Root = CertifiedIssuer<'static, KeyPair>;

/// A root, plugged in.
pub(crate) fn plugged_in(folder: &std::path::Path) -> Root {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca-key.pem"), root.key().serialize_pem()).unwrap();
    for name in ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"] {
        std::fs::write(folder.join(name), root.pem()).unwrap();
    }
    root
}

fn named(uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.not_before = (SystemTime::now() - PATIENCE).into();
    params.not_after = (SystemTime::now() + 100 * PATIENCE).into();
    params
}

/// An agent at this address that believes the root and shows this.
fn agent(address: &str, root: &Root, shown: Option<(&str, &KeyPair)>) -> Agent {
    let key = shown.map(|(_, key)| key.serialize_pem());
    let shown = shown.zip(key.as_deref()).map(|((chain, _), key)| Shown { chain, key });
    Agent::new(address, &root.pem(), shown).unwrap()
}

#[tokio::test]
async fn over_tls_everybody_is_who_they_can_show_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let root = plugged_in(folder.path());
    let running = Running::start(
        &["--secureGRPCAddr", "127.0.0.1:0"],
        &[("ROOT_CA_DIR", folder.path().to_str().unwrap())],
    );
    let line = running.says("xDS over TLS will be served");
    let address = line.rsplit_once("address=").unwrap().1.to_owned();
    running.says("serving xDS and certificates over TLS");

    let stranger = agent(&address, &root, None);
    let nothing = BTreeMap::new();
    assert_eq!(stranger.clusters("web", &nothing).await.unwrap_err().code(), Code::Unauthenticated);
    let key = KeyPair::generate().unwrap();
    let csr = named("spiffe://here/ns/other/sa/other").serialize_request(&key).unwrap().pem().unwrap();
    assert_eq!(stranger.certificate(csr.clone(), None).await.unwrap_err().code(), Code::Unauthenticated);

    let first = KeyPair::generate().unwrap();
    let signed = named("spiffe://here/ns/web/sa/shop").signed_by(&first, &root).unwrap().pem();
    let shop = agent(&address, &root, Some((&signed, &first)));
    let chain = shop.certificate(csr, None).await.unwrap();
    assert_eq!(chain.last(), Some(&root.pem()));

    // With the certificate that was issued: it is that of whoever asked for it, not of whom the request names.
    let renewed = agent(&address, &root, Some((&chain[0], &key)));
    let sent = renewed.clusters("web", &nothing).await.unwrap();
    assert!(!sent.is_empty());
    assert!(renewed.clusters("web", &sent).await.unwrap().is_empty());
    assert_eq!(renewed.clusters("other", &nothing).await.unwrap_err().code(), Code::PermissionDenied);
    running.says("a proxy is turned away");

    let foreign = named("spiffe://there/ns/web/sa/shop").signed_by(&first, &root).unwrap().pem();
    assert!(agent(&address, &root, Some((&foreign, &first))).clusters("web", &nothing).await.is_err());
    assert!(running.end());
}
