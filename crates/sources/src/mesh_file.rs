//! The file with MeshConfig, from one save to the next.

use std::path::Path;
use std::sync::Arc;

use model::mesh_config::MeshConfig;
use model::parse::{Context, mesh_as_json, parse_mesh_config};
use model::{Change, Key, Kind, Origin, Problem, Severity, Text, Value};

use crate::MeshText;
use crate::spans::Places;
use crate::yaml::yaml;

/// The file with MeshConfig. While it is broken, gone or cannot be read, what it said last holds.
pub struct MeshFile {
    path: Text,
    key: Key,
    good: Option<MeshConfig>,
    is_expected: bool,
    /// The same as people read it.
    shown: Option<Text>,
}

impl MeshFile {
    /// Not read yet; the path is for messages.
    pub fn new(path: &Path, context: Context) -> Self {
        let key = Key {
            cluster: context.cluster,
            kind: Kind::MeshConfig,
            namespace: "".into(),
            name: "mesh".into(),
        };
        Self { path: (*path.to_string_lossy()).into(), key, good: None, shown: None, is_expected: false }
    }

    /// A file that somebody has named: if there is none of that name, it is told.
    #[must_use]
    pub fn expected(self) -> Self {
        Self { is_expected: true, ..self }
    }

    /// What it changes that the file was found like this.
    pub fn see(&mut self, seen: &MeshText) -> Change {
        match seen {
            Ok(text) => self.read(text.as_deref()),
            Err(problem) => self.unread(problem.code, &problem.cause),
        }
    }

    /// What the file changes with this text; without one there is no such file.
    pub fn read(&mut self, text: Option<&str>) -> Change {
        let key = self.key.clone();
        let Some(text) = text else {
            return match self.good.is_some() || self.is_expected {
                true => self.unread("file-gone", "there is no such file"),
                false => self.change(Vec::new()),
            };
        };
        let mut problems = Vec::new();
        let mut shown = None;
        let value = match yaml(text) {
            Ok(written) => {
                shown = mesh_as_json(&[&written]).map(|shown| shown.to_string().into());
                parse_mesh_config(&written, &key, &mut problems)
            }
            Err((line, message)) => {
                let problem = Problem::error(&key, "not-yaml", "", format!("not YAML: {message}"));
                problems.push(Problem { line, ..problem });
                None
            }
        };
        let places = Places::new(text, 1);
        for problem in problems.iter_mut().filter(|problem| problem.line == 0) {
            problem.line = places.line(None, &problem.field);
        }
        match value {
            Some(_) => (self.good, self.shown) = (value, shown),
            None => problems.iter_mut().for_each(|problem| self.say_what_holds(problem)),
        }
        self.change(problems)
    }

    /// The file has no text, and what it said before stays.
    fn unread(&self, code: &'static str, cause: &str) -> Change {
        let mut problem = Problem::error(&self.key, code, "", cause);
        self.say_what_holds(&mut problem);
        self.change(vec![problem])
    }

    fn change(&self, problems: Vec<Problem>) -> Change {
        let (file, object) = (self.path.clone(), self.shown.clone());
        let origin = Arc::new(Origin { file, object, ..Origin::default() });
        let value = self.good.clone().map(|mesh| Value::MeshConfig(Arc::new(mesh)));
        Change { key: self.key.clone(), value, origin, problems }
    }

    fn say_what_holds(&self, problem: &mut Problem) {
        let holds = if self.good.is_some() { "what it said before holds" } else { "the defaults hold" };
        if problem.severity == Severity::Error {
            problem.outcome = Some(holds.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> MeshFile {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        MeshFile::new(Path::new("etc/mesh.yaml"), context)
    }

    fn trust_domain(change: &Change) -> Option<&str> {
        match &change.value {
            Some(Value::MeshConfig(mesh)) => Some(&mesh.trust_domain),
            _ => None,
        }
    }

    #[test]
    fn a_file_that_is_broken_or_gone_keeps_the_last_good_state() {
        let mut file = file();
        assert!(file.read(None).problems.is_empty(), "nobody has named it");
        let good = file.read(Some("trustDomain: here\n"));
        assert_eq!((trust_domain(&good), good.problems.len()), (Some("here"), 0));
        for broken in ["a: [", "trustDomain: [1]", "proxyListenPort: 99999999"] {
            let change = file.read(Some(broken));
            assert_eq!(trust_domain(&change), Some("here"), "{broken}");
            assert_eq!(&*change.origin.file, "etc/mesh.yaml");
            assert_eq!(change.problems[0].outcome.as_deref(), Some("what it said before holds"), "{broken}");
            assert_eq!(change.problems[0].line, 1, "{broken}");
        }
        let gone = file.read(None);
        assert_eq!((trust_domain(&gone), gone.problems[0].code), (Some("here"), "file-gone"));
        let emptied = file.read(Some(""));
        assert_eq!((trust_domain(&emptied), emptied.problems.len()), (Some("cluster.local"), 0));
    }

    #[test]
    fn a_file_that_was_named_and_is_not_there_is_told() {
        let change = file().expected().read(None);
        let told = change.problems[0].located(&change.origin.file, 0);
        assert_eq!(
            told,
            "etc/mesh.yaml: MeshConfig mesh: there is no such file; the defaults hold [file-gone]"
        );
        assert!(change.value.is_none());
    }

    #[test]
    fn a_problem_names_its_line() {
        let change = file().read(Some("trustDomain: here\ndefaultConfig:\n  nonsense: 1\n"));
        let [problem] = &*change.problems else { panic!("{:?}", change.problems) };
        assert_eq!((&*problem.field, problem.line), ("defaultConfig.nonsense", 3));
        assert_eq!(trust_domain(&change), Some("here"));
    }
}
