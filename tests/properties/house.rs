//! A mesh under edit: files, the engine that reads them, and what proxies are served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_api::{Name, Resource, type_url};
use model::Change;
use model::parse::Context;
use model::settings::Settings;
use pilothouse::{offline, settings};
use push::{Engine, Wanted};
use serde_json::{Value as Json, json};
use sources::{File, Folder, MeshFile};
use testkit::random::Random;
use tokio::sync::watch;
use tokio::time::Instant;
use xds::View;

use crate::networking;
use crate::objects::{self, Id};

/// The place of the MeshConfig among the files.
const MESH: &str = "mesh";

/// What is on the disk: per file the objects in it, and the MeshConfig.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    objects: BTreeMap<String, BTreeMap<Id, Json>>,
    mesh: Option<String>,
}

impl Files {
    /// One edit as chance has it: an object or the MeshConfig is put, changed, relabelled or taken away. The answer
    /// is the file that it is in.
    pub(crate) fn edit(&mut self, random: &mut Random) -> String {
        if random.one_in(12) {
            self.mesh = (!random.one_in(4)).then(|| networking::mesh_config(random));
            return MESH.to_owned();
        }
        let places: Vec<(String, Id)> =
            self.objects.iter().flat_map(|(path, held)| held.keys().map(|id| (path.clone(), *id))).collect();
        let act = if places.is_empty() { 0 } else { random.below(10) };
        if act < 5 {
            let id = objects::id(random);
            let path = path(random, id);
            self.objects.entry(path.clone()).or_default().insert(id, objects::object(random, id));
            return path;
        }
        let (path, id) = random.choose(&places).clone();
        let held = self.objects.entry(path.clone()).or_default();
        match (act, held.get_mut(&id)) {
            (5 | 6, Some(object)) => *object = objects::object(random, id),
            (7, Some(object)) => objects::relabel(random, object),
            _ => drop(held.remove(&id)),
        }
        path
    }

    /// The text of a file; nothing if there is none.
    fn text(&self, path: &str, random: Option<&mut Random>) -> Option<String> {
        let mut documents: Vec<String> = self.objects.get(path)?.values().map(Json::to_string).collect();
        if let Some(random) = random {
            random.shuffle(&mut documents);
        }
        (!documents.is_empty()).then(|| documents.join("\n---\n"))
    }

    /// All paths, the MeshConfig's included.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.objects.keys().cloned().chain([MESH.to_owned()]).collect()
    }

    /// What a file says, for whoever reads a failure.
    pub(crate) fn show(&self, path: &str) -> String {
        let text = if path == MESH { self.mesh.clone() } else { self.text(path, None) };
        format!("{path}:\n{}\n", text.as_deref().unwrap_or("(gone)"))
    }
}

/// Most objects have a file of their own; some share one, and there may be two of a name.
fn path(random: &mut Random, (kind, namespace, name): Id) -> String {
    match random.below(12) {
        0 => "a-first.yaml".to_owned(),
        1 | 2 => "shared.yaml".to_owned(),
        _ => format!("{kind}-{namespace}-{name}.yaml"),
    }
}

/// Switches that decide who sees what; one of these for a whole sequence.
pub(crate) fn settings(random: &mut Random) -> Settings {
    let environment: &[(&str, &str)] = match random.below(8) {
        0 => &[("PILOT_FILTER_GATEWAY_CLUSTER_CONFIG", "true")],
        1 => &[("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", "true")],
        2 => &[
            ("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES", "true"),
            ("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", "false"),
        ],
        3 => {
            &[("PILOT_ENABLE_PERSISTENT_SESSION_FILTER", "true"), ("PILOT_SEND_UNHEALTHY_ENDPOINTS", "true")]
        }
        _ => &[],
    };
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings::parse(settings::MESH, &environment.collect()).0
}

/// Two sidecars of one namespace, of which one answers DNS questions, a gateway, and a sidecar of another namespace that captures nothing.
fn nodes() -> [Json; 4] {
    let node = |kind: &str, (name, namespace): (&str, &str), ip: &str, labels: Json| {
        json!({"id": format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "metadata": {"NAMESPACE": namespace, "NAME": name, "LABELS": labels, "CLUSTER_ID": "Kubernetes", "NODE_NAME": name,
                "ISTIO_VERSION": "1.30.0", "SERVICE_ACCOUNT": "s", "INSTANCE_IPS": ip}})
    };
    let mut nodes = [
        node("sidecar", ("one", "a"), "10.0.0.1", json!({"app": "one", "version": "v1"})),
        node("sidecar", ("two", "a"), "10.0.0.2", json!({"app": "two", "version": "v2"})),
        node("router", ("gw", "a"), "10.0.0.3", json!({"istio": "ingressgateway", "app": "one"})),
        node("sidecar", ("one", "b"), "10.0.0.4", json!({"app": "one", "version": "v1"})),
    ];
    nodes[0]["metadata"]["DNS_CAPTURE"] = "true".into();
    nodes[1]["locality"] = json!({"region": "r", "zone": "z1"});
    nodes[3]["metadata"]["INTERCEPTION_MODE"] = "NONE".into();
    nodes
}

/// How many proxies there are.
pub(crate) const PROXIES: usize = 4;

/// Names of routes that are asked for whatever the listeners mention.
const ROUTES: [&str; 5] = ["80", "8080", "http.80", "one.a.svc.cluster.local:80", "nobody:1"];

/// A process that serves files.
pub(crate) struct House {
    folder: Folder,
    mesh: MeshFile,
    pub(crate) engine: Engine,
    proxies: Vec<(u64, watch::Receiver<Arc<View>>)>,
}

/// What a proxy is served, by type and name.
pub(crate) type Served = BTreeMap<(String, Name), Arc<Resource>>;

impl House {
    /// Nothing is read and nobody is connected.
    pub(crate) fn new(settings: Settings) -> Self {
        let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
        let (engine, _handle, _commands) = Engine::new(settings);
        let mesh = MeshFile::new(MESH.as_ref(), context.clone());
        Self { folder: Folder::new(context), mesh, engine, proxies: Vec::new() }
    }

    /// All is read at once, and then everybody connects.
    pub(crate) fn of(files: &Files, settings: Settings) -> Self {
        let mut house = Self::new(settings);
        house.read(files, &files.paths());
        house.connect(PROXIES);
        house
    }

    /// What a proxy is served that is the only one.
    pub(crate) fn alone(files: &Files, settings: Settings, node: usize) -> Served {
        let mut house = Self::new(settings);
        house.read(files, &files.paths());
        house.ask(node);
        served(&house.view(0).1)
    }

    /// Takes in these files as they are now.
    pub(crate) fn read(&mut self, files: &Files, paths: &[String]) {
        let changes = self.changes(files, paths, None);
        self.engine.change(changes, Instant::now());
    }

    /// What these files change; with chance, their documents come in another order.
    pub(crate) fn changes(
        &mut self,
        files: &Files,
        paths: &[String],
        mut random: Option<&mut Random>,
    ) -> Vec<Change> {
        let (mesh, paths): (Vec<_>, Vec<_>) = paths.iter().partition(|path| *path == MESH);
        let file = |path: &&String| File {
            path: path.as_str().into(),
            text: files.text(path, random.as_deref_mut()),
        };
        let read: Vec<File> = paths.iter().map(file).collect();
        let mut changes = self.folder.update(read);
        // A file that is gone would leave the mesh as it was, an empty one does not.
        changes.extend(mesh.iter().map(|_| self.mesh.read(Some(files.mesh.as_deref().unwrap_or_default()))));
        changes
    }

    /// What a file of this text changes.
    pub(crate) fn text(&mut self, path: &str, text: &str) -> Vec<Change> {
        self.folder.update([File { path: path.into(), text: Some(text.to_owned()) }])
    }

    /// The first so many proxies connect, as far as they have not yet.
    pub(crate) fn connect(&mut self, count: usize) {
        for node in self.proxies.len()..count {
            self.ask(node);
        }
    }

    /// The proxy of a node connects and asks for routes.
    fn ask(&mut self, node: usize) {
        let at = self.join(node);
        let wanted = Wanted { routes: ROUTES.map(Name::from).into(), changes: 1 };
        self.engine.want(self.proxies[at].0, wanted);
    }

    /// The proxy of a node connects, once more if need be; the answer is its place among the connections.
    pub(crate) fn join(&mut self, node: usize) -> usize {
        self.enter(&nodes()[node])
    }

    /// A proxy of this node connects.
    pub(crate) fn enter(&mut self, node: &Json) -> usize {
        let proxy = push::proxy(&offline::node(node).unwrap()).unwrap();
        self.proxies.push(self.engine.connect(proxy));
        self.proxies.len() - 1
    }

    /// The newest view of a connection, and its number in the engine.
    pub(crate) fn view(&self, at: usize) -> (u64, Arc<View>) {
        let (number, views) = &self.proxies[at];
        (*number, Arc::clone(&views.borrow()))
    }

    /// What everybody is served.
    pub(crate) fn served(&self) -> Vec<Served> {
        (0..self.proxies.len()).map(|at| served(&self.view(at).1)).collect()
    }
}

/// All of a view. Of routes, which are made for whoever asks, what this proxy asks for.
pub(crate) fn served(view: &View) -> Served {
    let mut all = Served::new();
    for (url, served) in &view.types {
        let resources: Vec<Arc<Resource>> = match &**url {
            type_url::ROUTE => routes(view).iter().filter_map(|name| served.get(name)).collect(),
            _ => served.iter().cloned().collect(),
        };
        all.extend(resources.into_iter().map(|one| ((url.to_string(), Name::clone(&one.name)), one)));
    }
    all
}

fn routes(view: &View) -> BTreeSet<Name> {
    let listeners = view.types.get(type_url::LISTENER).into_iter().flat_map(|served| served.iter());
    let named = listeners.flat_map(|listener| listener.needs.routes.iter().cloned());
    named.chain(ROUTES.map(Name::from)).collect()
}

/// The first difference between what two processes serve, if there is any.
pub(crate) fn difference(one: &[Served], two: &[Served]) -> Option<String> {
    assert_eq!(one.len(), two.len(), "as many proxies");
    one.iter().zip(two).enumerate().find_map(|(at, (one, two))| {
        let names: BTreeSet<_> = one.keys().chain(two.keys()).collect();
        let (url, name) = names.into_iter().find(|name| !same(one.get(*name), two.get(*name)))?;
        let show = |served: &Served| match served.get(&(url.clone(), Name::clone(name))) {
            Some(resource) => format!(
                "{} {:?} {:#}",
                resource.version,
                resource.needs,
                envoy_api::json::resource(url, &resource.body.to_bytes())
            ),
            None => "(nothing)".to_owned(),
        };
        Some(format!("proxy {at}, {url} {name}:\n{}", lines_that_differ(&show(one), &show(two))))
    })
}

/// Version, bytes and needs, each on its own account.
fn same(one: Option<&Arc<Resource>>, two: Option<&Arc<Resource>>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => {
            one.version == two.version && one.needs == two.needs && one.body.to_bytes() == two.body.to_bytes()
        }
        (one, two) => one.is_none() && two.is_none(),
    }
}

fn lines_that_differ(one: &str, two: &str) -> String {
    let head: usize = one.lines().zip(two.lines()).take_while(|(one, two)| one == two).count();
    let show = |sign: &str, text: &str| -> String {
        let lines = text.lines().skip(head.saturating_sub(3)).take(24);
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("from line {head}:\n{}{}", show("-", one), show("+", two))
}
