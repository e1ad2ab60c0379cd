//! The text of one file into objects, with what is wrong with each and where.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use model::parse::{Context, Parsed, parse_object, unread};
use model::{Key, Kind, Origin, Problem, Severity, Text, Value};
use serde_json::Value as Json;

use crate::documents::{Document, split};
use crate::folder::duplicate;
use crate::spans::Places;

/// The objects of one file. What is wrong with the file itself is an object of the kind [`Kind::File`].
pub(crate) type Objects = BTreeMap<Key, Object>;

/// An object as a file has it.
#[derive(Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) value: Option<Value>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) problems: Vec<Problem>,
}

impl Object {
    /// Says with each error what becomes of it; `is_known` if there is a last good state.
    fn say_what_holds(&mut self, is_known: bool) {
        let (is_served, holds) = match (&self.value, is_known) {
            (None, true) => (false, "its last good state is still served"),
            (None, false) => (false, "the object is not served"),
            (Some(_), _) => (true, "the field is left out, the rest is served"),
        };
        for problem in self.problems.iter_mut().filter(|problem| problem.severity == Severity::Error) {
            // What stands elsewhere is another object of this name.
            let is_own = problem.file.is_none();
            if is_own && (!is_served || problem.outcome.is_none()) {
                problem.outcome = Some(holds.into());
            }
        }
    }
}

/// The objects of a file; those of `before` stay where the document that held them has broken.
pub(crate) fn read(path: &Text, text: &str, before: &Objects, context: &Context) -> Objects {
    let cluster = context.cluster.clone();
    let file = Key { cluster, kind: Kind::File, namespace: "".into(), name: path.clone() };
    let mut reading =
        Reading { path, context, file, objects: Objects::new(), told: Vec::new(), is_broken: false };
    for document in split(text) {
        reading.take(&document);
    }
    reading.finish(before)
}

/// A file on the way from its documents to its objects.
struct Reading<'a> {
    path: &'a Text,
    context: &'a Context,
    file: Key,
    objects: Objects,
    /// What is wrong with documents that give no object.
    told: Vec<Problem>,
    /// Whether it cannot be told which object a document was meant to be.
    is_broken: bool,
}

impl Reading<'_> {
    fn take(&mut self, document: &Document<'_>) {
        let value = match &document.value {
            Ok(value) => value,
            Err((line, message)) => {
                let problem = Problem::error(&self.file, "not-yaml", "", format!("not YAML: {message}"));
                return self.tell(Problem { line: *line, ..problem });
            }
        };
        let places = Places::new(document.text, document.line);
        let list = list(value);
        for (at, item) in list.unwrap_or(std::slice::from_ref(value)).iter().enumerate() {
            let at = list.map(|_| at);
            if let Some(parsed) = parse_object(item, self.context) {
                let object = self.object(item, &parsed, document.line, |field| places.line(at, field));
                self.put(parsed.key, object);
            } else if let Some(problem) = unread(item, &self.file) {
                let line = places.line(at, &problem.field);
                self.tell(Problem { line, ..problem });
            }
        }
    }

    fn tell(&mut self, problem: Problem) {
        self.is_broken |= problem.severity == Severity::Error;
        self.told.push(problem);
    }

    fn object(&self, item: &Json, parsed: &Parsed, line: u32, place: impl Fn(&str) -> u32) -> Object {
        let resource_version = item.pointer("/metadata/resourceVersion").and_then(Json::as_str);
        let keeps_object = parsed.key.kind >= Kind::ServiceEntry;
        let origin = Origin {
            file: self.path.clone(),
            line,
            resource_version: resource_version.unwrap_or_default().into(),
            object: keeps_object.then(|| item.to_string().into()),
        };
        let locate = |problem: &Problem| Problem { line: place(&problem.field), ..problem.clone() };
        let problems = parsed.problems.iter().map(locate).collect();
        Object { value: parsed.value.clone(), origin: Arc::new(origin), problems }
    }

    fn put(&mut self, key: Key, object: Object) {
        match self.objects.entry(key) {
            Entry::Vacant(entry) => drop(entry.insert(object)),
            Entry::Occupied(mut entry) => {
                let problem = duplicate(entry.key(), &entry.get().origin, &object.origin);
                entry.get_mut().problems.push(problem);
            }
        }
    }

    fn finish(mut self, before: &Objects) -> Objects {
        for (key, object) in &mut self.objects {
            let is_known = before.get(key).is_some_and(|old| old.value.is_some());
            object.say_what_holds(is_known);
        }
        let keeps = keep_last_good(self.path, before, &mut self.objects, self.is_broken);
        for problem in self.told.iter_mut().filter(|problem| problem.severity == Severity::Error) {
            let holds = if keeps { "what the file said before is still served" } else { "it is left out" };
            problem.outcome = Some(holds.into());
        }
        if !self.told.is_empty() {
            let origin = Arc::new(Origin { file: self.path.clone(), ..Origin::default() });
            self.objects.insert(self.file, Object { value: None, origin, problems: self.told });
        }
        self.objects
    }
}

/// The items of a `List`.
fn list(value: &Json) -> Option<&[Json]> {
    let is_list = value.get("kind").and_then(Json::as_str).is_some_and(|kind| kind.ends_with("List"));
    value.get("items").and_then(Json::as_array).filter(|_| is_list).map(Vec::as_slice)
}

/// What was good before stays for an object that is of no use now, and is what is shown of it; and, if it cannot
/// be told which object a document was meant to be, for those that are not seen again. All of it is of this file now,
/// which may have had another name before.
///
/// Whether anything was of the second kind.
fn keep_last_good(path: &Text, before: &Objects, now: &mut Objects, is_broken: bool) -> bool {
    let mut keeps = false;
    for (key, old) in before.iter().filter(|(_, old)| old.value.is_some()) {
        match now.get_mut(key) {
            Some(new) if new.value.is_none() => {
                new.value.clone_from(&old.value);
                let object = old.origin.object.clone();
                new.origin = Arc::new(Origin { object, ..Origin::clone(&new.origin) });
            }
            None if is_broken => {
                keeps = true;
                let mut kept = old.clone();
                if kept.origin.file != *path {
                    kept.origin = Arc::new(Origin { file: path.clone(), ..Origin::clone(&kept.origin) });
                }
                now.insert(key.clone(), kept);
            }
            _ => {}
        }
    }
    keeps
}
