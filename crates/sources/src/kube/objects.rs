//! What is known of one kind: every object as it was last read, and what each message of a watch changes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::parse::{Context, parse_object};
use model::revision::{REVISION, Revision};
use model::{Change, Key, Kind, Origin, Text, Value};
use serde_json::{Map, Value as Json};

use super::kinds::Served;

/// An object in JSON.
pub(super) type Object = Map<String, Json>;

/// What is known of one kind. Repeated, reordered or lost messages leave nothing behind: only what differs is
/// a change, and a new list takes away what it does not name.
pub(super) struct Objects {
    kind: Kind,
    served: Served,
    context: Context,
    revision: Revision,
    known: BTreeMap<Key, Known>,
    /// The objects that a list has named so far, while one is being read.
    listed: Option<BTreeSet<Key>>,
    /// Whether a list has ever been complete.
    is_complete: bool,
}

/// An object as it was last read.
struct Known {
    /// Its text, as compact as can be: to compare the next one with, to write down, and to show to people.
    kept: Text,
    /// Its last good value, for a kind whose objects may turn out to be of no use.
    good: Option<(Value, Arc<Origin>)>,
}

impl Objects {
    /// Nothing yet.
    pub(super) fn new(kind: Kind, served: Served, context: Context, revision: Revision) -> Self {
        Self { kind, served, context, revision, known: BTreeMap::new(), listed: None, is_complete: false }
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// A list is complete: what it did not name is gone.
    pub(super) fn end(&mut self) -> Vec<Change> {
        self.is_complete = true;
        let listed = self.listed.take().unwrap_or_default();
        let gone: Vec<Key> = self.known.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        gone.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// An object is there, as it is now; in a list it may come without its kind.
    pub(super) fn apply(&mut self, mut object: Object, api_version: &str) -> Option<Change> {
        object.entry("apiVersion").or_insert_with(|| api_version.into());
        object.entry("kind").or_insert_with(|| self.served.kind.into());
        self.served.trim(&mut object);
        let label =
            object.get("metadata").and_then(|metadata| metadata.get("labels")?.get(REVISION)?.as_str());
        if self.served.is_custom() && !self.revision.reads(label) {
            return self.remove(self.key(&object)?);
        }
        let object = Json::Object(object);
        let key = self.key(object.as_object()?)?;
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        let kept = Text::from(object.to_string());
        if self.known.get(&key).is_some_and(|known| known.kept == kept) {
            return None;
        }
        self.parse(&object, key, kept)
    }

    /// An object is gone.
    pub(super) fn delete(&mut self, object: &Object) -> Option<Change> {
        let key = self.key(object)?;
        if let Some(listed) = &mut self.listed {
            listed.remove(&key);
        }
        self.remove(key)
    }

    /// An object as it was written down, while the API server has not said all that there is; what it has said
    /// is newer.
    pub(super) fn restore(&mut self, object: Object) -> Option<Change> {
        if self.is_complete || self.known.contains_key(&self.key(&object)?) {
            return None;
        }
        // The list that is being read, if there is one, has not named it.
        let listed = self.listed.take();
        let change = self.apply(object, "");
        self.listed = listed;
        change
    }

    /// What to write down: each object on a line of its own.
    pub(super) fn write(&self, lines: &mut Vec<u8>) {
        for known in self.known.values() {
            lines.extend_from_slice(known.kept.as_bytes());
            lines.push(b'\n');
        }
    }

    fn remove(&mut self, key: Key) -> Option<Change> {
        self.known.remove(&key)?;
        Some(Change { key, value: None, origin: Arc::default(), problems: Vec::new() })
    }

    fn key(&self, object: &Object) -> Option<Key> {
        let metadata = object.get("metadata")?;
        let text = |field: &str| metadata.get(field).and_then(Json::as_str).unwrap_or_default();
        let kind = self.kind;
        let namespace = if matches!(kind, Kind::Namespace | Kind::Node) { "" } else { text("namespace") };
        let name = Some(text("name")).filter(|name| !name.is_empty())?;
        Some(Key {
            cluster: self.context.cluster.clone(),
            kind,
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    fn parse(&mut self, object: &Json, key: Key, kept: Text) -> Option<Change> {
        let parsed = parse_object(object, &self.context)?;
        let version = object.pointer("/metadata/resourceVersion").and_then(Json::as_str);
        let mut origin = Arc::new(Origin {
            resource_version: version.unwrap_or_default().into(),
            object: self.served.is_custom().then(|| kept.clone()),
            ..Origin::default()
        });
        let (mut value, mut problems) = (parsed.value, parsed.problems);
        if !self.served.is_custom() {
            // A newer API server has fields that are not known here, which is nobody's mistake.
            problems.retain(|problem| problem.code != "unknown-field");
        }
        let mut good = None;
        if self.served.is_custom() {
            let before = match self.known.entry(key.clone()) {
                Entry::Occupied(known) => known.remove().good,
                Entry::Vacant(_) => None,
            };
            good = value.clone().map(|value| (value, Arc::clone(&origin))).or(before);
            if let (None, Some((last, shown))) = (&value, &good) {
                // As for files: what was good before stays, and is what is shown.
                value = Some(last.clone());
                let object = shown.object.clone();
                origin = Arc::new(Origin { object, ..Origin::clone(&origin) });
            }
        }
        self.known.insert(key.clone(), Known { kept, good });
        Some(Change { key, value, origin, problems })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::served;
    use super::*;

    fn objects(kind: Kind, revision: &str) -> Objects {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        Objects::new(kind, served(kind).unwrap(), context, Revision::new(revision))
    }

    fn service(name: &str, version: u32, port: u16) -> Object {
        let object = json!({"metadata": {"name": name, "namespace": "n", "resourceVersion": version.to_string()},
            "spec": {"ports": [{"port": port}]}});
        object.as_object().unwrap().clone()
    }

    fn rule(version: u32, more: Json, spec: Json) -> Object {
        let mut metadata = json!({"name": "r", "namespace": "n", "resourceVersion": version.to_string()});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"metadata": metadata, "spec": spec}).as_object().unwrap().clone()
    }

    fn shape(changes: impl IntoIterator<Item = Change>) -> Vec<String> {
        let shown = |change: Change| {
            let codes: Vec<_> = change.problems.iter().map(|problem| problem.code).collect();
            format!("{} {} {}", change.key, change.value.is_some(), codes.join(","))
        };
        changes.into_iter().map(shown).collect()
    }

    #[test]
    fn a_list_takes_away_what_it_does_not_name_and_changes_nothing_else() {
        let mut services = objects(Kind::Service, "");
        services.begin();
        let first: Vec<_> =
            ["a", "b"].into_iter().filter_map(|name| services.apply(service(name, 1, 80), "v1")).collect();
        assert_eq!(shape(first), ["Service n/a true ", "Service n/b true "]);
        assert_eq!(shape(services.end()), [""; 0]);
        services.begin();
        assert!(services.apply(service("a", 2, 80), "v1").is_none(), "only its version is another one");
        assert_eq!(shape(services.apply(service("c", 3, 80), "v1")), ["Service n/c true "]);
        assert_eq!(shape(services.end()), ["Service n/b false "]);
    }

    #[test]
    fn repeated_and_late_messages_are_no_change() {
        let mut services = objects(Kind::Service, "");
        assert!(services.apply(service("a", 1, 80), "v1").is_some());
        assert!(services.apply(service("a", 1, 80), "v1").is_none());
        assert_eq!(shape(services.delete(&service("a", 2, 80))), ["Service n/a false "]);
        assert!(services.delete(&service("a", 2, 80)).is_none());
        // A list that was broken off and begins anew, with an object that goes meanwhile.
        services.begin();
        assert!(services.apply(service("a", 3, 80), "v1").is_some());
        services.begin();
        assert_eq!(shape(services.end()), ["Service n/a false "]);
    }

    #[test]
    fn an_object_of_another_revision_is_as_if_it_were_not_there() {
        let mut rules = objects(Kind::DestinationRule, "1-9-1");
        let spec = json!({"host": "a"});
        let labelled =
            |version, rev: &str| rule(version, json!({"labels": {"istio.io/rev": rev}}), spec.clone());
        let api = "networking.istio.io/v1";
        assert!(rules.apply(labelled(1, "1-9-2"), api).is_none());
        assert_eq!(shape(rules.apply(labelled(2, "1-9-1"), api)), ["DestinationRule n/r true "]);
        assert_eq!(shape(rules.apply(labelled(3, "1-9-2"), api)), ["DestinationRule n/r false "]);
        assert_eq!(shape(rules.apply(rule(4, json!({}), spec.clone()), api)), ["DestinationRule n/r true "]);
        rules.begin();
        assert!(rules.apply(labelled(5, "1-9-2"), api).is_some());
        assert_eq!(shape(rules.end()), [""; 0]);
    }

    #[test]
    fn an_object_that_makes_no_sense_keeps_its_last_good_state() {
        let mut rules = objects(Kind::DestinationRule, "");
        let api = "networking.istio.io/v1";
        rules.apply(rule(1, json!({}), json!({"host": "a"})), api).unwrap();
        let broken = rules.apply(rule(2, json!({}), json!({"host": 1})), api).unwrap();
        assert_eq!(broken.origin.written().unwrap()["spec"]["host"], "a");
        assert_eq!(&*broken.origin.resource_version, "2");
        assert_eq!(shape([broken]), ["DestinationRule n/r true wrong-type"]);
        let again = rules.apply(rule(3, json!({}), json!({"host": 2})), api).unwrap();
        assert!(again.value.is_some());
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        let mut services = objects(Kind::Service, "");
        services.apply(service("a", 1, 80), "v1").unwrap();
        let mut lines = Vec::new();
        services.write(&mut lines);
        let line: Json = serde_json::from_slice(lines.strip_suffix(b"\n").unwrap()).unwrap();
        let line = line.as_object().unwrap().clone();
        let mut restored = objects(Kind::Service, "");
        restored.begin();
        assert_eq!(shape(restored.restore(line.clone())), ["Service n/a true "]);
        assert!(restored.restore(line.clone()).is_none());
        assert_eq!(shape(restored.end()), ["Service n/a false "], "the list has not named it");
        assert!(restored.restore(line.clone()).is_none(), "what the API server says is newer");
        let mut restored = objects(Kind::Service, "");
        restored.restore(line).unwrap();
        restored.begin();
        assert!(restored.apply(service("a", 9, 80), "v1").is_none());
        assert_eq!(shape(restored.end()), [""; 0]);
    }
}
