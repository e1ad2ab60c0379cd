//! The port over TLS as proxies meet it: who is let in, and who gets a certificate.

use std::sync::Arc;
use std::time::SystemTime;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_api::type_url;
use hyper_util::rt::TokioIo;
use istio_api::wire::auth::{IstioCertificateRequest, IstioCertificateResponse};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::{PATIENCE, Running};

pub(crate) type Root = CertifiedIssuer<'static, KeyPair>;
type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

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

fn key_of(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

/// A client of this address that shows this.
fn client(address: &str, root: &Root, shown: Option<Shown>) -> Channel {
    let mut store = RootCertStore::empty();
    store.add(root.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(store);
    let mut config = match shown {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (config, to) = (Arc::new(config), address.to_owned());
    let connector = tower::service_fn(move |_: http::Uri| {
        let (connector, to) = (TlsConnector::from(Arc::clone(&config)), to.clone());
        async move {
            let name = "istiod.istio-system.svc".try_into().unwrap();
            connector.connect(name, TcpStream::connect(to).await?).await.map(TokioIo::new)
        }
    });
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_with_connector_lazy(connector)
}

async fn ready(client: &mut tonic::client::Grpc<Channel>) -> Result<(), Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))
}

async fn create(channel: &Channel, csr: String) -> Result<Vec<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    ready(&mut client).await?;
    let path = "/istio.v1.auth.IstioCertificateService/CreateCertificate".parse().unwrap();
    let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
    let request = IstioCertificateRequest { csr, validity_duration: 3600, metadata: None };
    Ok(client.unary(Request::new(request), path, codec).await?.into_inner().cert_chain)
}

/// Asks for clusters as a sidecar in a namespace, and hangs up after the answer.
async fn clusters(channel: &Channel, namespace: &str) -> Result<usize, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    ready(&mut client).await?;
    let id = format!("sidecar~10.0.0.1~shop-1.{namespace}~{namespace}.svc.cluster.local");
    let request = DeltaDiscoveryRequest {
        node: Some(Node { id, ..Default::default() }),
        type_url: type_url::CLUSTER.to_owned(),
        ..Default::default()
    };
    let path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
    let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
    // What is asked first, and then nothing, but the stream stays open.
    let asked = futures::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
    let answers = client.streaming(Request::new(asked), path.parse().unwrap(), codec).await?;
    let answer = answers.into_inner().message().await?.unwrap();
    Ok(answer.resources.len())
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

    let stranger = client(&address, &root, None);
    assert_eq!(clusters(&stranger, "web").await.unwrap_err().code(), Code::Unauthenticated);
    let key = KeyPair::generate().unwrap();
    let csr = named("spiffe://here/ns/other/sa/other").serialize_request(&key).unwrap().pem().unwrap();
    assert_eq!(create(&stranger, csr.clone()).await.unwrap_err().code(), Code::Unauthenticated);

    let first = KeyPair::generate().unwrap();
    let signed = named("spiffe://here/ns/web/sa/shop").signed_by(&first, &root).unwrap();
    let shop = client(&address, &root, Some((vec![signed.der().clone()], key_of(&first))));
    let chain = create(&shop, csr).await.unwrap();
    assert_eq!(chain.last(), Some(&root.pem()));

    // With the certificate that was issued: it is that of whoever asked for it, not of whom the request names.
    let issued = CertificateDer::pem_slice_iter(chain[0].as_bytes()).map(Result::unwrap).collect();
    let renewed = client(&address, &root, Some((issued, key_of(&key))));
    assert!(clusters(&renewed, "web").await.is_ok());
    assert_eq!(clusters(&renewed, "other").await.unwrap_err().code(), Code::PermissionDenied);
    running.says("a proxy is turned away");

    let foreign = named("spiffe://there/ns/web/sa/shop").signed_by(&first, &root).unwrap();
    let foreign = client(&address, &root, Some((vec![foreign.der().clone()], key_of(&first))));
    assert!(clusters(&foreign, "web").await.is_err());
    assert!(running.end());
}
