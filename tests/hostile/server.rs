//! Clients that do what they should not, at a whole server in this process: they are held to bounds, others are served.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_api::envoy::config::cluster::v3::Cluster;
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_api::{google, type_url};
use model::Change;
use model::parse::{Context, parse_object};
use model::settings::Settings;
use prost::Message;
use push::{Command, Engine, Limits};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

const PATIENCE: Duration = Duration::from_secs(30);

const SERVICES: u32 = 20;
/// States in all, and those after which memory is as large as it will be.
const STATES: u32 = 2_000;
const SETTLED: u32 = 700;
/// What memory may grow by between the two: 1,300 states of the whole mesh would be many times as much.
const GROWTH: u64 = 6 << 20;
const GOOD: &str = "sidecar~10.0.0.1~app.ns~ns.svc.cluster.local";

/// Engine and discovery server on a loopback port.
struct Server {
    engine: push::Handle,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        let (engine, handle, inbox) = Engine::new(Settings::default());
        engine.start(inbox, Limits { after: Duration::ZERO, max: Duration::ZERO }).unwrap();
        let hooks = push::Discovery::new(handle.clone());
        let server = xds::Discovery::new(hooks, xds::Config::default(), tonic::service::Routes::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(xds::serve(listener, xds::Plain, server, xds::Keep::default(), shutdown.clone()));
        Self { engine: handle, address, shutdown }
    }

    /// Puts objects and waits for the state that has them.
    async fn apply(&self, objects: &[Value]) {
        let mut snapshots = self.engine.snapshots.clone();
        snapshots.mark_unchanged();
        let changes = objects.iter().map(change).collect();
        self.engine.commands.send(Command::Changes(changes)).await.unwrap();
        timeout(PATIENCE, snapshots.changed()).await.unwrap().unwrap();
    }

    async fn connect(&self, node: &str, types: &[&str]) -> Result<Client, Status> {
        let (out, requests) = mpsc::channel(64);
        let named = Some(Node { id: node.into(), ..Node::default() });
        for (at, url) in types.iter().enumerate() {
            let node = named.clone().filter(|_| at == 0);
            out.send(DeltaDiscoveryRequest { node, ..request(url) }).await.unwrap();
        }
        let uri = format!("http://{}", self.address);
        let channel = tonic::transport::Channel::from_shared(uri).unwrap().connect().await.unwrap();
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.unwrap();
        let path = format!("/{}/DeltaAggregatedResources", xds::SERVICE).parse().unwrap();
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        let answers = grpc.streaming(tonic::Request::new(ReceiverStream::new(requests)), path, codec).await?;
        Ok(Client { out, answers: answers.into_inner() })
    }

    /// Entries of all memos.
    fn entries(&self) -> u64 {
        self.engine.memos.counts().into_iter().map(|count| count.counts.entries).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

struct Client {
    out: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn hears(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        timeout(PATIENCE, self.answers.message()).await.unwrap().map(Option::unwrap)
    }

    /// The next answer, which is refused or accepted.
    async fn answers(&mut self, refuses: bool) -> DeltaDiscoveryResponse {
        let answer = self.hears().await.unwrap();
        let error = google::rpc::Status { message: "no good".into(), ..Default::default() };
        let reply = DeltaDiscoveryRequest {
            response_nonce: answer.nonce.clone(),
            error_detail: refuses.then_some(error),
            ..request(&answer.type_url)
        };
        self.out.send(reply).await.unwrap();
        answer
    }

    /// Refuses whatever comes, or accepts it, until a cluster of this state has come.
    async fn hears_state(&mut self, state: u32, refuses: bool) {
        loop {
            let clusters = self.answers(refuses).await.resources.into_iter().filter_map(|one| one.resource);
            let mut clusters = clusters.filter_map(|any| Cluster::decode(any.value).ok());
            if clusters.any(|cluster| connections(&cluster) == Some(state)) {
                return;
            }
        }
    }

    /// Accepts whatever comes until a route configuration mentions this.
    async fn hears_route(&mut self, part: &str) {
        let has = |bytes: &[u8]| bytes.windows(part.len()).any(|window| window == part.as_bytes());
        loop {
            let answer = self.answers(false).await;
            let mut found = answer.resources.iter().filter_map(|one| one.resource.as_ref());
            if answer.type_url == type_url::ROUTE && found.any(|any| has(&any.value)) {
                return;
            }
        }
    }
}

fn connections(cluster: &Cluster) -> Option<u32> {
    let thresholds = &cluster.circuit_breakers.as_ref()?.thresholds;
    thresholds.first()?.max_connections
}

fn request(url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: url.into(), ..DeltaDiscoveryRequest::default() }
}

fn change(object: &Value) -> Change {
    let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
    let parsed = parse_object(object, &context).unwrap();
    Change { key: parsed.key, value: parsed.value, origin: Arc::default(), problems: parsed.problems }
}

fn service(at: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns", "name": format!("s{at}")},
        "spec": {"clusterIP": format!("10.1.0.{at}"), "ports": [{"name": "http", "port": 80}]}})
}

/// A rule that makes the state of this number, of every service another one.
fn rule(state: u32) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"namespace": "ns", "name": "all"},
        "spec": {"host": "*.ns.svc.cluster.local",
            "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": state}}}}})
}

/// Resident memory of this process, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_for_ever_and_who_never_reads_cost_no_more_after_thousands_of_states() {
    let server = Server::start().await;
    let services: Vec<Value> = (0..SERVICES).map(service).chain([rule(1)]).collect();
    server.apply(&services).await;
    let all = [type_url::CLUSTER, type_url::LISTENER];
    let mut refuses = server.connect(GOOD, &all).await.unwrap();
    let _never_reads = server.connect(GOOD, &all).await.unwrap();
    let mut good = server.connect(GOOD, &all).await.unwrap();
    let mut seen = BTreeMap::new();
    for state in 2..=STATES {
        server.apply(&[rule(state)]).await;
        refuses.hears_state(state, true).await;
        good.hears_state(state, false).await;
        if state == SETTLED || state == STATES {
            seen.insert(state, (memory(), server.entries()));
        }
    }
    let [(settled, entries), (last, more)] = [seen[&SETTLED], seen[&STATES]];
    assert!(last < settled + GROWTH, "memory grew from {settled} to {last}");
    assert!(more <= entries + entries / 10, "entries grew from {entries} to {more}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_out_of_shape_ends_its_stream_and_no_other() {
    let server = Server::start().await;
    server.apply(&[service(1), rule(1)]).await;
    let mut good = server.connect(GOOD, &[type_url::CLUSTER]).await.unwrap();
    good.hears_state(1, false).await;
    for node in [
        "nonsense",
        "",
        "~~~",
        "sidecar~10.0.0.1~app.ns",
        "sidecar~nowhere~app.ns~d",
        "mainframe~10.0.0.1~a.b~d",
    ] {
        let told = match server.connect(node, &[type_url::CLUSTER]).await {
            Ok(mut client) => client.hears().await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(told.code(), Code::InvalidArgument, "{node}: {told:?}");
    }
    server.apply(&[rule(2)]).await;
    good.hears_state(2, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_to_clusters_that_ask_for_no_endpoints_waits_for_none() {
    let server = Server::start().await;
    let mut passthrough = rule(1);
    passthrough["spec"]["trafficPolicy"]["loadBalancer"] = json!({"simple": "PASSTHROUGH"});
    server.apply(&[service(1), passthrough]).await;
    let mut client = server.connect(GOOD, &[type_url::CLUSTER]).await.unwrap();
    let route =
        DeltaDiscoveryRequest { resource_names_subscribe: vec!["80".into()], ..request(type_url::ROUTE) };
    client.out.send(route).await.unwrap();
    client.hears_route("s1.ns").await;
    server.apply(&[service(2)]).await;
    let begin = Instant::now();
    client.hears_route("s2.ns").await;
    // Routes wait five seconds for endpoints that nobody asks for.
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}
