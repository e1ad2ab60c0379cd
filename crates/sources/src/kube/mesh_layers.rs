//! The mesh's configuration from its layers: the built-in defaults, what meshes share, what is this one's own.

use std::sync::Arc;

use model::mesh_config::MeshConfig;
use model::parse::{Context, mesh_as_json, parse_mesh_layers};
use model::{Change, Key, Kind, Origin, Problem, Severity, Text, Value};
use serde_json::Value as Json;

use crate::spans::Places;
use crate::yaml::yaml;

/// The layers above the built-in defaults, the lowest first (istiod-surface 4.1).
pub(super) struct MeshLayers<const N: usize> {
    key: Key,
    layers: [Layer; N],
    good: Option<MeshConfig>,
}

struct Layer {
    /// Where it is written, for messages.
    place: Text,
    text: Option<String>,
    is_read: bool,
    good: Option<Json>,
    problems: Vec<Problem>,
}

impl<const N: usize> MeshLayers<N> {
    /// Nothing is read yet; the places are for messages.
    pub(super) fn new(places: [Text; N], context: &Context) -> Self {
        let cluster = context.cluster.clone();
        let key = Key { cluster, kind: Kind::MeshConfig, namespace: "".into(), name: "mesh".into() };
        let layer = |place| Layer { place, text: None, is_read: false, good: None, problems: Vec::new() };
        Self { key, layers: places.map(layer), good: None }
    }

    /// What a layer says now; without a text it says nothing, and a broken one goes on saying what it said.
    /// Answers what that changes.
    pub(super) fn read(&mut self, at: usize, text: Option<&str>) -> Option<Change> {
        let layer = self.layers.get_mut(at)?;
        let is_new = !layer.is_read || layer.text.as_deref() != text;
        layer.is_read = true;
        if is_new {
            layer.take(text, &self.key);
        }
        is_new.then(|| self.change())
    }

    /// What a layer was written down to have said, unless it has been read.
    pub(super) fn restore(&mut self, at: usize, text: &str) -> Option<Change> {
        let layer = self.layers.get_mut(at).filter(|layer| !layer.is_read)?;
        layer.take(Some(text), &self.key);
        Some(self.change())
    }

    /// The texts of the layers.
    pub(super) fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.layers.iter().map(|layer| layer.text.as_deref())
    }

    /// What all layers say together.
    pub(super) fn change(&mut self) -> Change {
        let written: Vec<&Json> = self.layers.iter().filter_map(|layer| layer.good.as_ref()).collect();
        let mut problems = Vec::new();
        // What is wrong with a layer was found when it was read.
        if let Some(mesh) = parse_mesh_layers(&written, &self.key, &mut Vec::new()) {
            self.good = (!written.is_empty()).then_some(mesh);
        }
        let top = self.layers.iter().rev().find(|layer| layer.text.is_some());
        let file = top.map(|layer| layer.place.clone()).unwrap_or_default();
        for layer in &self.layers {
            // The place of the uppermost layer is the object's.
            let told = |problem: &Problem| match layer.place == file {
                true => problem.clone(),
                false => {
                    let detail = format!("{}: {}", layer.place, problem.detail);
                    Problem { detail: detail.into(), ..problem.clone() }
                }
            };
            problems.extend(layer.problems.iter().map(told));
        }
        let line = u32::from(top.is_some());
        let object =
            self.good.as_ref().and_then(|_| mesh_as_json(&written)).map(|mesh| mesh.to_string().into());
        let origin = Arc::new(Origin { file, line, object, ..Origin::default() });
        let value = self.good.clone().map(|mesh| Value::MeshConfig(Arc::new(mesh)));
        Change { key: self.key.clone(), value, origin, problems }
    }
}

impl Layer {
    fn take(&mut self, text: Option<&str>, key: &Key) {
        self.text = text.map(str::to_owned);
        self.problems.clear();
        let Some(text) = text else {
            self.good = None;
            return;
        };
        let written = match yaml(text) {
            // An empty text says nothing.
            Ok(Json::Null) => Some(Json::Object(serde_json::Map::new())),
            Ok(written) => {
                let is_good = parse_mesh_layers(&[&written], key, &mut self.problems).is_some();
                is_good.then_some(written)
            }
            Err((line, message)) => {
                let problem = Problem::error(key, "not-yaml", "", format!("not YAML: {message}"));
                self.problems.push(Problem { line, ..problem });
                None
            }
        };
        let places = Places::new(text, 1);
        let holds = if self.good.is_some() { "what it said before stays" } else { "it is left out" };
        for problem in &mut self.problems {
            if problem.line == 0 {
                problem.line = places.line(None, &problem.field);
            }
            if written.is_none() && problem.severity == Severity::Error {
                problem.outcome = Some(holds.into());
            }
        }
        if let Some(written) = written {
            self.good = Some(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> MeshLayers<2> {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        MeshLayers::new(["shared".into(), "own".into()], &context)
    }

    fn mesh(change: Option<Change>) -> (String, String, Vec<String>) {
        let change = change.unwrap();
        let mesh = match change.value {
            Some(Value::MeshConfig(mesh)) => MeshConfig::clone(&mesh),
            None => MeshConfig::default(),
            other => panic!("{other:?}"),
        };
        let told = change.problems.iter().map(|problem| problem.to_string()).collect();
        (mesh.trust_domain.to_string(), mesh.access_log_file.to_string(), told)
    }

    #[test]
    fn the_own_layer_lies_over_the_shared_one_and_a_broken_one_is_left_out() {
        let mut layers = layers();
        let shared = mesh(layers.read(0, Some("trustDomain: shared\naccessLogFile: /dev/stdout\n")));
        assert_eq!(shared, ("shared".into(), "/dev/stdout".into(), vec![]));
        assert_eq!(mesh(layers.read(1, Some("trustDomain: own"))).0, "own");
        let (domain, _, told) = mesh(layers.read(1, Some("trustDomain: [")));
        assert_eq!((&*domain, told.len()), ("own", 1));
        assert!(told[0].contains("not YAML") && told[0].contains("; what it said before stays"), "{told:?}");
        let (_, _, told) = mesh(layers.read(0, Some("nonsense: 1\ntrustDomain: shared")));
        assert!(told.iter().any(|told| told.contains(": shared: no such field")), "{told:?}");
        assert_eq!(mesh(layers.read(1, None)).0, "shared");
        assert_eq!(mesh(layers.read(0, None)).0, "cluster.local");
        assert!(layers.read(0, None).is_none(), "it has said so before");
    }

    #[test]
    fn what_was_written_down_holds_until_something_is_read() {
        let mut layers = layers();
        assert_eq!(mesh(layers.restore(1, "trustDomain: old")).0, "old");
        assert_eq!(mesh(layers.read(1, Some("trustDomain: new"))).0, "new");
        assert!(layers.restore(1, "trustDomain: old").is_none());
    }

    #[test]
    fn all_layers_are_shown_as_one() {
        let mut layers = layers();
        assert_eq!(layers.read(0, None).unwrap().origin.object, None);
        layers.read(0, Some("trustDomain: shared\naccessLogFile: /dev/stdout\n"));
        let shown = layers.read(1, Some("trustDomain: own")).unwrap().origin.written().unwrap();
        assert_eq!((&shown["trustDomain"], &shown["accessLogFile"]), (&"own".into(), &"/dev/stdout".into()));
    }
}
