//! A folder of files as a set of objects: what each file says, who wins a name, what a save changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::parse::Context;
use model::{Change, Key, Kind, Origin, Problem, Text};

use crate::file_problem::Extent;
use crate::pod_slices::PodSlices;
use crate::reading::{Object, Objects, read};
use crate::{FileProblem, Seen};

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
/// Of two objects with one name the first path wins, of those that are of use. An object whose document has broken keeps its last
/// good value; where a document is no YAML at all, so do all objects of the file that are not seen again. A file that
/// has moved takes along what it said.
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
    pub fn update(&mut self, seen: impl IntoIterator<Item = impl Into<Seen>>) -> Vec<Change> {
        let mut touched = BTreeSet::new();
        for seen in seen {
            self.take(seen.into(), &mut touched);
        }
        let mut changes: Vec<Change> = touched.iter().map(|key| self.change(key)).collect();
        changes.extend(self.slices.update(&changes, &self.context));
        changes
    }

    fn take(&mut self, seen: Seen, touched: &mut BTreeSet<Key>) {
        match seen {
            Seen::File(file) => self.read(file, &Objects::new(), touched),
            Seen::Moved(from, file) => {
                let moved = self.replace(&from, Objects::new(), touched);
                self.read(file, &moved, touched);
            }
            Seen::Problem(path, problem) => {
                let objects = self.unreadable(&path, &problem);
                self.replace(&path, objects, touched);
            }
        }
    }

    /// Takes one file; `moved` is what it said under another name, if it has moved.
    fn read(&mut self, File { path, text }: File, moved: &Objects, touched: &mut BTreeSet<Key>) {
        let before = self.files.get(&path).unwrap_or(moved);
        let objects = text.map(|text| read(&path, &text, before, &self.context));
        self.replace(&path, objects.unwrap_or_default(), touched);
    }

    /// Puts what a file says in the place of what it said before, which is the answer, and notes the keys of which it
    /// says something else.
    fn replace(&mut self, path: &Text, after: Objects, touched: &mut BTreeSet<Key>) -> Objects {
        let before = self.files.remove(path).unwrap_or_default();
        let differs = |key: &&Key| before.get(*key) != after.get(*key);
        for key in before.keys().chain(after.keys()).filter(differs) {
            touched.insert(key.clone());
            if !after.contains_key(key) {
                self.let_go(key, path);
            }
        }
        for key in after.keys().filter(|key| !before.contains_key(*key)) {
            self.holders.entry(key.clone()).or_default().insert(path.clone());
        }
        if !after.is_empty() {
            self.files.insert(path.clone(), after);
        }
        before
    }

    /// What there was stays where something cannot be read; only what was wrong with it is another thing.
    fn unreadable(&self, path: &Text, problem: &FileProblem) -> Objects {
        let mut objects = self.files.get(path).cloned().unwrap_or_default();
        let key = Key {
            cluster: self.context.cluster.clone(),
            kind: Kind::File,
            namespace: "".into(),
            name: path.clone(),
        };
        let serves = |objects: &Objects| objects.values().any(|object| object.value.is_some());
        let below = |file: &Text| match problem.extent {
            Extent::Everything => true,
            _ => file.strip_prefix(&**path).is_some_and(|rest| rest.starts_with('/')),
        };
        let is_known =
            serves(&objects) || self.files.iter().any(|(file, objects)| below(file) && serves(objects));
        let problems = vec![problem.problem(&key, is_known)];
        let origin = Arc::new(Origin { file: path.clone(), ..Origin::default() });
        objects.insert(key, Object { value: None, origin, problems });
        objects
    }

    fn let_go(&mut self, key: &Key, path: &Text) {
        if let Some(holders) = self.holders.get_mut(key) {
            holders.remove(path);
            if holders.is_empty() {
                self.holders.remove(key);
            }
        }
    }

    /// The newest state of one object, by the first path that has it and is of use.
    fn change(&self, key: &Key) -> Change {
        let holders = self.holders.get(key).into_iter().flatten();
        let found: Vec<&Object> = holders.filter_map(|path| self.files.get(path)?.get(key)).collect();
        let of_use = found.iter().position(|object| object.value.is_some()).unwrap_or_default();
        let Some(winner) = found.get(of_use) else {
            return Change { key: key.clone(), value: None, origin: Arc::default(), problems: Vec::new() };
        };
        let mut problems = winner.problems.clone();
        for (_, loser) in found.iter().enumerate().filter(|(at, _)| *at != of_use) {
            problems.push(duplicate(key, &winner.origin, &loser.origin));
            if loser.value.is_none() {
                problems.extend(loser.problems.iter().map(|problem| elsewhere(problem, &loser.origin)));
            }
        }
        Change { key: key.clone(), value: winner.value.clone(), origin: winner.origin.clone(), problems }
    }
}

/// A problem of an object whose file is not that of its name.
fn elsewhere(problem: &Problem, origin: &Origin) -> Problem {
    let file = problem.file.clone().or_else(|| Some(origin.file.clone()));
    Problem { file, ..problem.clone() }
}

/// Told of the one that does not count, whose author looks for it.
pub(crate) fn duplicate(key: &Key, winner: &Origin, loser: &Origin) -> Problem {
    let detail = format!("another one in {}:{} counts", winner.file, winner.line);
    let problem = Problem::error(key, "duplicate-name", "metadata.name", detail);
    let problem = problem.with_outcome("this one is not served");
    Problem { file: Some(loser.file.clone()), line: loser.line, ..problem }
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
        assert_eq!(shape(&both), ["one true duplicate-name:1"]);
        assert_eq!(&*both[0].origin.file, "a.yaml");
        let told = both[0].problems[0].located(&both[0].origin.file, 0);
        let expected = "b.yaml:1: Namespace one: metadata.name: another one in a.yaml:1 counts; this one is not \
                        served [duplicate-name]";
        assert_eq!(told, expected);
        let gone = folder.update([File { path: "a.yaml".into(), text: None }]);
        assert_eq!(&*gone[0].origin.file, "b.yaml");
    }

    #[test]
    fn a_broken_object_takes_no_name_from_a_good_one() {
        let sidecar = |spec: &str| {
            let head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\n";
            format!("{head}spec: {spec}\n")
        };
        let mut folder = folder();
        folder.update([file("b.yaml", &sidecar("{}"))]);
        let both = folder.update([file("a.yaml", &sidecar("{egress: 1}"))]);
        assert_eq!(shape(&both), ["a true duplicate-name:1,wrong-type:4"]);
        assert_eq!(&*both[0].origin.file, "b.yaml");
        let told = both[0].problems[1].located(&both[0].origin.file, 0);
        assert!(told.starts_with("a.yaml:4: Sidecar default/a: spec.egress: "), "{told}");
        let mended = folder.update([file("a.yaml", &sidecar("{}"))]);
        assert_eq!(
            (shape(&mended), &*mended[0].origin.file),
            (vec!["a true duplicate-name:1".into()], "a.yaml")
        );
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
    fn a_broken_file_under_another_name_loses_nothing() {
        let sidecar = |port: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a}}\nspec: {{ingress: [{{port: {{number: {port}}}}}]}}\n"
            )
        };
        let mut folder = folder();
        folder.update([file("a.yaml", &sidecar("80"))]);
        folder.update([file("a.yaml", &sidecar("eighty"))]);
        let mut from = "a.yaml";
        let mut shown = |to: &'static str, text: &str| {
            let moved = folder.update([Seen::Moved(from.into(), file(to, text))]);
            from = to;
            let of = moved.iter().find(|change| change.key.kind == Kind::Sidecar).unwrap();
            let object = of.origin.written().unwrap();
            (
                shape(&moved),
                of.origin.file.to_string(),
                object["spec"]["ingress"][0]["port"]["number"].clone(),
            )
        };
        let told = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let (objects, path, port) = shown("b.yaml", &sidecar("eighty"));
        assert_eq!((objects, &*path, port), (told(&["a true wrong-type:4"]), "b.yaml", 80.into()));
        let (objects, path, port) = shown("0.yaml", "kind: [\n");
        assert_eq!((&*path, port), ("0.yaml", 80.into()), "{objects:?}");
        assert_eq!(objects.len(), 2, "the object, and what is wrong with the file: {objects:?}");
        let (objects, path, port) = shown("1.yaml", "kind: [\n");
        assert_eq!((&*path, port, objects.len()), ("1.yaml", 80.into(), 3), "{objects:?}");
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
            let outcome = changes[0].problems[0].outcome.as_deref();
            assert_eq!(outcome, Some("what the file said before is still served"));
        }
        let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
        assert_eq!(shape(&folder.update([file("a.yaml", other)])), ["a.yaml false ", "one false "]);
    }

    #[test]
    fn what_becomes_of_an_object_is_said() {
        let rule = |spec: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a}}\nspec: {spec}\n"
            )
        };
        let mut folder = folder();
        let mut end = |text: String| {
            let changes = folder.update([file("a.yaml", &text)]);
            let outcome = changes[0].problems.last().and_then(|problem| problem.outcome.clone());
            outcome.unwrap_or_default().to_string()
        };
        assert_eq!(end(rule("{egress: 1}")), "the object is not served");
        assert_eq!(end(rule("{egress: [{hosts: [x]}]}")), "the field is left out, the rest is served");
        assert_eq!(end(rule("{egress: 1}")), "its last good state is still served");
        // Words of the user's own say nothing of what becomes of it.
        assert_eq!(end(rule("{egress: [{hosts: [ignored]}]}")), "the field is left out, the rest is served");
        assert_eq!(end("a: [".into()), "what the file said before is still served");
    }

    #[test]
    fn what_is_told_of_a_second_object_of_one_name_is_of_that_one() {
        let head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\n";
        let twice = format!("{head}spec: {{egress: 1}}\n---\n{head}");
        let changes = folder().update([file("a.yaml", &twice)]);
        let problems = changes[0].problems.iter();
        let told: Vec<_> =
            problems.map(|one| (one.code, one.outcome.as_deref().unwrap_or_default())).collect();
        let expected =
            [("wrong-type", "the object is not served"), ("duplicate-name", "this one is not served")];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_cannot_be_read_says_what_holds_until_it_is_mended() {
        let mut folder = folder();
        let problem = |code, extent| FileProblem { code, cause: "no".into(), extent };
        let mut see = |seen: Seen| {
            let told = |change: &Change| {
                let problems = change.problems.iter().map(|problem| problem.located(&change.origin.file, 0));
                problems.collect::<Vec<_>>().join(" ")
            };
            folder.update([seen]).iter().map(told).collect::<Vec<_>>()
        };
        see(file("b/a.yaml", &namespace("one")).into());
        let broken = Seen::Problem("b/a.yaml".into(), problem("x", Extent::File));
        assert_eq!(see(broken.clone()), ["b/a.yaml: no; what it said before is still served [x]"]);
        assert_eq!(see(broken), [""; 0], "nothing new");
        assert_eq!(see(file("b/a.yaml", &namespace("one")).into()), [""]);
        let below = Seen::Problem("b".into(), problem("y", Extent::Folder));
        assert_eq!(see(below), ["b: no; what its files said before is still served [y]"]);
        assert_eq!(see(File { path: "b".into(), text: None }.into()), [""]);
        let beside = Seen::Problem("a".into(), problem("z", Extent::Folder));
        assert_eq!(see(beside), ["a: no; nothing of it is served [z]"]);
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
        let shown = broken[0].origin.written().unwrap();
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
