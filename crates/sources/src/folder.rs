//! A folder of files as a set of objects: what each file says, who wins a name, what a save changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::parse::Context;
use model::{Change, Key, Origin, Problem, Text};

use crate::pod_slices::PodSlices;
use crate::reading::{Objects, read};

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
    pub(crate) slices: PodSlices,
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

pub(crate) fn duplicate(key: &Key, origin: &Origin) -> Problem {
    let detail = format!("there is another one in {}:{}; that one is ignored", origin.file, origin.line);
    Problem::error(key, "duplicate-name", "metadata.name", detail)
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

    #[test]
    fn what_is_no_object_is_told_with_its_line_and_loses_nothing() {
        let mut folder = folder();
        folder.update([file("a.yaml", &namespace("one"))]);
        for (broken, told) in [
            ("apiVersion: v1\nmetadata: {name: one}\nkind: Namespce\n", "unknown-kind:3"),
            ("plain text\n", "no-object:1"),
            ("apiVersion: v1\nkind: Namespace\n", "no-name:1"),
        ] {
            let changes = folder.update([file("a.yaml", broken)]);
            assert_eq!(shape(&changes), [format!("a.yaml false {told}")]);
            assert!(changes[0].problems[0].detail.ends_with("what the file said before stays"));
        }
        let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
        assert_eq!(shape(&folder.update([file("a.yaml", other)])), ["a.yaml false ", "one false "]);
    }

    #[test]
    fn an_item_of_a_list_is_told_with_its_own_line() {
        let item =
            "- apiVersion: networking.istio.io/v1\n  kind: Sidecar\n  metadata: {name: a}\n  extra: 1\n";
        let list = format!("kind: List\napiVersion: v1\nitems:\n- {{kind: x, apiVersion: a/v1}}\n{item}");
        assert_eq!(shape(&folder().update([file("a.yaml", &list)])), ["a true unknown-field:8"]);
    }

    #[test]
    fn a_broken_object_is_shown_as_it_was_while_that_holds() {
        let mut folder = folder();
        let sidecar = |spec: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a}}\nspec: {spec}\n"
            )
        };
        folder.update([file("a.yaml", &sidecar("{}"))]);
        let broken = folder.update([file("a.yaml", &sidecar("{egress: 1}"))]);
        assert_eq!(shape(&broken), ["a true wrong-type:4"]);
        let shown = broken[0].origin.object.as_ref().unwrap();
        assert_eq!(shown["spec"], serde_json::json!({}));
    }

    #[test]
    fn problems_are_located_in_time_that_grows_with_their_number() {
        let fields: String = (0..20_000).map(|at| format!("  f{at}: 1\n")).collect();
        let one = format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a}}\nspec:\n{fields}"
        );
        let objects = (0..5_000).map(|at| {
            format!("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: s{at}}}\nextra: 1\n---\n")
        });
        let many: String = objects.collect();
        let begun = std::time::Instant::now();
        let changes = folder().update([file("a.yaml", &one), file("b.yaml", &many)]);
        let [first, rest @ ..] = &*changes else { panic!("nothing") };
        let last = first.problems.iter().map(|problem| problem.line).max();
        assert_eq!((first.problems.len(), last), (20_000, Some(20_004)));
        assert_eq!((rest.len(), rest[4_999].problems[0].line % 5), (5_000, 4));
        // Each took minutes when every message parsed its document, or copied the rest of the file.
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}
