//! A client and a mesh for protocol scripts, both written as short texts.
//!
//! A resource is its name, letters, and its content, digits: `a1`. `r1>a` needs the cluster `a` first; a cluster
//! `a1.` asks for no endpoints.
//! A view is `cds a1 b1 | eds a1`; a request `cds +* =a1` or `eds +a -b`; an answer `cds a1 b1 -c`.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body as _, Frame};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tower::Service;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_api::{Needs, Part, Resource, Version, google, type_url};
use xds::{
    Answer, Body, Change, Config, Connection, Discovery, Hello, Hooks, Interest, Kind, Link, Planned,
    Question, Set, TypeView, View,
};

/// Longer than anything that happens at once, shorter than any deadline.
const MOMENT: Duration = Duration::from_millis(1);

pub(crate) fn url(short: &str) -> &'static str {
    match short {
        "cds" => type_url::CLUSTER,
        "eds" => type_url::ENDPOINT,
        "lds" => type_url::LISTENER,
        "rds" => type_url::ROUTE,
        "sds" => type_url::SECRET,
        "nds" => type_url::NAME_TABLE,
        "ads" => type_url::ADDRESS,
        other => panic!("no type is called {other}"),
    }
}

pub(crate) fn short(url: &str) -> &'static str {
    let all = ["cds", "eds", "lds", "rds", "sds", "nds", "ads"];
    all.into_iter().find(|short| self::url(short) == url).unwrap_or("?")
}

/// `r1>a,b`: the resource `r` with content `1` that needs the clusters `a` and `b`.
pub(crate) fn resource(text: &str) -> Arc<Resource> {
    let (own, needs) = text.split_once('>').unwrap_or((text, ""));
    let (own, endpoints) = own.strip_suffix('.').map_or((own, true), |own| (own, false));
    let name = own.trim_end_matches(|c: char| c.is_ascii_digit());
    let clusters = needs.split(',').filter(|need| !need.is_empty()).map(Into::into).collect();
    let part = Part::new(Bytes::copy_from_slice(own.as_bytes()));
    Arc::new(Resource::from_parts(name.into(), [part], Needs { clusters, endpoints, ..Needs::default() }))
}

pub(crate) fn version(text: &str) -> Version {
    resource(text).version
}

fn empty(name: &str) -> Option<Resource> {
    Some(Resource::clone(&resource(&format!("{name}0"))))
}

fn type_view(short: &str, layers: Vec<Set>) -> TypeView {
    let named = matches!(short, "eds" | "rds" | "sds");
    let missing: Option<xds::Missing> = matches!(short, "eds" | "rds").then_some(empty as xds::Missing);
    let kind = if named { Kind::Named } else { Kind::Wildcard };
    TypeView { layers: layers.into_iter().collect(), missing, ..TypeView::new(kind, Set::default()) }
}

/// What a mesh serves; `then` makes the next view, sharing the sets that it has in common with the last.
#[derive(Default)]
pub(crate) struct Mesh {
    sets: BTreeMap<(String, usize), Set>,
    generation: u64,
}

impl Mesh {
    pub(crate) fn then(&mut self, text: &str) -> Arc<View> {
        let mut types = BTreeMap::new();
        for part in text.split('|') {
            let Some((short, rest)) = part.trim().split_once(' ').or(Some((part.trim(), ""))) else {
                continue;
            };
            if short.is_empty() {
                continue;
            }
            let layers =
                rest.split('/').enumerate().map(|(at, layer)| self.layer(short, at, layer)).collect();
            types.insert(url(short).into(), type_view(short, layers));
        }
        self.generation += 1;
        let wants = u64::from(text.contains("late"));
        let label = self.generation.to_string().into();
        Arc::new(View { generation: self.generation, label, wants, since: Instant::now(), types })
    }

    fn layer(&mut self, short: &str, at: usize, text: &str) -> Set {
        let set = self.sets.entry((short.into(), at)).or_default();
        let wanted: BTreeMap<_, _> =
            text.split_whitespace().map(resource).map(|resource| (resource.name.clone(), resource)).collect();
        let gone: Vec<_> = set.iter().filter(|held| !wanted.contains_key(&held.name)).cloned().collect();
        let removed = gone.into_iter().map(|held| Change::Removed(held.name.clone()));
        *set = set.with(removed.chain(wanted.into_values().map(Change::Put)));
        set.clone()
    }
}

/// The rest of the house, as a test sees it.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) views: watch::Sender<Arc<View>>,
    pub(crate) ready: Arc<Mutex<bool>>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    counter: Arc<AtomicU64>,
}

impl House {
    pub(crate) fn new(view: Arc<View>) -> Self {
        let views = watch::channel(view).0;
        Self { views, ready: Arc::new(Mutex::new(true)), log: Arc::default(), counter: Arc::default() }
    }

    pub(crate) fn serve(&self, config: Config) -> Discovery<House> {
        Discovery::new(self.clone(), config, tonic::service::Routes::default())
    }

    fn note(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }

    pub(crate) fn logged(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

impl Hooks for House {
    fn is_ready(&self) -> bool {
        *self.ready.lock().unwrap()
    }

    async fn connect(&self, hello: Hello) -> Result<Connection, Status> {
        if hello.node.id == "forbidden" {
            return Err(Status::permission_denied("not you"));
        }
        let id = format!("{}-{}", hello.node.id, self.counter.fetch_add(1, Relaxed)).into();
        self.note(format!("connect {}", hello.node.id));
        Ok(Connection { id, views: self.views.subscribe(), link: Box::new(TestLink(self.clone())) })
    }

    async fn debug(&self, question: Question) -> Result<Answer, Status> {
        if question.names.iter().any(|name| name == "broken") {
            return Err(Status::internal("broken"));
        }
        let any = envoy_api::Any {
            type_url: question.type_url,
            value: question.names.join(",").into_bytes().into(),
        };
        Ok(Answer { resources: vec![("page".into(), any)], control_plane: Some("me".into()) })
    }
}

struct TestLink(House);

impl Link for TestLink {
    fn wanted(&mut self, type_url: &str, interest: &Interest) -> Result<Planned, Status> {
        let names: Vec<&str> = interest.names().iter().map(|name| &**name).collect();
        let star = if interest.is_wildcard() { "*" } else { "" };
        self.0.note(format!("wanted {} {star}{}", short(type_url), names.join(",")));
        // Names that begin with `late` are planned when they are first wanted.
        let late = names.iter().any(|name| name.starts_with("late"));
        Ok(if late { Planned::From(1) } else { Planned::Already })
    }

    fn current(&mut self, generation: u64) {
        self.0.note(format!("current {generation}"));
    }
}

impl Drop for TestLink {
    fn drop(&mut self) {
        self.0.note("gone".into());
    }
}

/// A request body that a test writes into.
pub(crate) struct Wire(pub(crate) mpsc::Receiver<Bytes>);

impl http_body::Body for Wire {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Delta,
    List,
}

/// A client of either protocol.
pub(crate) struct Client {
    speaks: Speaks,
    node: Option<Node>,
    out: Option<mpsc::Sender<Bytes>>,
    body: Body,
    /// Nonce and version of the last answer, by type.
    pub(crate) last: BTreeMap<&'static str, (String, String)>,
    /// Nonces of all answers, by type.
    pub(crate) nonces: BTreeMap<&'static str, Vec<String>>,
    /// What it holds, by type and name.
    pub(crate) holds: BTreeMap<&'static str, BTreeMap<String, String>>,
    pub(crate) status: Option<(i32, String)>,
}

impl Client {
    pub(crate) async fn connect(server: &Discovery<House>, speaks: Speaks) -> Self {
        Self::connect_as(server, speaks, "sidecar~10.0.0.1~app.ns~ns.svc.cluster.local").await
    }

    pub(crate) async fn connect_as(server: &Discovery<House>, speaks: Speaks, node: &str) -> Self {
        let (out, wire) = mpsc::channel(1024);
        let method = match speaks {
            Speaks::Delta => "DeltaAggregatedResources",
            Speaks::List => "StreamAggregatedResources",
        };
        let uri = format!("http://x/{}/{method}", xds::SERVICE);
        let request = http::Request::builder().uri(uri).body(Wire(wire)).unwrap();
        let response = server.clone().call(request).await.unwrap();
        let node = Some(Node { id: node.into(), ..Node::default() });
        Self {
            speaks,
            node,
            out: Some(out),
            body: response.into_body(),
            last: BTreeMap::new(),
            nonces: BTreeMap::new(),
            holds: BTreeMap::new(),
            status: None,
        }
    }

    pub(crate) fn send_raw(&self, message: &[u8]) {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(message);
        self.send_bytes(framed.freeze());
    }

    pub(crate) fn send_bytes(&self, bytes: Bytes) {
        if let Some(out) = &self.out {
            let _ = out.try_send(bytes);
        }
    }

    /// Says that there will be no more requests.
    pub(crate) fn close(&mut self) {
        self.out = None;
    }

    /// A request that answers nothing. In delta `+name` subscribes, `-name` unsubscribes, `=a1` declares;
    /// in state of the world `+name` lists and `=V` is the version.
    pub(crate) fn ask(&mut self, text: &str) {
        self.request(text, String::new(), None);
    }

    /// An ACK of the last answer, with what else the client wants to say.
    pub(crate) fn ack(&mut self, text: &str) {
        let nonce = self.nonce(text);
        self.request(text, nonce, None);
    }

    pub(crate) fn nack(&mut self, text: &str) {
        let nonce = self.nonce(text);
        self.request(text, nonce, Some("no good"));
    }

    fn nonce(&self, text: &str) -> String {
        let short = text.split(' ').next().unwrap();
        self.last.get(short).map(|(nonce, _)| nonce.clone()).unwrap_or_default()
    }

    pub(crate) fn request(&mut self, text: &str, nonce: String, error: Option<&str>) {
        let mut words = text.split_whitespace();
        let type_url = words
            .next()
            .map(|word| if word.contains('.') { word.to_owned() } else { url(word).to_owned() })
            .unwrap();
        let words: Vec<&str> = words.collect();
        let picked =
            |sign: char| words.iter().filter_map(move |word| word.strip_prefix(sign)).map(str::to_owned);
        let error_detail =
            error.map(|message| google::rpc::Status { message: message.into(), ..Default::default() });
        let node = self.node.take();
        let message = match self.speaks {
            Speaks::Delta => DeltaDiscoveryRequest {
                node,
                type_url,
                resource_names_subscribe: picked('+').collect(),
                resource_names_unsubscribe: picked('-').collect(),
                initial_resource_versions: picked('=').map(|text| declared(&text)).collect(),
                response_nonce: nonce,
                error_detail,
                ..Default::default()
            }
            .encode_to_vec(),
            Speaks::List => DiscoveryRequest {
                node,
                type_url,
                resource_names: picked('+').collect(),
                version_info: picked('=').next().unwrap_or_default(),
                response_nonce: nonce,
                error_detail,
                ..Default::default()
            }
            .encode_to_vec(),
        };
        self.send_raw(&message);
    }

    /// The next answer that comes at once, and whether the stream goes on.
    async fn next(&mut self) -> Option<String> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
        let frame = timeout(MOMENT, frame).await.ok()??.ok()?;
        match frame.into_data() {
            Ok(mut data) => {
                let len = bytes::Buf::remaining(&data);
                let bytes = bytes::Buf::copy_to_bytes(&mut data, len);
                let message = bytes.slice(5..);
                assert_eq!(bytes[0], 0);
                assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, message.len());
                Some(self.take(message))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().ok()?;
                let status = Status::from_header_map(&trailers).unwrap();
                self.status = Some((status.code() as i32, status.message().into()));
                Some(format!("end {:?} {}", status.code(), status.message()).trim_end().into())
            }
        }
    }

    fn take(&mut self, message: Bytes) -> String {
        match self.speaks {
            Speaks::Delta => self.take_delta(DeltaDiscoveryResponse::decode(message).unwrap()),
            Speaks::List => self.take_list(DiscoveryResponse::decode(message).unwrap()),
        }
    }

    fn take_delta(&mut self, message: DeltaDiscoveryResponse) -> String {
        let short = short(&message.type_url);
        self.note(short, message.nonce, message.system_version_info);
        let held = self.holds.entry(short).or_default();
        let mut words = vec![short.to_owned()];
        for wrapped in message.resources {
            let any = wrapped.resource.unwrap();
            assert_eq!(any.type_url, message.type_url);
            let text = String::from_utf8(any.value.to_vec()).unwrap();
            if short != "?" {
                assert_eq!(wrapped.version, version(&text).to_string());
                assert_eq!(wrapped.name, &*resource(&text).name);
            }
            held.insert(wrapped.name, text.clone());
            words.push(text);
        }
        for name in message.removed_resources {
            held.remove(&name);
            words.push(format!("-{name}"));
        }
        words.join(" ")
    }

    fn take_list(&mut self, message: DiscoveryResponse) -> String {
        let short = short(&message.type_url);
        self.note(short, message.nonce, message.version_info);
        let held = self.holds.entry(short).or_default();
        if !matches!(short, "eds" | "rds" | "sds") {
            held.clear();
        }
        let mut words = vec![short.to_owned()];
        for any in message.resources {
            assert_eq!(any.type_url, message.type_url);
            let text = String::from_utf8(any.value.to_vec()).unwrap();
            if short == "?" {
                assert_eq!(message.control_plane.as_ref().unwrap().identifier, "me");
            }
            held.insert(resource(&text).name.to_string(), text.clone());
            words.push(text);
        }
        words.join(" ")
    }

    fn note(&mut self, short: &'static str, nonce: String, version: String) {
        self.nonces.entry(short).or_default().push(nonce.clone());
        self.last.insert(short, (nonce, version));
    }

    /// The next answer that comes at once.
    pub(crate) async fn hears_one(&mut self) -> String {
        self.next().await.unwrap_or_default()
    }

    /// All answers that come at once, one a line.
    pub(crate) async fn hears(&mut self) -> String {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            let end = line.starts_with("end");
            lines.push(line);
            if end {
                break;
            }
        }
        lines.join("\n")
    }

    /// The answers that come until one is missing, each accepted as soon as it is there.
    pub(crate) async fn hears_and_acks(&mut self) -> String {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            if line.starts_with("end") {
                lines.push(line);
                break;
            }
            let short = line.split(' ').next().unwrap().to_owned();
            lines.push(line);
            let names: String = match self.speaks {
                Speaks::List if matches!(&*short, "eds" | "rds" | "sds") => self.wanted(&short),
                _ => String::new(),
            };
            self.ack(&format!("{short} {names}"));
        }
        lines.join("\n")
    }

    fn wanted(&self, short: &str) -> String {
        self.holds[short].keys().map(|name| format!("+{name} ")).collect()
    }
}

fn declared(text: &str) -> (String, String) {
    match text.split_once(':') {
        Some((name, version)) => (name.into(), version.into()),
        None => (resource(text).name.to_string(), version(text).to_string()),
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}
