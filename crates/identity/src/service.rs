//! The certificate service, `istio.v1.auth.IstioCertificateService` (istiod-surface 7.1).
//!
//! Nobody is impersonated here yet: a request that asks for it is refused as istiod refuses it while
//! `CA_TRUSTED_NODE_ACCOUNTS` is empty.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use istio_api::wire::auth::{IstioCertificateRequest, IstioCertificateResponse};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::authenticate::{self, Authenticator};
use crate::issue::{Issuer, Refusal};
use crate::stats::{Stats, count};

/// The longest message of a caller, in bytes.
const LONGEST: usize = 256 << 10;
const METHOD: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
/// Names of metadata: whose certificate is wanted, if not one's own.
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// The certificate service. A clone is a handle.
#[derive(Clone)]
pub struct Certificates {
    issuer: watch::Receiver<Option<Issuer>>,
    authenticator: Authenticator,
    stats: Arc<Stats>,
}

impl Certificates {
    /// Issues to whom the authenticator knows, from the moment on at which there is somebody to issue.
    pub fn new(
        issuer: watch::Receiver<Option<Issuer>>,
        authenticator: Authenticator,
        stats: Arc<Stats>,
    ) -> Self {
        Self { issuer, authenticator, stats }
    }

    async fn create(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let stats = &self.stats;
        count(&stats.requests);
        let issuer = self.issuer.borrow().clone();
        let issuer = issuer.ok_or_else(|| Status::unavailable("the authority cannot be asked yet"))?;
        let (metadata, extensions, request) = request.into_parts();
        let caller = self.authenticator.caller(&extensions, &metadata.into_headers()).await;
        let caller = caller.map_err(|doubt| {
            count(&stats.strangers);
            tracing::warn!(%doubt, "a certificate was refused: it is not known who asks");
            authenticate::status(&doubt, "request authenticate failure")
        })?;
        if impersonates(&request) {
            count(&stats.strangers);
            tracing::warn!(?caller, "a certificate was refused: nobody may ask for another's");
            return Err(Status::unauthenticated("request impersonation authentication failure"));
        }
        let seconds = request.validity_duration;
        let issued = issuer.issue(request.csr, &caller, seconds).await;
        let cert_chain = issued.map_err(|refusal| {
            tracing::warn!(?caller, ?refusal, "a certificate was refused");
            status(refusal)
        })?;
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

fn impersonates(request: &IstioCertificateRequest) -> bool {
    use prost_types::value::Kind;
    let metadata = request.metadata.as_ref();
    let value = metadata.and_then(|metadata| metadata.fields.get(IMPERSONATED));
    value.is_some_and(|value| matches!(&value.kind, Some(Kind::StringValue(text)) if !text.is_empty()))
}

fn status(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Request(reason) => Status::invalid_argument(format!("CSR signing error ({reason})")),
        Refusal::Lifetime(reason) => Status::invalid_argument(format!("CSR signing error ({reason})")),
        Refusal::Signing(reason) => Status::internal(format!("CSR signing error ({reason})")),
        Refusal::Overload => {
            let mut status = Status::resource_exhausted("too many certificates are being asked for");
            // What gRPC clients that retry by themselves read as "in a second".
            let hint = tonic::metadata::MetadataValue::from_static("1000");
            status.metadata_mut().insert("grpc-retry-pushback-ms", hint);
            status
        }
    }
}

impl NamedService for Certificates {
    const NAME: &'static str = "istio.v1.auth.IstioCertificateService";
}

impl UnaryService<IstioCertificateRequest> for Certificates {
    type Response = IstioCertificateResponse;
    type Future = BoxFuture<'static, Result<Response<IstioCertificateResponse>, Status>>;

    fn call(&mut self, request: Request<IstioCertificateRequest>) -> Self::Future {
        let service = self.clone();
        async move { service.create(request).await }.boxed()
    }
}

impl Service<http::Request<Body>> for Certificates {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move {
            if request.uri().path() != METHOD {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            let codec = ProstCodec::<IstioCertificateResponse, IstioCertificateRequest>::default();
            let mut grpc = Grpc::new(codec).max_decoding_message_size(LONGEST);
            Ok(grpc.unary(service, request).await)
        }
        .boxed()
    }
}
