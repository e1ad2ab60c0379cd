//! What the agent beside a proxy does over TLS: it asks for a certificate, and for the first resources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_api::type_url;
use hyper_util::rt::TokioIo;
use istio_api::wire::auth::{IstioCertificateRequest, IstioCertificateResponse};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// The name under which the server is called.
const NAME: &str = "istiod.istio-system.svc";
const CREATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const DISCOVER: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// A server that has nothing to send says nothing; longer is not waited for it.
const SILENCE: Duration = Duration::from_secs(1);

/// A chain of certificates and its key, in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The certificate, and what leads from it to a root.
    pub chain: &'a str,
    /// Its private key.
    pub key: &'a str,
}

/// A connection to a control plane, made when it is first used.
pub struct Agent {
    channel: Channel,
}

impl Agent {
    /// Calls this address, believes these roots (PEM) and shows this certificate, if any.
    ///
    /// # Errors
    /// What is no certificate or key is one.
    pub fn new(address: &str, roots: &str, shown: Option<Shown<'_>>) -> Result<Self, String> {
        let config = Arc::new(config(roots, shown).map_err(|error| error.to_string())?);
        let to = address.to_owned();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (connector, to) = (TlsConnector::from(Arc::clone(&config)), to.clone());
            async move {
                let stream = TcpStream::connect(to).await?;
                connector
                    .connect(ServerName::try_from(NAME).map_err(std::io::Error::other)?, stream)
                    .await
                    .map(TokioIo::new)
            }
        });
        let endpoint =
            Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        Ok(Self { channel: endpoint.connect_with_connector_lazy(connector) })
    }

    /// Asks for a certificate, by a token if there is one: the certificate, what leads to the roots, the roots.
    ///
    /// # Errors
    /// The server's status; `UNAVAILABLE` too if there was no connection.
    pub async fn certificate(&self, csr: String, token: Option<&str>) -> Result<Vec<String>, Status> {
        let mut client = self.client().await?;
        let mut request =
            Request::new(IstioCertificateRequest { csr, validity_duration: 3600, metadata: None });
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse();
            request.metadata_mut().insert("authorization", value.map_err(|_| Status::internal("a token"))?);
        }
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        let path = http::uri::PathAndQuery::from_static(CREATE);
        Ok(client.unary(request, path, codec).await?.into_inner().cert_chain)
    }

    /// Asks for all clusters as the sidecar `POD.NAMESPACE` which holds these versions by name, and hangs up after
    /// the answer: what was sent, versions by name.
    ///
    /// # Errors
    /// The server's status; `UNAVAILABLE` too if there was no connection.
    pub async fn clusters(
        &self,
        namespace: &str,
        held: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Status> {
        let mut client = self.client().await?;
        let id = format!("sidecar~10.0.0.1~shop-1.{namespace}~{namespace}.svc.cluster.local");
        let request = DeltaDiscoveryRequest {
            node: Some(Node { id, ..Default::default() }),
            type_url: type_url::CLUSTER.to_owned(),
            initial_resource_versions: held.clone(),
            ..Default::default()
        };
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        // What is asked first, and then nothing, but the stream stays open.
        let asked = futures::StreamExt::chain(tokio_stream::once(request), tokio_stream::pending());
        let path = http::uri::PathAndQuery::from_static(DISCOVER);
        let calling = client.streaming(Request::new(asked), path, codec);
        // A server that has nothing to say may not even say that it listens.
        let Ok(answers) = timeout(SILENCE, calling).await else { return Ok(BTreeMap::new()) };
        let mut answers = answers?.into_inner();
        let Ok(answer) = timeout(SILENCE, answers.message()).await else { return Ok(BTreeMap::new()) };
        let resources = answer?.unwrap_or_default().resources;
        Ok(resources.into_iter().map(|resource| (resource.name, resource.version)).collect())
    }

    async fn client(&self) -> Result<tonic::client::Grpc<Channel>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(client)
    }
}

fn config(roots: &str, shown: Option<Shown<'_>>) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let certificates =
        |text: &str| CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, PemError>>();
    let mut store = RootCertStore::empty();
    for root in certificates(roots)? {
        store.add(root)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store);
    let mut config = match shown {
        Some(Shown { chain, key }) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
            builder.with_client_auth_cert(certificates(chain)?, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
