//! What a server sends is what `translate` says, to the byte, and what every other process would send.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use envoy_api::envoy::config::cluster::v3::Cluster;
use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_api::type_url;
use pilothouse::offline;
use prost::Message;
use serde_json::{Value as Json, json};
use testkit::golden::{Filter, case};
use testkit::processes::Processes;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// Version and bytes by type and name.
type Held = BTreeMap<String, BTreeMap<String, (String, Vec<u8>)>>;

/// How long a server may be silent before it has said all.
const QUIET: Duration = Duration::from_millis(700);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example() -> PathBuf {
    repository().join("examples/bookinfo")
}

/// A sidecar of the example that captures nothing, as its mesh has it, one that does, and the gateway.
fn nodes() -> [Json; 3] {
    let node = |kind: &str, (name, namespace): (&str, &str), ip: &str, more: Json| {
        let mut node = json!({"id": format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "metadata": {"NAMESPACE": namespace, "NAME": name, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0"}});
        for (key, value) in more.as_object().unwrap() {
            node["metadata"][key] = value.clone();
        }
        node
    };
    let app = |name: &str| json!({"app": name, "version": "v1"});
    [
        node(
            "sidecar",
            ("productpage-v1", "bookinfo"),
            "127.18.0.11",
            json!({"INTERCEPTION_MODE": "NONE", "LABELS": app("productpage")}),
        ),
        node("sidecar", ("client", "default"), "10.9.0.1", json!({"LABELS": app("client")})),
        node(
            "router",
            ("ingressgateway", "istio-system"),
            "127.18.0.1",
            json!({"LABELS": {"istio": "ingressgateway"}}),
        ),
    ]
}

/// A server of the example in a process of its own, on a port of its own.
async fn server(processes: &mut Processes, name: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.arg("discovery").arg("--configDir").arg(example().join("config"));
    command.arg("--meshConfig").arg(example().join("mesh.yaml"));
    command.args(["--grpcAddr", "127.0.0.1:0", "--httpAddr", "", "--monitoringAddr", ""]);
    processes.start(name, command.args(["--httpsAddr", "", "--secureGRPCAddr", ""])).unwrap();
    for _ in 0..2000 {
        let log = std::fs::read_to_string(processes.log(name)).unwrap_or_default();
        let line = log.lines().find(|line| line.contains("serving xDS in plaintext"));
        if let Some((_, address)) = line.and_then(|line| line.split_once("address=")) {
            return address.split_whitespace().next().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", std::fs::read_to_string(processes.log(name)).unwrap_or_default());
}

/// All that a proxy holds once it has asked for everything that it needs.
async fn ask(address: &str, node: &Json) -> Held {
    for _ in 0..200 {
        match Proxy::connect(address, node).await.run().await {
            // The server may not have read its folder yet.
            Err(status) if status.code() == tonic::Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result.unwrap(),
        }
    }
    panic!("{address} never got ready");
}

/// A delta client on a connection.
struct Proxy {
    grpc: tonic::client::Grpc<Channel>,
    node: envoy_api::envoy::config::core::v3::Node,
    held: Held,
    asked: BTreeMap<&'static str, BTreeSet<String>>,
}

impl Proxy {
    async fn connect(address: &str, node: &Json) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(usize::MAX);
        Self { grpc, node: offline::node(node).unwrap(), held: Held::new(), asked: BTreeMap::new() }
    }

    async fn run(mut self) -> Result<Held, tonic::Status> {
        let (out, requests) = mpsc::channel(64);
        let first = DeltaDiscoveryRequest { node: Some(self.node.clone()), ..request(type_url::CLUSTER) };
        out.send(first).await.unwrap();
        out.send(request(type_url::LISTENER)).await.unwrap();
        self.grpc.ready().await.unwrap();
        let path = format!("/{}/DeltaAggregatedResources", xds::SERVICE).parse().unwrap();
        let requests = tonic::Request::new(ReceiverStream::new(requests));
        let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
        let mut answers = self.grpc.streaming(requests, path, codec).await?.into_inner();
        while let Ok(message) = timeout(QUIET, answers.message()).await {
            let Some(message) = message? else { break };
            let ack =
                DeltaDiscoveryRequest { response_nonce: message.nonce.clone(), ..request(&message.type_url) };
            self.take(message);
            out.send(ack).await.unwrap();
            for more in self.more() {
                out.send(more).await.unwrap();
            }
        }
        Ok(self.held)
    }

    fn take(&mut self, message: DeltaDiscoveryResponse) {
        let held = self.held.entry(message.type_url).or_default();
        for one in message.resources {
            held.insert(one.name, (one.version, one.resource.unwrap().value.to_vec()));
        }
        message.removed_resources.iter().for_each(|name| drop(held.remove(name)));
    }

    /// Requests for what it holds needs and was not asked for yet.
    fn more(&mut self) -> Vec<DeltaDiscoveryRequest> {
        let of = |url: &str| self.held.get(url).into_iter().flatten().map(|(_, (_, bytes))| bytes.as_slice());
        let clusters: BTreeSet<String> = of(type_url::CLUSTER).filter_map(endpoints_of).collect();
        let mut routes = BTreeSet::new();
        of(type_url::LISTENER)
            .for_each(|bytes| routes_of(&envoy_api::json::resource(type_url::LISTENER, bytes), &mut routes));
        let mut requests = Vec::new();
        for (url, wanted) in [(type_url::ENDPOINT, clusters), (type_url::ROUTE, routes)] {
            let asked = self.asked.entry(url).or_default();
            let more: Vec<String> = wanted.difference(asked).cloned().collect();
            if !more.is_empty() {
                asked.extend(more.iter().cloned());
                requests.push(DeltaDiscoveryRequest { resource_names_subscribe: more, ..request(url) });
            }
        }
        requests
    }
}

fn request(url: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url: url.to_owned(), ..DeltaDiscoveryRequest::default() }
}

/// The name under which a cluster gets its endpoints, if it gets them by name.
fn endpoints_of(cluster: &[u8]) -> Option<String> {
    let cluster = Cluster::decode(cluster).unwrap();
    let service = cluster.eds_cluster_config?.service_name;
    Some(if service.is_empty() { cluster.name } else { service })
}

/// Every name of a route configuration that a listener mentions, wherever it does.
fn routes_of(value: &Json, found: &mut BTreeSet<String>) {
    match value {
        Json::Array(list) => list.iter().for_each(|value| routes_of(value, found)),
        Json::Object(fields) => {
            found.extend(fields.get("routeConfigName").and_then(Json::as_str).map(str::to_owned));
            fields.values().for_each(|value| routes_of(value, found));
        }
        _ => {}
    }
}

/// What `translate` says of the example, to the byte, by type and name.
fn offline_view(node: &Json) -> BTreeMap<String, BTreeMap<String, (String, Vec<u8>)>> {
    let request = offline::Request {
        files: sources::read_folder(&example().join("config")).unwrap().0,
        mesh: Some(std::fs::read_to_string(example().join("mesh.yaml")).unwrap()),
        node: node.clone(),
        ..offline::Request::default()
    };
    let (view, _) = offline::view(&request).unwrap();
    let shown = offline::translate(&request).unwrap().resources;
    let urls = BTreeMap::from([
        ("cds", type_url::CLUSTER),
        ("eds", type_url::ENDPOINT),
        ("lds", type_url::LISTENER),
        ("rds", type_url::ROUTE),
        ("nds", type_url::NAME_TABLE),
    ]);
    let mut held = Held::new();
    for (short, list) in shown {
        let url = urls[short.as_str()];
        for (name, resource) in list {
            let served = view.types[url].get(&name).unwrap();
            assert_eq!(resource, envoy_api::json::resource(url, &served.body.to_bytes()), "{url} {name}");
            let content = (served.version.to_string(), served.body.to_bytes().to_vec());
            held.entry(url.to_owned()).or_default().insert(name, content);
        }
    }
    held
}

fn assert_same(one: &Held, two: &Held, what: &str) {
    let names = |held: &Held| -> Vec<String> {
        held.iter().flat_map(|(url, list)| list.keys().map(move |name| format!("{url} {name}"))).collect()
    };
    assert_eq!(names(one), names(two), "{what}: names");
    for (url, list) in one {
        for (name, content) in list {
            assert_eq!(Some(content), two[url].get(name), "{what}: {url} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_send_what_translate_says_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut processes = Processes::new(folder.path()).unwrap();
    let one = server(&mut processes, "one").await;
    let two = server(&mut processes, "two").await;
    for node in nodes() {
        let id = node["id"].as_str().unwrap();
        let (first, second) = (ask(&one, &node).await, ask(&two, &node).await);
        assert!(first.values().map(BTreeMap::len).sum::<usize>() >= 6, "{id}: {:?}", first.keys());
        assert_same(&first, &second, &format!("{id}, two servers"));
        assert_same(&first, &offline_view(&node), &format!("{id}, a server and translate"));
    }
    processes.end().await;
}

/// The output of `translate` in a process of its own.
async fn translated(
    config: &Path,
    mesh: Option<&Path>,
    node: &Path,
    environment: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.arg("translate").arg("--configDir").arg(config).arg("--node").arg(node).envs(environment);
    if let Some(mesh) = mesh {
        command.arg("--meshConfig").arg(mesh);
    }
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn two_processes_translate_to_equal_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.json");
    for node in nodes() {
        std::fs::write(&file, node.to_string()).unwrap();
        let mesh = example().join("mesh.yaml");
        let run = || translated_example(&file, &mesh);
        let (one, two) = (run().await, run().await);
        assert!(one.len() > 1000 && one == two, "{node}: {} and {} bytes", one.len(), two.len());
    }
}

async fn translated_example(node: &Path, mesh: &Path) -> Vec<u8> {
    translated(&example().join("config"), Some(mesh), node, &BTreeMap::new()).await
}

/// Of the recorded sets, one in so many.
const STEP: usize = 29;

#[tokio::test]
async fn two_processes_translate_recorded_sets_to_equal_text() {
    let configured = std::env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let Some(root) =
        testkit::corpus::find(configured, &repository(), std::env::var_os("CI").is_some()).unwrap()
    else {
        println!("SKIPPED: no corpora beside the repository; set PILOTHOUSE_CORPUS");
        return;
    };
    let filter = Filter { families: [1, 2, 4, 5].into(), ..Filter::default() };
    let sets = case::sets(&root, &filter).unwrap();
    assert!(sets.len() > 2 * STEP, "{} sets", sets.len());
    for set in sets.iter().step_by(STEP) {
        let Some(proxy) = set.proxies.iter().find(|proxy| proxy.is_envoy()) else { continue };
        let request = set.request(proxy, &filter).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        std::fs::create_dir(&config).unwrap();
        request.files.iter().for_each(|(name, text)| std::fs::write(config.join(name), text).unwrap());
        let node = folder.path().join("node.json");
        std::fs::write(&node, request.node.to_string()).unwrap();
        let mesh = request.mesh.as_ref().map(|text| {
            let file = folder.path().join("mesh.yaml");
            std::fs::write(&file, text).unwrap();
            file
        });
        let one = translated(&config, mesh.as_deref(), &node, &request.env).await;
        let two = translated(&config, mesh.as_deref(), &node, &request.env).await;
        assert!(one == two, "{}: {} and {} bytes", set.name, one.len(), two.len());
    }
}
