//! One question over xDS.

use anyhow::{Context as _, Result, anyhow};
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// Who asks. It has the form of a proxy's id, which other control planes insist on.
const NODE: &str = "sidecar~127.0.0.1~proxy-status.istio-system~istio-system.svc.cluster.local";

/// The first answer to a request for this type and these names.
pub(super) async fn ask(address: &str, type_url: &str, names: &[&str]) -> Result<DiscoveryResponse> {
    let endpoint = Channel::from_shared(format!("http://{address}"))
        .map_err(|_| anyhow!("'{address}' is no address: it is written HOST:PORT"))?;
    let channel = endpoint.connect().await.with_context(|| {
        format!(
            "nothing answers at {address}: is the control plane running, and is this its plaintext xDS port \
             (--grpcAddr, by default 15010)?"
        )
    })?;
    let request = DiscoveryRequest {
        node: Some(Node { id: NODE.to_owned(), ..Node::default() }),
        type_url: type_url.to_owned(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DiscoveryRequest::default()
    };
    let answer = first(channel, request).await.map_err(|status| explained(address, &status))?;
    answer.ok_or_else(|| anyhow!("{address} ended the stream without an answer"))
}

async fn first(channel: Channel, request: DiscoveryRequest) -> Result<Option<DiscoveryResponse>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(
        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    );
    // The stream of requests stays open, or some servers would end theirs before they answer.
    let requests = futures::StreamExt::chain(
        futures::stream::once(std::future::ready(request)),
        futures::stream::pending(),
    );
    let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
    let mut answers = grpc.streaming(tonic::Request::new(requests), path, codec).await?.into_inner();
    answers.message().await
}

/// What went wrong and what would mend it.
fn explained(address: &str, status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => anyhow!(
            "{address} does not answer questions from here: {message}; ask on its own machine, by a loopback address"
        ),
        Code::Unavailable => anyhow!("{address} is not ready yet, try again: {message}"),
        Code::Unimplemented => anyhow!(
            "{address} does not know this question: {message}; is it the plaintext xDS port (--grpcAddr)?"
        ),
        code => anyhow!("{address} answered with an error: {message} ({code:?})"),
    }
}
