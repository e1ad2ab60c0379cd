//! Certificates over SDS, as the agent of a sidecar hands them to its Envoy.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_api::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_api::{Any, json, type_url};
use futures::future::{BoxFuture, FutureExt as _, ready};
use futures::stream::{BoxStream, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

/// What a workload has to show, and whom it believes; all in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its certificate, and those between it and the root.
    pub chain: String,
    /// The certificate's key.
    pub key: String,
    /// The certificates that sign others.
    pub roots: String,
}

/// Serves the secrets `default` and `ROOTCA` (Istio's names) on a socket until the task is dropped.
///
/// State of the world only, since that is what resources ask the agent for. A name that is not known is not
/// answered: Envoy waits for it, as it would in a pod.
pub async fn serve(listener: UnixListener, identity: Identity) -> Result<(), tonic::transport::Error> {
    let server = tonic::transport::Server::builder().add_service(Agent(Arc::new(identity)));
    server.serve_with_incoming(UnixListenerStream::new(listener)).await
}

/// The agent's service.
#[derive(Clone)]
struct Agent(Arc<Identity>);

impl NamedService for Agent {
    const NAME: &'static str = "envoy.service.secret.v3.SecretDiscoveryService";
}

impl Service<http::Request<Body>> for Agent {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let agent = self.clone();
        async move {
            if !request.uri().path().ends_with("/StreamSecrets") {
                return Ok(Status::unimplemented("state of the world only").into_http());
            }
            let codec = ProstCodec::<DiscoveryResponse, DiscoveryRequest>::default();
            Ok(Grpc::new(codec).streaming(agent, request).await)
        }
        .boxed()
    }
}

impl StreamingService<DiscoveryRequest> for Agent {
    type Response = DiscoveryResponse;
    type ResponseStream = BoxStream<'static, Result<DiscoveryResponse, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let Self(identity) = self.clone();
        let answers = request
            .into_inner()
            .filter_map(move |request| ready(request.map(|request| identity.answer(&request)).transpose()));
        ready(Ok(Response::new(answers.boxed()))).boxed()
    }
}

impl Identity {
    /// The answer to a first request; what follows on a stream acknowledges it or refuses it.
    fn answer(&self, request: &DiscoveryRequest) -> Option<DiscoveryResponse> {
        if !request.response_nonce.is_empty() {
            return None;
        }
        let resources: Vec<Any> =
            request.resource_names.iter().filter_map(|name| self.secret(name)).collect();
        (!resources.is_empty()).then(|| DiscoveryResponse {
            version_info: "1".to_owned(),
            nonce: "1".to_owned(),
            type_url: type_url::SECRET.to_owned(),
            resources,
            ..DiscoveryResponse::default()
        })
    }

    fn secret(&self, name: &str) -> Option<Any> {
        let text = |pem: &str| json!({ "inline_string": pem });
        let content: Value = match name {
            "default" => json!({ "name": name, "tls_certificate": {
                "certificate_chain": text(&self.chain), "private_key": text(&self.key) } }),
            "ROOTCA" => {
                json!({ "name": name, "validation_context": { "trusted_ca": text(&self.roots) } })
            }
            _ => return None,
        };
        let (_, full_name) = type_url::SECRET.split_once('/')?;
        Some(Any { type_url: type_url::SECRET.to_owned(), value: json::parse(full_name, &content).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_request_is_answered_and_an_acknowledgement_is_not() {
        let identity = Identity { chain: "a".into(), key: "b".into(), roots: "c".into() };
        let mut request =
            DiscoveryRequest { resource_names: vec!["default".into()], ..DiscoveryRequest::default() };
        assert_eq!(identity.answer(&request).unwrap().resources.len(), 1);
        request.response_nonce = "1".into();
        assert_eq!(identity.answer(&request), None);
        let unknown = DiscoveryRequest { resource_names: vec!["x".into()], ..DiscoveryRequest::default() };
        assert_eq!(identity.answer(&unknown), None);
    }
}
