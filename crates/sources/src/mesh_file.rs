//! The file with MeshConfig, from one save to the next.

use std::path::Path;
use std::sync::Arc;

use model::mesh_config::MeshConfig;
use model::parse::{Context, parse_mesh_config};
use model::{Change, Key, Kind, Origin, Problem, Severity, Text, Value};

use crate::spans::Places;
use crate::yaml::yaml;

/// The file with MeshConfig. While it is broken, what it said last holds.
pub struct MeshFile {
    path: Text,
    key: Key,
    good: Option<MeshConfig>,
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
        Self { path: (*path.to_string_lossy()).into(), key, good: None }
    }

    /// What the file changes with this text; without one it is gone, and the defaults hold.
    pub fn read(&mut self, text: Option<&str>) -> Change {
        let key = self.key.clone();
        let Some(text) = text else {
            self.good = None;
            return Change { key, value: None, origin: Arc::default(), problems: Vec::new() };
        };
        let mut problems = Vec::new();
        let value = match yaml(text) {
            Ok(written) => parse_mesh_config(&written, &key, &mut problems),
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
            Some(_) => self.good = value,
            None => problems.iter_mut().for_each(|problem| say_what_holds(problem, self.good.is_some())),
        }
        let origin = Arc::new(Origin { file: self.path.clone(), line: 1, ..Origin::default() });
        let value = self.good.clone().map(|mesh| Value::MeshConfig(Box::new(mesh)));
        Change { key, value, origin, problems }
    }
}

fn say_what_holds(problem: &mut Problem, is_known: bool) {
    let holds = if is_known { "what it said before stays" } else { "the defaults hold" };
    if problem.severity == Severity::Error {
        problem.detail = format!("{}; {holds}", problem.detail).into();
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
    fn a_broken_file_keeps_the_last_good_state_and_a_removed_one_does_not() {
        let mut file = file();
        let good = file.read(Some("trustDomain: here\n"));
        assert_eq!((trust_domain(&good), good.problems.len()), (Some("here"), 0));
        for broken in ["a: [", "trustDomain: [1]", "proxyListenPort: 99999999"] {
            let change = file.read(Some(broken));
            assert_eq!(trust_domain(&change), Some("here"), "{broken}");
            assert_eq!(&*change.origin.file, "etc/mesh.yaml");
            assert!(change.problems[0].detail.ends_with("; what it said before stays"), "{broken}");
            assert_eq!(change.problems[0].line, 1, "{broken}");
        }
        assert!(file.read(None).value.is_none());
        assert!(file.read(Some("a: [")).value.is_none(), "nothing is left of what was removed");
    }

    #[test]
    fn a_problem_names_its_line() {
        let change = file().read(Some("trustDomain: here\ndefaultConfig:\n  nonsense: 1\n"));
        let [problem] = &*change.problems else { panic!("{:?}", change.problems) };
        assert_eq!((&*problem.field, problem.line), ("defaultConfig.nonsense", 3));
        assert_eq!(trust_domain(&change), Some("here"));
    }
}
