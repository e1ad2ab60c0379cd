//! A folder of files as a set of objects: what each file says, who wins a name, what a save changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::parse::{Context, Parsed, parse_object};
use model::{Change, Key, Kind, Origin, Problem, Text, Value};
use serde_json::Value as Json;

use crate::documents::{Document, split};
use crate::pod_slices::PodSlices;
use crate::spans::line_of;

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, as it is shown and ordered.
    pub path: Text,
    /// Its text; `None` once it is gone.
    pub text: Option<String>,
}

/// What a folder says, file by file.
///
/// Of two objects with one name the first path wins. An object whose document has broken keeps its last
/// good value; where a document is no YAML at all, so do all objects of the file that are not seen again.
pub struct Folder {
    context: Context,
    files: BTreeMap<Text, Objects>,
    holders: BTreeMap<Key, BTreeSet<Text>>,
    slices: PodSlices,
}

/// The objects of one file.
type Objects = BTreeMap<Key, Object>;

#[derive(Clone, PartialEq)]
struct Object {
    value: Option<Value>,
    origin: Arc<Origin>,
    problems: Vec<Problem>,
}

impl Folder {
    /// An empty folder; objects in it are of this cluster.
    pub fn new(context: Context) -> Self {
        Self { context, files: BTreeMap::new(), holders: BTreeMap::new(), slices: PodSlices::default() }
    }

    /// Takes files as they are now; the answer is what that changes, of which some may be no change at all.
    pub fn update(&mut self, files: impl IntoIterator<Item = File>) -> Vec<Change> {
        let mut touched = BTreeSet::new();
        for file in files {
            self.take(file, &mut touched);
        }
        let mut changes: Vec<Change> = touched.iter().map(|key| self.change(key)).collect();
        changes.extend(self.slices.update(&changes, &self.context));
        changes
    }

    /// Puts one file in and notes the keys of which it says something else than before.
    fn take(&mut self, file: File, touched: &mut BTreeSet<Key>) {
        let before = self.files.remove(&file.path).unwrap_or_default();
        let after = match &file.text {
            Some(text) => read(&file.path, text, &before, &self.context),
            None => Objects::new(),
        };
        let differs = |key: &&Key| before.get(*key) != after.get(*key);
        for key in before.keys().chain(after.keys()).filter(differs) {
            touched.insert(key.clone());
            if !after.contains_key(key) {
                self.let_go(key, &file.path);
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            self.holders.entry(key.clone()).or_default().insert(file.path.clone());
        }
        if file.text.is_some() {
            self.files.insert(file.path, after);
        }
    }

    fn let_go(&mut self, key: &Key, path: &Text) {
        if let Some(holders) = self.holders.get_mut(key) {
            holders.remove(path);
            if holders.is_empty() {
                self.holders.remove(key);
            }
        }
    }

    /// The newest state of one object, by the first path that has it.
    fn change(&self, key: &Key) -> Change {
        let holders = self.holders.get(key).into_iter().flatten();
        let mut found = holders.filter_map(|path| self.files.get(path)?.get(key));
        let Some(winner) = found.next() else {
            return Change { key: key.clone(), value: None, origin: Arc::default(), problems: Vec::new() };
        };
        let mut problems = winner.problems.clone();
        problems.extend(found.map(|loser| duplicate(key, &loser.origin)));
        Change { key: key.clone(), value: winner.value.clone(), origin: winner.origin.clone(), problems }
    }
}

fn duplicate(key: &Key, origin: &Origin) -> Problem {
    let detail = format!("there is another one in {}:{}; that one is ignored", origin.file, origin.line);
    Problem::error(key, "duplicate-name", "metadata.name", detail)
}

/// The objects of a file; those of `before` stay where the document that held them has broken.
fn read(path: &Text, text: &str, before: &Objects, context: &Context) -> Objects {
    let mut objects = Objects::new();
    let mut broken = Vec::new();
    for document in split(text) {
        match &document.value {
            Ok(value) => take_document(path, text, (&document, value), context, &mut objects),
            Err((line, message)) => broken.push(not_yaml(path, *line, message, context)),
        }
    }
    keep_last_good(before, &mut objects, !broken.is_empty());
    if let Some(first) = broken.first().map(|problem| problem.key.clone()) {
        let origin = Arc::new(Origin { file: path.clone(), ..Origin::default() });
        objects.insert(first, Object { value: None, origin, problems: broken });
    }
    objects
}

fn take_document(
    path: &Text,
    text: &str,
    (document, value): (&Document, &Json),
    context: &Context,
    objects: &mut Objects,
) {
    for item in items(value) {
        let Some(parsed) = parse_object(item, context) else { continue };
        let object = object(path, text, document.line, item, &parsed);
        match objects.entry(parsed.key) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(object)),
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let problem = duplicate(&entry.key().clone(), &object.origin);
                entry.get_mut().problems.push(problem);
            }
        }
    }
}

/// A `List` is its items; anything else is itself.
fn items(value: &Json) -> impl Iterator<Item = &Json> {
    let is_list = value.get("kind").and_then(Json::as_str).is_some_and(|kind| kind.ends_with("List"));
    let list = value.get("items").and_then(Json::as_array).filter(|_| is_list);
    let single = if list.is_none() { Some(value) } else { None };
    list.into_iter().flatten().chain(single)
}

fn object(path: &Text, text: &str, line: u32, item: &Json, parsed: &Parsed) -> Object {
    let resource_version = item.pointer("/metadata/resourceVersion").and_then(Json::as_str);
    let keeps_object = parsed.key.kind >= Kind::ServiceEntry;
    let origin = Origin {
        file: path.clone(),
        line,
        resource_version: resource_version.unwrap_or_default().into(),
        object: keeps_object.then(|| Arc::new(item.clone())),
    };
    let mut problems = parsed.problems.clone();
    if !problems.is_empty() {
        let document = text.lines().skip(line.saturating_sub(1) as usize).collect::<Vec<_>>();
        let end = document.iter().position(|line| line.starts_with("---")).unwrap_or(document.len());
        let document = document.get(..end).unwrap_or_default().join("\n");
        for problem in &mut problems {
            problem.line = line_of(&document, &problem.field).map_or(line, |within| line + within - 1);
        }
    }
    Object { value: parsed.value.clone(), origin: Arc::new(origin), problems }
}

/// What was good before stays for an object that is of no use now, and, if a document could not be read
/// at all, for those that are not seen again.
fn keep_last_good(before: &Objects, now: &mut Objects, unreadable: bool) {
    for (key, old) in before.iter().filter(|(_, old)| old.value.is_some()) {
        match now.get_mut(key) {
            Some(new) if new.value.is_none() => new.value.clone_from(&old.value),
            None if unreadable => drop(now.insert(key.clone(), old.clone())),
            _ => {}
        }
    }
}

fn not_yaml(path: &Text, line: u32, message: &str, context: &Context) -> Problem {
    let key =
        Key { cluster: context.cluster.clone(), kind: Kind::File, namespace: "".into(), name: path.clone() };
    let detail = format!("not YAML: {message}; what it said before stays");
    Problem { line, ..Problem::error(&key, "not-yaml", "", detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        Folder::new(Context { cluster: "c".into(), domain: "cluster.local".into() })
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: Some(text.into()) }
    }

    fn namespace(name: &str) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n---\n")
    }

    fn shape(changes: &[Change]) -> Vec<String> {
        let line = |change: &Change| {
            let codes: Vec<_> =
                change.problems.iter().map(|one| format!("{}:{}", one.code, one.line)).collect();
            format!("{} {} {}", change.key.name, change.value.is_some(), codes.join(","))
        };
        changes.iter().map(line).collect()
    }

    #[test]
    fn the_first_path_wins_and_the_other_is_reported() {
        let mut folder = folder();
        let both = folder.update([file("b.yaml", &namespace("one")), file("a.yaml", &namespace("one"))]);
        assert_eq!(shape(&both), ["one true duplicate-name:0"]);
        assert_eq!(&*both[0].origin.file, "a.yaml");
        let gone = folder.update([File { path: "a.yaml".into(), text: None }]);
        assert_eq!(&*gone[0].origin.file, "b.yaml");
    }

    #[test]
    fn a_broken_document_loses_nothing_and_says_where() {
        let mut folder = folder();
        folder.update([file("a.yaml", &(namespace("one") + &namespace("two")))]);
        let broken = folder.update([file("a.yaml", &(namespace("one") + "kind: [\n"))]);
        assert_eq!(broken.len(), 1, "{:?}", shape(&broken));
        assert!(shape(&broken)[0].starts_with("a.yaml false not-yaml:"), "{:?}", shape(&broken));
        let mended = folder.update([file("a.yaml", &namespace("one"))]);
        assert_eq!(shape(&mended), ["a.yaml false ", "two false "]);
    }
}
