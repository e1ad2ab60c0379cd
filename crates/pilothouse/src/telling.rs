//! What the log says of configuration: what there is, what is wrong with it, and what is well again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use model::{Change, Key, Kind, Severity};
use pilothouse::offline::{self, Told};
use tokio::sync::watch;

use crate::version::VERSION;

/// How long after a change it is told what is wrong between objects.
const QUIET: Duration = Duration::from_millis(200);

/// Problems of a file that keep its text from being read, so that what was wrong in it may still be.
const UNREAD: [&str; 5] = ["file-gone", "dangling-link", "file-unreadable", "not-a-file", "file-too-large"];

/// What is read, for the line of the start.
pub(crate) struct Start {
    pub(crate) folder: PathBuf,
    pub(crate) mesh: PathBuf,
    pub(crate) begun: Instant,
}

impl Start {
    /// One line on what there is.
    pub(crate) fn tell(&self, changes: &[Change]) {
        let is_object = |change: &&Change| {
            let is_of_folder = change.key.kind != Kind::MeshConfig && !change.origin.file.is_empty();
            is_of_folder && change.value.is_some()
        };
        let objects = changes.iter().filter(is_object);
        let files: BTreeSet<&str> = objects.clone().map(|change| &*change.origin.file).collect();
        let problems: usize = changes.iter().map(|change| change.problems.len()).sum();
        tracing::info!(
            "pilothouse {VERSION} serves {}: {} objects of {} files, read in {:.0?}; problems: {problems}; MeshConfig: {}",
            self.folder.display(),
            objects.count(),
            files.len(),
            self.begun.elapsed(),
            self.mesh(changes),
        );
    }

    /// The file with MeshConfig, and whether anything is read from it.
    fn mesh(&self, changes: &[Change]) -> String {
        let path = self.mesh.display();
        match changes.iter().find(|change| change.key.kind == Kind::MeshConfig) {
            Some(Change { value: Some(_), .. }) => path.to_string(),
            Some(Change { problems, .. }) if problems.iter().any(|problem| problem.code != "file-gone") => {
                format!("the defaults hold, since {path} cannot be used")
            }
            _ => format!("the defaults hold, since there is no {path}"),
        }
    }
}

/// What is wrong with objects and was told.
#[derive(Default)]
pub(crate) struct Reports(BTreeMap<Key, Vec<Told>>);

impl Reports {
    /// One line for each thing that has come to be wrong with an object, and for each that is not wrong any more.
    pub(crate) fn note(&mut self, change: &Change) {
        let now = offline::told(change);
        let before = match now.is_empty() {
            true => self.0.remove(&change.key),
            false => self.0.insert(change.key.clone(), now.clone()),
        };
        tell(&before.unwrap_or_default(), &now);
    }
}

fn tell(before: &[Told], now: &[Told]) {
    let known: BTreeSet<_> = before.iter().map(Told::gist).collect();
    for told in now.iter().filter(|told| !known.contains(&told.gist())) {
        match told.problem.severity {
            Severity::Error => tracing::error!("{told}"),
            Severity::Warning => tracing::warn!("{told}"),
        }
    }
    let holds: BTreeSet<_> = now.iter().map(Told::subject).collect();
    for told in before.iter().filter(|told| !holds.contains(&told.subject())) {
        let unread = now.iter().find(|now| UNREAD.contains(&now.problem.code));
        match unread.filter(|now| now.problem.key == told.problem.key) {
            Some(now) if !UNREAD.contains(&told.problem.code) => tracing::info!("{}", told.hidden_by(now)),
            _ => tracing::info!("{}", told.mended()),
        }
    }
}

/// One line for each thing that has come to be wrong between objects, or is not any more; a moment after changes,
/// so that proxies are served first and what is told holds.
pub(crate) async fn between(mut snapshots: watch::Receiver<Arc<mesh::Snapshot>>) -> anyhow::Error {
    let mut before = Vec::new();
    while snapshots.changed().await.is_ok() {
        tokio::time::sleep(QUIET).await;
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let look = move || {
            let now = offline::between(&snapshot);
            tell(&before, &now);
            now
        };
        before = match tokio::task::spawn_blocking(look).await {
            Ok(now) => now,
            Err(error) => return error.into(),
        };
    }
    anyhow!("the engine has ended")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::parse::Context;
    use sources::MeshFile;

    use super::*;

    #[test]
    fn a_mesh_configuration_that_is_not_read_is_not_told_as_if_it_were() {
        let path = Path::new("etc/mesh");
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let start = Start { folder: "config".into(), mesh: path.to_owned(), begun: Instant::now() };
        let told = |mut file: MeshFile, text| start.mesh(&[file.read(text)]);
        let file = || MeshFile::new(path, context.clone());
        assert_eq!(told(file(), Some("trustDomain: here")), "etc/mesh");
        assert_eq!(told(file(), None), "the defaults hold, since there is no etc/mesh");
        assert_eq!(told(file().expected(), None), "the defaults hold, since there is no etc/mesh");
        assert_eq!(told(file(), Some("a: [")), "the defaults hold, since etc/mesh cannot be used");
    }
}
