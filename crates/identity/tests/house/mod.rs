//! An authority in a folder, and those who come to it.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{
    Account, Ask, Authenticator, Authority, Certificates, Doubt, Issuer, Keeper, Lifetimes, Mesh, Places,
    Reviews, RootRules, Stats,
};
use istio_api::wire::auth::{IstioCertificateRequest, IstioCertificateResponse};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// A root or what is below it.
pub(crate) type Signing = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// A root.
pub(crate) fn root(name: &str) -> Signing {
    CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
}

/// An authority signed by another.
pub(crate) fn below(root: &Signing, name: &str, algorithm: &'static rcgen::SignatureAlgorithm) -> Signing {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = authority(name);
    params.use_authority_key_identifier_extension = true;
    CertifiedIssuer::signed_by(params, key, root).unwrap()
}

/// Plugs an authority into a folder as istiod expects it.
pub(crate) fn plug(folder: &Path, signing: &Signing, root: &Signing) {
    let files = [
        ("ca-key.pem", signing.key().serialize_pem()),
        ("ca-cert.pem", signing.pem()),
        ("cert-chain.pem", format!("{}{}", signing.pem(), root.pem())),
        ("root-cert.pem", root.pem()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// A certificate with these URIs, and its key; it holds for an hour, or ended an hour ago.
pub(crate) fn shown(
    root: &Signing,
    uris: &[&str],
    holds: bool,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    params.not_before = (now - 2 * hour).into();
    params.not_after = if holds { now + hour } else { now - hour }.into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, root).unwrap().der().clone();
    (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// The authority of a folder.
pub(crate) async fn open(folder: &Path, stats: &Arc<Stats>) -> (Authority, Keeper) {
    let places = Places { folder: folder.to_owned(), cluster: None };
    Authority::open(places, RootRules::default(), Arc::clone(stats)).await.unwrap()
}

/// The mesh whose trust domain is `td`.
pub(crate) fn mesh() -> watch::Receiver<Mesh> {
    let mesh = Mesh { trust_domain: "td".into(), discovery_host: "istiod.istio-system.svc".into() };
    // Nothing of it changes.
    watch::channel(mesh).1
}

/// Knows callers by token: `NAMESPACE/ACCOUNT`, anything else is nobody's.
pub(crate) fn authenticator(stats: &Arc<Stats>) -> Authenticator {
    let ask: Arc<Ask> = Arc::new(|token| {
        Box::pin(async move {
            let (namespace, name) =
                token.text().split_once('/').ok_or_else(|| Doubt::Refused("nobody's".to_owned()))?;
            Ok(Account { namespace: namespace.into(), name: name.into() })
        })
    });
    Authenticator::new(Some(Reviews::new(ask, Arc::clone(stats))), mesh(), "one".into(), Arc::clone(stats))
}

/// The certificate service of an authority.
pub(crate) fn certificates(authority: &Authority, stats: &Arc<Stats>) -> Certificates {
    let issuer = Issuer::new(authority.clone(), Lifetimes::default());
    // It stays the same.
    Certificates::new(watch::channel(Some(issuer)).1, authenticator(stats), Arc::clone(stats))
}

/// Asks the service.
pub(crate) async fn create(
    service: &Certificates,
    request: IstioCertificateRequest,
    headers: &[(&'static str, &str)],
) -> Result<Vec<String>, Status> {
    let mut client = tonic::client::Grpc::new(service.clone());
    let mut request = Request::new(request);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let path = "/istio.v1.auth.IstioCertificateService/CreateCertificate".parse().unwrap();
    let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
    client.ready().await.unwrap();
    Ok(client.unary(request, path, codec).await?.into_inner().cert_chain)
}

/// A request with a new key, for a foreign name.
pub(crate) fn csr(algorithm: &'static rcgen::SignatureAlgorithm, common_name: Option<&str>) -> String {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(["evil.example.com".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    common_name.into_iter().for_each(|name| params.distinguished_name.push(DnType::CommonName, name));
    params.serialize_request(&key).unwrap().pem().unwrap()
}
