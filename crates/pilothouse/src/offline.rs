//! What a proxy would be served, from files and without a server: an in-process client of the very view
//! that the server serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use envoy_api::{Name, type_url};
use memo::Shared;
use mesh::Snapshot;
use model::parse::Context;
use model::{Change, Key, Problem, Severity, Text};
use push::{Engine, Planner, Wanted};
use serde_json::Value as Json;
use sources::{File, FileProblem, Folder, MeshFile, Seen};
use tokio::time::Instant;
use xds::View;

use crate::settings;

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files as (path, text).
    pub files: Vec<(String, String)>,
    /// What is there and cannot be read, with why.
    pub unreadable: Vec<(String, FileProblem)>,
    /// MeshConfig as YAML, over the built-in defaults.
    pub mesh: Option<String>,
    /// Where that was read, for messages.
    pub mesh_path: PathBuf,
    /// Switches by name.
    pub env: BTreeMap<String, String>,
    /// The node in JSON.
    pub node: Json,
    /// Types to show (`cds`, `eds`, `lds`, `rds`, `nds`); empty for all.
    pub types: Vec<String>,
    /// Names to ask for beside those that a proxy would ask for.
    pub names: BTreeMap<String, Vec<String>>,
}

/// What a proxy would be served.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// By short type name: (name, resource).
    pub resources: BTreeMap<String, Vec<(String, Json)>>,
    /// What is wrong with the input, one line each.
    pub problems: Vec<String>,
    /// How many of these are errors; the others are warnings.
    pub errors: usize,
}

/// Something that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is wrong.
    pub problem: Problem,
    /// The file of its object, may be empty.
    pub file: Text,
    /// Where its object begins there, if the problem has no line of its own; 0 if that is not known.
    pub line: u32,
}

impl Told {
    /// What it is about, whatever is told of it.
    pub fn subject(&self) -> (&Key, &str, &str, &str) {
        let file = self.problem.file.as_ref().unwrap_or(&self.file);
        (&self.problem.key, self.problem.code, &self.problem.field, file)
    }

    /// What is told, wherever it stands: a line that has moved is nothing new.
    pub fn gist(&self) -> ((&Key, &str, &str, &str), &str, Option<&str>) {
        (self.subject(), &self.problem.detail, self.problem.outcome.as_deref())
    }

    /// The line that tells that it is not wrong any more.
    pub fn mended(&self) -> String {
        self.instead("this is not wrong any more".into(), None)
    }

    /// The line that tells that nobody can say whether it still is, since this came instead.
    pub fn hidden_by(&self, other: &Self) -> String {
        let detail = format!("this is not seen any more, since {}", other.problem.detail);
        self.instead(detail.into(), other.problem.outcome.clone())
    }

    fn instead(&self, detail: Text, outcome: Option<Text>) -> String {
        let problem = Problem { detail, outcome, ..self.problem.clone() };
        problem.located(&self.file, self.line)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.located(&self.file, self.line))
    }
}

const TYPES: [(&str, &str); 5] = [
    ("cds", type_url::CLUSTER),
    ("eds", type_url::ENDPOINT),
    ("lds", type_url::LISTENER),
    ("rds", type_url::ROUTE),
    ("nds", type_url::NAME_TABLE),
];

/// What a proxy would be served, or why its node is refused.
pub fn translate(request: &Request) -> Result<Answer, String> {
    let (snapshot, found) = load(request);
    let view = view_of(&snapshot, request)?;
    let names =
        |kind: &str| request.names.get(kind).into_iter().flatten().map(|name| Name::from(name.as_str()));
    let shown = TYPES
        .iter()
        .filter(|(short, _)| request.types.is_empty() || request.types.iter().any(|one| one == short));
    let resources =
        shown.map(|(short, url)| ((*short).to_owned(), resources(&view, url, names(short).collect())));
    Ok(Answer { resources: resources.collect(), problems: found.lines, errors: found.errors })
}

/// The view that a proxy would be served, and what is wrong with the files; or why its node is refused.
pub fn view(request: &Request) -> Result<(View, Vec<String>), String> {
    let (snapshot, found) = load(request);
    Ok((view_of(&snapshot, request)?, found.lines))
}

fn view_of(snapshot: &Snapshot, request: &Request) -> Result<View, String> {
    let proxy = push::proxy(&node(&request.node)?)?;
    let member = snapshot.member(&Shared::new(proxy));
    let routes = request.names.get("rds").into_iter().flatten().map(|name| Name::from(name.as_str()));
    let wanted = Wanted { routes: routes.collect(), ..Wanted::default() };
    let mut planner = Planner::default();
    let seat = planner.seat(member, None);
    Ok(planner.view(snapshot, &seat, &wanted, Instant::now()))
}

/// What is wrong, one line each, and how many of these are errors.
struct Found {
    lines: Vec<String>,
    errors: usize,
}

/// What is wrong with the files, one line each.
pub fn problems(request: &Request) -> Vec<String> {
    load(request).1.lines
}

/// The state of the mesh that the files make, and what is wrong with them.
fn load(request: &Request) -> (Snapshot, Found) {
    let (settings, mut lines) = settings::parse(settings::MESH, &request.env);
    let context = Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() };
    let mut folder = Folder::new(context.clone());
    let files = request
        .files
        .iter()
        .map(|(path, text)| File { path: path.as_str().into(), text: Some(text.clone()) }.into());
    let unreadable = request.unreadable.iter().cloned();
    let unreadable = unreadable.map(|(path, problem)| Seen::Problem(path.as_str().into(), problem));
    let mut changes = folder.update(files.chain(unreadable));
    if let Some(text) = &request.mesh {
        changes.push(MeshFile::new(&request.mesh_path, context).read(Some(text)));
    }
    let mut found: Vec<Told> = changes.iter().flat_map(told).collect();
    let (mut engine, _handle, _commands) = Engine::new(settings);
    engine.change(changes, Instant::now());
    found.extend(between(engine.snapshot()));
    let errors = found.iter().filter(|told| told.problem.severity == Severity::Error).count();
    lines.extend(found.iter().map(ToString::to_string));
    (engine.snapshot().clone(), Found { lines, errors })
}

/// The problems of a change.
pub fn told(change: &Change) -> Vec<Told> {
    let told =
        |problem: &Problem| Told { problem: problem.clone(), file: change.origin.file.clone(), line: 0 };
    change.problems.iter().map(told).collect()
}

/// The problems of a change as lines with their place.
pub fn lines(change: &Change) -> impl Iterator<Item = String> {
    change.problems.iter().map(|problem| problem.located(&change.origin.file, 0))
}

/// What is wrong between objects.
pub fn between(snapshot: &Snapshot) -> Vec<Told> {
    let told = |problem: Problem| {
        let record = snapshot.config.origins.get(&problem.key);
        let place = record.map(|record| (record.origin.file.clone(), record.origin.line));
        let (file, line) = place.unwrap_or_else(|| ("".into(), 0));
        Told { problem, file, line }
    };
    snapshot.problems().iter().cloned().map(told).collect()
}

/// A node in JSON as the message on the wire.
pub fn node(json: &Json) -> Result<envoy_api::envoy::config::core::v3::Node, String> {
    use prost::Message;
    let Some(descriptor) = envoy_api::reflect::pool().get_message_by_name("envoy.config.core.v3.Node") else {
        return Err("node: its type is not known".into());
    };
    let message = envoy_api::json::parse_as(&descriptor, json, envoy_api::json::UnknownFields::Skip)
        .map_err(|error| format!("node: {error}"))?;
    let bytes = envoy_api::reflect::encode(&message);
    envoy_api::envoy::config::core::v3::Node::decode(bytes).map_err(|error| format!("node: {error}"))
}

/// What a client holds that asks for everything (clusters, listeners, the name table) or for what those mention
/// (endpoints, routes), and for `more`.
fn resources(view: &View, url: &str, more: BTreeSet<Name>) -> Vec<(String, Json)> {
    let Some(served) = view.types.get(url) else { return Vec::new() };
    let mut names: BTreeSet<Name> = match url {
        type_url::ENDPOINT => endpoint_names(view),
        type_url::ROUTE => route_names(view),
        _ => served.iter().map(|resource| resource.name.clone()).collect(),
    };
    names.extend(more);
    let found = names.iter().filter_map(|name| served.get(name));
    found
        .map(|resource| {
            (resource.name.to_string(), envoy_api::json::resource(url, &resource.body.to_bytes()))
        })
        .collect()
}

/// The clusters that take their endpoints by name, as a proxy asks for them.
fn endpoint_names(view: &View) -> BTreeSet<Name> {
    use envoy_api::envoy::config::cluster::v3::Cluster;
    use prost::Message;
    let clusters = view.types.get(type_url::CLUSTER).into_iter().flat_map(|served| served.iter());
    let asked = clusters.filter_map(|cluster| {
        let message = Cluster::decode(cluster.body.to_bytes()).ok()?;
        let service = message.eds_cluster_config?.service_name;
        Some(if service.is_empty() { cluster.name.clone() } else { service.into() })
    });
    asked.collect()
}

fn route_names(view: &View) -> BTreeSet<Name> {
    let listeners = view.types.get(type_url::LISTENER).into_iter().flat_map(|served| served.iter());
    listeners.flat_map(|listener| listener.needs.routes.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told(folders: &[&str]) -> Vec<String> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bookinfo");
        let read = |folder: &&str| sources::read_folder(&example.join(folder)).unwrap().0;
        load(&Request { files: folders.iter().flat_map(read).collect(), ..Request::default() }).1.lines
    }

    #[test]
    fn nothing_is_wrong_in_the_example() {
        assert_eq!(told(&["config"]), [""; 0]);
    }

    #[test]
    fn what_is_wrong_between_objects_is_told_with_its_place() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
                    apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
                    metadata: {name: r, namespace: a}\nspec: {host: none}\n";
        let files = vec![("x.yaml".to_owned(), text.to_owned())];
        let (_, told) = load(&Request { files, ..Request::default() });
        let [line] = told.lines.as_slice() else { panic!("{:?}", told.lines) };
        assert_eq!(told.errors, 0, "it is a warning");
        assert!(line.starts_with("x.yaml:5: DestinationRule a/r: spec.host: "), "{line}");
        assert!(line.contains("IST0174") && line.ends_with("[unknown-host]"), "{line}");
    }
}
