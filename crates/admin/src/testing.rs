//! A small mesh with a real discovery server, and clients that accept or refuse what they are sent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_api::google::rpc::Status;
use envoy_api::json;
use http_body_util::BodyExt;
use model::parse::{Context, parse_object};
use model::{Caller, Change, Origin};
use prost::Message;
use push::{Command, Engine, Limits};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use tower::ServiceExt;

use crate::{Access, Build, State, answer, router};

/// A sidecar's node, as Istio's agent announces it.
pub(crate) const NODE: &str = r#"{
    "id": "sidecar~10.0.0.9~client-1.default~default.svc.cluster.local",
    "metadata": {
        "CLUSTER_ID": "Kubernetes", "NAMESPACE": "default", "ISTIO_VERSION": "1.29.1",
        "LABELS": {"app": "client"}, "PROXY_CONFIG": {}
    },
    "locality": {"region": "r", "zone": "z"}
}"#;

/// A Service with one endpoint, a VirtualService, and one whose weight is wrong.
const OBJECTS: [&str; 4] = [
    r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 9080}]}}"#,
    r#"{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "reviews-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "reviews"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 9080}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}"#,
    r#"{"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService",
        "metadata": {"name": "reviews"},
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]}}"#,
    r#"{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "broken", "namespace": "default"},
        "spec": {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "reviews"}, "weight": -1}]}]}}"#,
];

/// A mesh with a server on a loopback port.
pub(crate) struct Mesh {
    pub(crate) state: State,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Mesh {
    /// One that has nothing yet.
    pub(crate) async fn empty() -> Self {
        let (engine, handle, inbox) = Engine::new(model::settings::Settings::default());
        engine.start(inbox, Limits::default()).unwrap();
        let hooks = push::Discovery::new(handle.clone());
        let server =
            xds::Discovery::new(hooks.clone(), xds::Config::default(), tonic::service::Routes::default());
        let state = State {
            engine: handle.clone(),
            connections: server.connections(),
            stats: server.stats(),
            build: Build {
                version: "1.30.0".into(),
                revision: "abc".into(),
                status: "Clean".into(),
                instance: "istiod-1".into(),
            },
            started: Instant::now(),
            parts: Vec::new(),
            access: Access::default(),
            templates: Some(Arc::new(|| [("sidecar".to_owned(), "spec: {}".to_owned())].into())),
        };
        let asked = state.clone();
        hooks.inspect_by(move |question| answer(&asked, question));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(xds::serve(listener, xds::Plain, server, xds::Keep::default(), shutdown.clone()));
        Self { state, address, shutdown }
    }

    /// One with a service and a VirtualService that has an error.
    pub(crate) async fn small() -> Self {
        let mesh = Self::empty().await;
        mesh.state
            .engine
            .commands
            .send(Command::Changes(OBJECTS.iter().flat_map(|text| change(text)).collect()))
            .await
            .unwrap();
        until(|| mesh.state.readiness().0).await;
        mesh
    }

    /// Puts more objects.
    pub(crate) async fn apply(&self, objects: &[&str]) {
        let changes = objects.iter().flat_map(|text| change(text)).collect();
        self.state.engine.commands.send(Command::Changes(changes)).await.unwrap();
    }

    /// The answer to a GET from loopback.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        self.get_from("127.0.0.1:1", path).await
    }

    pub(crate) async fn get_from(&self, peer: &str, path: &str) -> (StatusCode, String) {
        self.send(peer, Request::builder().uri(path).body(Body::empty()).unwrap()).await
    }

    /// The answer to a GET from elsewhere, by an identity of a namespace.
    pub(crate) async fn get_as(&self, namespace: &str, path: &str) -> (StatusCode, String) {
        let caller = Caller {
            trust_domain: "cluster.local".into(),
            namespace: namespace.into(),
            service_account: "default".into(),
        };
        self.send("10.0.0.1:1", Request::builder().uri(path).extension(caller).body(Body::empty()).unwrap())
            .await
    }

    async fn send(&self, peer: &str, mut request: Request<Body>) -> (StatusCode, String) {
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let response = router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A client of the delta protocol that asks for these types, `refused` ones it always refuses, and for these
    /// names; it lives until dropped.
    pub(crate) async fn client(
        &self,
        wishes: &[(&str, &[&str])],
        refused: &'static [&'static str],
    ) -> Client {
        let (requests, receiver) = mpsc::channel(64);
        for (at, (url, names)) in wishes.iter().enumerate() {
            let mut request = subscribe(url, names);
            request.node = (at == 0).then(node);
            requests.send(request).await.unwrap();
        }
        let mut responses = stream(self.address, receiver).await.unwrap();
        let task = tokio::spawn(async move {
            while let Ok(Some(response)) = responses.message().await {
                let error_detail = refused.contains(&&*response.type_url).then(|| Status {
                    code: 13,
                    message: "no good".into(),
                    ..Status::default()
                });
                let answer = DeltaDiscoveryRequest {
                    type_url: response.type_url,
                    response_nonce: response.nonce,
                    error_detail,
                    ..DeltaDiscoveryRequest::default()
                };
                if requests.send(answer).await.is_err() {
                    return;
                }
            }
        });
        Client(task)
    }

    /// The first response to a request that a stream begins with.
    pub(crate) async fn ask(
        &self,
        url: &str,
        names: &[&str],
    ) -> Result<DeltaDiscoveryResponse, tonic::Status> {
        let (requests, receiver) = mpsc::channel(64);
        let request = DeltaDiscoveryRequest { node: Some(node()), ..subscribe(url, names) };
        requests.send(request).await.unwrap();
        let mut responses = stream(self.address, receiver).await?;
        Ok(responses.message().await?.unwrap())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A connected client.
pub(crate) struct Client(tokio::task::JoinHandle<()>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until something holds, for ten seconds at most.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}

async fn stream(
    address: SocketAddr,
    requests: mpsc::Receiver<DeltaDiscoveryRequest>,
) -> Result<tonic::Streaming<DeltaDiscoveryResponse>, tonic::Status> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = format!("/{}/DeltaAggregatedResources", xds::SERVICE).parse().unwrap();
    let requests = tonic::Request::new(ReceiverStream::new(requests));
    Ok(grpc.streaming(requests, path, ProstCodec::default()).await?.into_inner())
}

fn subscribe(url: &str, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: url.to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

pub(crate) fn node() -> Node {
    let bytes = json::parse("envoy.config.core.v3.Node", &serde_json::from_str(NODE).unwrap()).unwrap();
    Node::decode(bytes).unwrap()
}

fn change(text: &str) -> Vec<Change> {
    let object: Value = serde_json::from_str(text).unwrap();
    let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
    let origin = Origin {
        file: "mesh.yaml".into(),
        line: 7,
        object: Some(object.to_string().into()),
        ..Origin::default()
    };
    let origin = Arc::new(origin);
    parse_object(&object, &context)
        .into_iter()
        .map(|parsed| Change {
            key: parsed.key,
            value: parsed.value,
            origin: origin.clone(),
            problems: parsed.problems,
        })
        .collect()
}
