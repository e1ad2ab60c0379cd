//! The server over real connections: HTTP/2, shutdown, a client that does not read, the services beside discovery.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use harness::{House, Mesh, url};
use xds::{Config, Discovery, Health, Keep, Plain, Stats, serve, side_services};

const SOON: Duration = Duration::from_secs(20);

struct Server {
    address: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
    health: Health,
    stats: Arc<Stats>,
}

async fn start(house: &House, keep: Keep) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (routes, health) =
        side_services(&prost_types::FileDescriptorSet::default().encode_to_vec(), &[]).await.unwrap();
    let service = Discovery::new(house.clone(), Config::default(), routes);
    let (stop, stats) = (CancellationToken::new(), service.stats());
    let task = tokio::spawn(serve(listener, Plain, service, keep, stop.clone()));
    Server { address, stop, task, health, stats }
}

struct Client {
    out: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
        let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await.unwrap();
        let (out, requests) = mpsc::channel(16);
        let node = Some(Node { id: "sidecar~10.0.0.1~app.ns~ns".into(), ..Node::default() });
        out.send(DeltaDiscoveryRequest { node, type_url: url("cds").into(), ..Default::default() })
            .await
            .unwrap();
        let requests = futures::stream::unfold(requests, |mut requests| async {
            requests.recv().await.map(|request| (request, requests))
        });
        let path = format!("/{}/DeltaAggregatedResources", xds::SERVICE).parse().unwrap();
        let codec = tonic_prost::ProstCodec::default();
        let answers = grpc.streaming(tonic::Request::new(requests), path, codec).await.unwrap().into_inner();
        Self { out, answers }
    }

    async fn hear(&mut self) -> Result<Option<DeltaDiscoveryResponse>, tonic::Status> {
        timeout(SOON, self.answers.message()).await.unwrap()
    }

    async fn hear_and_ack(&mut self) -> usize {
        let answer = self.hear().await.unwrap().unwrap();
        let ack = DeltaDiscoveryRequest {
            type_url: answer.type_url,
            response_nonce: answer.nonce,
            ..Default::default()
        };
        self.out.send(ack).await.unwrap();
        answer.resources.len()
    }
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_in_order() {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then("cds a1 b1"));
    let server = start(&house, Keep::default()).await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.hear_and_ack().await, 2);
    server.stop.cancel();
    let status = client.hear().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    timeout(SOON, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_old_connection_is_ended_and_the_server_goes_on() {
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then("cds a1"));
    let server = start(&house, Keep { max_age: Some(Duration::from_millis(300)), ..Keep::default() }).await;
    for _ in 0..2 {
        let mut client = Client::connect(&server).await;
        assert_eq!(client.hear_and_ack().await, 1);
        assert_eq!(client.hear().await.unwrap_err().code(), tonic::Code::Unavailable);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_waited_for_and_nothing_piles_up() {
    let mut mesh = Mesh::default();
    // Large enough that one response does not fit into what the transport buffers.
    let large = |at: usize| {
        format!("cds {}", (0..20_000).map(|n| format!("{}{at} ", letters(n))).collect::<String>())
    };
    let house = House::new(mesh.then(&large(1)));
    let server = start(&house, Keep::default()).await;
    let _slow = Client::connect(&server).await;
    let mut fast = Client::connect(&server).await;
    assert_eq!(fast.hear_and_ack().await, 20_000);
    let before = server.stats.of(url("cds")).pushes.load(Relaxed);
    for at in 2..12 {
        house.views.send_replace(mesh.then(&large(at)));
        assert_eq!(fast.hear_and_ack().await, 20_000);
    }
    let pushes = server.stats.of(url("cds")).pushes.load(Relaxed) - before;
    assert!((10..=12).contains(&pushes), "{pushes} responses were made");
}

fn letters(mut number: usize) -> String {
    let mut name = String::from("cluster-");
    for _ in 0..4 {
        name.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    name
}

#[tokio::test]
async fn health_is_served_beside_discovery() {
    let house = House::new(Mesh::default().then("cds a1"));
    let server = start(&house, Keep::default()).await;
    let channel = Channel::from_shared(server.address.clone()).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let mut heard = Vec::new();
    for told in [None, Some(true), Some(false)] {
        if let Some(serving) = told {
            server.health.report(serving).await;
        }
        let answer = health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
        heard.push(answer.into_inner().status == tonic_health::ServingStatus::Serving as i32);
    }
    assert_eq!(heard, [false, true, false], "nobody is served before it is said");
}
