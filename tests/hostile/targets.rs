//! The fuzz targets: whatever a client or a file sends, nothing panics and everything ends in time.
//!
//! Used from two sides: `fuzz/` drives them by coverage, `main.rs` beside this file with generated input and
//! with every input that ever broke one.
#![allow(unreachable_pub, reason = "a module here, and the root of the library in fuzz/")]

#[path = "injection.rs"]
mod injection;
#[path = "stream.rs"]
mod session;

use std::collections::BTreeSet;

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::{Name, type_url};
use memo::Shared;
use mesh::Snapshot;
use model::parse::Context;
use model::settings::Settings;
use model::{Change, Proxy};
use pilothouse::offline;
use prost::Message;
use push::{Engine, Planner, Seat, Wanted};
use serde_json::json;
use sources::{File, Folder, MeshFile};
use tokio::time::Instant;
use xds::View;

/// A target: its name, by which its inputs are kept, and what it does with one.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("node", node),
    ("request", request),
    ("stream", stream),
    ("objects", objects),
    ("mesh", mesh),
    ("review", review),
    ("pod", pod),
    ("template", template),
];

/// A mesh for the input to meet: names that it may mention, proxies that it may concern.
const WORLD: &str = include_str!("world.yaml");

/// One request of either protocol.
pub fn request(input: &[u8]) {
    session::request(input);
}

/// The messages of one stream, each with its length before it; the first bit is the protocol.
pub fn stream(input: &[u8]) {
    session::stream(input);
}

/// The body of a webhook's request.
pub fn review(input: &[u8]) {
    injection::review(input);
}

/// A pod, or a file of workloads, that is to be injected.
pub fn pod(input: &[u8]) {
    injection::pod(input);
}

/// An injection template.
pub fn template(input: &[u8]) {
    injection::template(input);
}

/// The node of a first request as it is on the wire, up to everything that its proxy is served.
pub fn node(input: &[u8]) {
    let Ok(node) = Node::decode(input) else { return };
    let Ok(proxy) = push::proxy(&node) else { return };
    let mut house = House::new(vec![proxy]);
    house.save("world.yaml", Some(WORLD));
}

/// The text of a file: objects of any kind, one document after another, that come into a mesh and leave it.
pub fn objects(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut house = House::new(proxies());
    house.save("world.yaml", Some(WORLD));
    house.save("input.yaml", Some(&text));
    house.show();
    // A former first half, as an editor that is not careful would leave it.
    let half = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(place, _)| place);
    house.save("input.yaml", text.get(..half));
    house.save("a-first-path.yaml", Some(&text));
    house.save("input.yaml", None);
}

/// The text of a file with a MeshConfig.
pub fn mesh(input: &[u8]) {
    let mut house = House::new(proxies());
    house.save("world.yaml", Some(WORLD));
    let mut file = MeshFile::new("mesh.yaml".as_ref(), house.context.clone());
    let change = file.read(Some(&String::from_utf8_lossy(input)));
    house.change(vec![change]);
    house.show();
}

/// A sidecar of the world and its gateway.
fn proxies() -> Vec<Proxy> {
    let node = |kind: &str, name: &str, ip: &str, labels: serde_json::Value| {
        json!({
            "id": format!("{kind}~{ip}~{name}.default~default.svc.cluster.local"),
            "metadata": {"NAMESPACE": "default", "LABELS": labels, "CLUSTER_ID": "Kubernetes",
                "ISTIO_VERSION": "1.30.0", "SERVICE_ACCOUNT": "default", "INSTANCE_IPS": ip},
        })
    };
    let nodes = [
        node("sidecar", "a", "10.0.0.1", json!({"app": "a"})),
        node("router", "ingressgateway", "10.0.0.9", json!({"istio": "ingressgateway"})),
    ];
    nodes.iter().filter_map(|node| push::proxy(&offline::node(node).ok()?).ok()).collect()
}

/// The way of a file from its text to what proxies are served, with everything that is kept between two states.
struct House {
    context: Context,
    folder: Folder,
    engine: Engine,
    planner: Planner,
    proxies: Vec<(Shared<Proxy>, Option<Seat>)>,
    views: Vec<View>,
}

impl House {
    fn new(proxies: Vec<Proxy>) -> Self {
        let settings = Settings::default();
        let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
        let (engine, _handle, _commands) = Engine::new(settings);
        Self {
            folder: Folder::new(context.clone()),
            context,
            engine,
            planner: Planner::default(),
            proxies: proxies.into_iter().map(|proxy| (Shared::new(proxy), None)).collect(),
            views: Vec::new(),
        }
    }

    fn save(&mut self, path: &str, text: Option<&str>) {
        let file = File { path: path.into(), text: text.map(str::to_owned) };
        let changes = self.folder.update([file]);
        self.change(changes);
    }

    /// What is wrong is written out, the next state is made, and every proxy is served from it.
    fn change(&mut self, changes: Vec<Change>) {
        for line in changes.iter().flat_map(offline::lines) {
            assert!(!line.is_empty(), "a problem says nothing");
        }
        self.engine.change(changes, Instant::now());
        let snapshot = self.engine.snapshot().clone();
        self.views.clear();
        for (proxy, seat) in &mut self.proxies {
            let member = snapshot.member(proxy);
            let next = self.planner.seat(member, seat.as_ref());
            self.views.push(serve(&mut self.planner, &snapshot, &next));
            *seat = Some(next);
        }
    }

    /// Shows everybody's view.
    fn show(&self) {
        self.views.iter().for_each(show);
    }
}

/// Everything of a view, the routes that its listeners name included, to the last byte.
fn serve(planner: &mut Planner, snapshot: &Snapshot, seat: &Seat) -> View {
    let view = planner.view(snapshot, seat, &Wanted::default(), Instant::now());
    let mut routes = routes(&view);
    routes.extend(["80", "8080", "http.80", "http.8080", ""].map(Name::from));
    let wanted = Wanted { routes, changes: 1 };
    let view = planner.view(snapshot, seat, &wanted, Instant::now());
    // A table without names is no bytes at all.
    let spoken = view.types.iter().filter(|(url, _)| &***url != type_url::NAME_TABLE);
    for resource in spoken.flat_map(|(_, served)| served.iter()) {
        assert!(!resource.body.to_bytes().is_empty(), "a resource says nothing");
    }
    view
}

/// The view as debug pages and `translate` show it, which takes most of the time.
fn show(view: &View) {
    for (url, served) in &view.types {
        for resource in served.iter() {
            envoy_api::json::resource(url, &resource.body.to_bytes());
        }
    }
}

fn routes(view: &View) -> BTreeSet<Name> {
    let listeners = view.types.get(type_url::LISTENER).into_iter().flat_map(|served| served.iter());
    listeners.flat_map(|listener| listener.needs.routes.iter().cloned()).collect()
}
