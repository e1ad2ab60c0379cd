//! Watching a folder: a file counts when it is closed or renamed into place.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::parse::Context;
use model::{Change, Text};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::compare::Compared;
use crate::file_problem::text;
use crate::notices::Notices;
use crate::walk::{self, is_config, shown, walk};
use crate::{File, FileProblem, Folder, Seen};

/// How long a removal waits to be seen as part of something larger: a folder that vanishes, a file that
/// is written anew.
pub(crate) const REMOVAL_DELAY: Duration = Duration::from_millis(50);
/// How long after a comparison that could not see everything there is another.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
/// How many batches of changes wait for who takes them.
pub(crate) const WAITING: usize = 1024;

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be read.
    #[error("cannot read the folder {path}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no notice of changes.
    #[error("cannot watch {path}")]
    Notify {
        /// The folder, or the file.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

/// Reads a folder, recursively, and goes on to watch it: the first message on the channel is everything,
/// later ones are what each save changes. Ends when the receiver is gone.
///
/// A file or a folder in it that cannot be read is a problem while that lasts; what it said before stays.
pub fn watch(root: &Path, context: Context) -> Result<mpsc::Receiver<Vec<Change>>, WatchError> {
    // What is told of a change is told by whole paths, by which files are known as well.
    let root = &std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    readable(root)?;
    let failed = |source| WatchError::Notify { path: root.to_owned(), source };
    let mut notices = Notices::new().map_err(failed)?;
    notices.watch(root).map_err(failed)?;
    let (changes, receiver) = mpsc::channel(WAITING);
    let mut task = Task {
        folder: Folder::new(context),
        compared: Compared::new(root.to_owned(), notices),
        comparison: None,
        retry: None,
        changes,
    };
    let read = move || {
        let everything = task.compared.all();
        let everything = task.take(everything);
        task.plan();
        (task, everything)
    };
    tokio::spawn(async move {
        // An error is a panic: the channel is closed, which whoever listens takes for the end.
        if let Ok((task, everything)) = tokio::task::spawn_blocking(read).await {
            task.run(everything).await;
        }
    });
    Ok(receiver)
}

/// An error if the folder itself cannot be read.
fn readable(root: &Path) -> Result<(), WatchError> {
    let read = std::fs::read_dir(root).map(drop);
    read.map_err(|source| WatchError::Read { path: root.to_owned(), source })
}

/// What is in a folder: paths with texts, and paths with what keeps them from being read.
pub type Files = (Vec<(String, String)>, Vec<(String, FileProblem)>);

/// The files of a folder, read once.
///
/// # Errors
/// If the folder itself cannot be read.
pub fn read_folder(root: &Path) -> Result<Files, WatchError> {
    readable(root)?;
    let found = walk(root, walk::list);
    let told = |(folder, error): &(PathBuf, io::Error)| {
        (shown(root, folder).to_string(), FileProblem::of_folder(error, folder == root))
    };
    let mut problems: Vec<_> = found.unreadable.iter().map(told).collect();
    let mut files = Vec::new();
    for path in &found.files {
        let name = shown(root, path).to_string();
        match text(path) {
            Ok(text) => files.extend(text.map(|text| (name, text))),
            Err(problem) => problems.push((name, problem)),
        }
    }
    Ok((files, problems))
}

struct Task {
    folder: Folder,
    compared: Compared,
    /// When the whole folder is to be compared.
    comparison: Option<Instant>,
    /// When it is to be looked again at what cannot be read or watched, and at links.
    retry: Option<Instant>,
    changes: mpsc::Sender<Vec<Change>>,
}

impl Task {
    async fn run(mut self, everything: Vec<Change>) {
        if self.changes.send(everything).await.is_err() {
            return;
        }
        loop {
            let seen = tokio::select! {
                () = self.changes.closed() => return,
                () = at(self.comparison) => {
                    self.comparison = None;
                    self.compared.all()
                }
                () = at(self.retry) => {
                    self.retry = None;
                    self.compared.again()
                }
                wanted = self.compared.notices.next() => {
                    if wanted.all {
                        self.compare_in(REMOVAL_DELAY);
                    }
                    // Closed after writing, or renamed into place.
                    self.compared.files(wanted.files.iter().filter(|path| is_config(path) && !path.is_dir()))
                }
            };
            let changes = self.take(seen);
            self.plan();
            if !changes.is_empty() && self.changes.send(changes).await.is_err() {
                return;
            }
        }
    }

    /// What that changes. A file that has moved within the folder is not there twice, though that it is gone is
    /// seen later: it goes with what is now where it moved.
    fn take(&mut self, seen: Vec<Seen>) -> Vec<Change> {
        if seen.is_empty() {
            return Vec::new();
        }
        let mut changes = self.folder.update(seen);
        let gone = self.moved(&changes);
        if !gone.is_empty() {
            let later = self.folder.update(gone);
            let newer: BTreeSet<_> = later.iter().map(|change| change.key.clone()).collect();
            changes.retain(|change| !newer.contains(&change.key));
            changes.extend(later);
        }
        changes
    }

    /// Files that seem to say the same as others and are not there any more.
    fn moved(&mut self, changes: &[Change]) -> Vec<File> {
        let twice = |change: &&Change| change.problems.iter().any(|problem| problem.code == "duplicate-name");
        let holders = changes.iter().filter(twice).flat_map(|change| {
            let others = change.problems.iter().filter_map(|problem| problem.file.clone());
            others.chain([change.origin.file.clone()])
        });
        let holders: BTreeSet<Text> = holders.collect();
        let gone = holders.into_iter().filter(|name| self.compared.forget_gone(name));
        gone.map(|path| File { path, text: None }).collect()
    }

    /// What could not be read or watched is tried again after a while, and links are looked at.
    fn plan(&mut self) {
        if self.compared.was_torn() {
            self.compare_in(RETRY);
        }
        self.retry = match self.compared.is_to_be_looked_at() {
            true => self.retry.or_else(|| Some(Instant::now() + RETRY)),
            false => None,
        };
    }

    /// Compares the whole folder in that time, or sooner if that was asked for already.
    fn compare_in(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.comparison = Some(self.comparison.map_or(at, |planned| planned.min(at)));
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn namespace(name: &str) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    }

    fn codes(changes: &[Change]) -> Vec<&'static str> {
        changes.iter().flat_map(|change| &change.problems).map(|problem| problem.code).collect()
    }

    fn context() -> Context {
        Context { cluster: "c".into(), domain: "cluster.local".into() }
    }

    async fn batch(changes: &mut mpsc::Receiver<Vec<Change>>) -> Vec<Change> {
        tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.unwrap().unwrap()
    }

    async fn next(changes: &mut mpsc::Receiver<Vec<Change>>) -> Vec<String> {
        let shown = |change: &Change| format!("{} {}", change.key.name, change.value.is_some());
        batch(changes).await.iter().map(shown).collect()
    }

    #[tokio::test]
    async fn a_save_is_what_it_changes_and_what_is_gone_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [watched, aside] = ["watched", "aside"].map(|name| folder.path().join(name));
        [&watched, &aside].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        fs::write(watched.join("a.yaml"), namespace("one")).unwrap();
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let mut changes = watch(&watched, context).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        fs::write(watched.join("a.yaml"), namespace("one") + "---\n" + &namespace("two")).unwrap();
        assert_eq!(next(&mut changes).await, ["two true"]);
        fs::write(aside.join("b.yaml"), namespace("three")).unwrap();
        fs::rename(aside.join("b.yaml"), watched.join("b.yaml")).unwrap();
        assert_eq!(next(&mut changes).await, ["three true"]);
        fs::rename(watched.join("b.yaml"), aside.join("b.yaml")).unwrap();
        assert_eq!(next(&mut changes).await, ["three false"]);
        fs::write(aside.join("c.yaml"), namespace("four")).unwrap();
        fs::rename(&aside, watched.join("more")).unwrap();
        let mut came = next(&mut changes).await;
        came.sort();
        assert_eq!(came, ["four true", "three true"]);
        fs::remove_file(watched.join("a.yaml")).unwrap();
        assert_eq!(next(&mut changes).await, ["one false", "two false"]);
    }

    #[tokio::test]
    async fn a_folder_that_vanishes_is_no_empty_mesh_and_is_watched_once_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let watched = folder.path().join("watched");
        let put = |name: &str, text: String| {
            fs::create_dir_all(watched.join("below")).unwrap();
            fs::write(watched.join("below").join(name), text).unwrap();
        };
        put("a.yaml", namespace("one"));
        std::os::unix::fs::symlink("..", watched.join("below/up")).unwrap();
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let mut changes = watch(&watched, context).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        fs::remove_dir_all(&watched).unwrap();
        tokio::time::sleep(REMOVAL_DELAY * 3).await;
        let told = changes.try_recv().unwrap();
        assert_eq!(codes(&told), ["folder-gone"], "nothing is gone but the folder");
        assert!(changes.try_recv().is_err(), "that is told once");
        put("a.yaml", namespace("one") + "---\n" + &namespace("two"));
        let came = next(&mut changes).await;
        assert_eq!(came, [format!("{} false", watched.display()), "two true".into()], "and it is back");
        put("a.yaml", namespace("two"));
        assert_eq!(next(&mut changes).await, ["one false", "two true"], "the other one has moved");
    }

    #[tokio::test]
    async fn a_folder_may_be_named_by_a_relative_path() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let relative = Path::new(".").join(folder.path().file_name().unwrap());
        fs::write(relative.join("a.yaml"), namespace("one")).unwrap();
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let mut changes = watch(&relative, context).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        fs::write(relative.join("a.yaml"), namespace("two")).unwrap();
        assert_eq!(next(&mut changes).await, ["one false", "two true"], "it is the same file");
    }

    #[tokio::test]
    async fn a_file_that_moves_within_the_folder_is_not_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b.yaml"), namespace("one") + "---\n" + &namespace("two")).unwrap();
        let mut changes = watch(folder.path(), context()).unwrap();
        batch(&mut changes).await;
        for (from, to) in [("b.yaml", "a.yaml"), ("a.yaml", "c.yaml")] {
            fs::rename(path(from), path(to)).unwrap();
            let moved = batch(&mut changes).await;
            assert_eq!((moved.len(), codes(&moved)), (2, vec![]), "{moved:?}");
            assert!(moved.iter().all(|change| change.value.is_some() && &*change.origin.file == to));
        }
        // As version control does it, and with an object that is really there twice beside.
        fs::remove_file(path("c.yaml")).unwrap();
        fs::write(path("d.yaml"), namespace("one") + "---\n" + &namespace("two")).unwrap();
        assert_eq!(codes(&batch(&mut changes).await), [""; 0]);
        fs::write(path("e.yaml"), namespace("two")).unwrap();
        assert_eq!(codes(&batch(&mut changes).await), ["duplicate-name"]);
        tokio::time::sleep(REMOVAL_DELAY * 3).await;
        assert!(changes.try_recv().is_err(), "nothing comes of it later");
    }

    #[tokio::test]
    async fn a_broken_file_that_moves_takes_along_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b.yaml"), namespace("one")).unwrap();
        let mut changes = watch(folder.path(), context()).unwrap();
        batch(&mut changes).await;
        fs::write(path("b.yaml"), "kind: [").unwrap();
        assert_eq!(codes(&batch(&mut changes).await), ["not-yaml"]);
        for (from, to) in [("b.yaml", "a.yaml"), ("a.yaml", "c.yaml")] {
            fs::rename(path(from), path(to)).unwrap();
            let moved = batch(&mut changes).await;
            let kept: Vec<_> = moved.iter().filter(|change| change.value.is_some()).collect();
            assert_eq!((kept.len(), &*kept[0].origin.file), (1, to), "{moved:?}");
            assert!(codes(&moved).contains(&"not-yaml"), "{moved:?}");
        }
        tokio::time::sleep(REMOVAL_DELAY * 3).await;
        assert!(changes.try_recv().is_err(), "nothing comes of it later");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_a_problem_until_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        link("nothing", path("link.yaml")).unwrap();
        let mut changes = watch(folder.path(), context()).unwrap();
        assert_eq!(codes(&batch(&mut changes).await), ["dangling-link"]);
        fs::write(path("nothing"), namespace("one")).unwrap();
        assert_eq!(next(&mut changes).await, ["link.yaml false", "one true"]);
        link("/dev/null", path("device.yaml")).unwrap();
        assert_eq!(codes(&batch(&mut changes).await), ["not-a-file"]);
        fs::remove_file(path("device.yaml")).unwrap();
        let gone = batch(&mut changes).await;
        assert_eq!((gone.len(), codes(&gone)), (1, vec![]));
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_followed_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        ["cm", "more"].into_iter().for_each(|name| fs::create_dir(path(name)).unwrap());
        fs::write(path("outside.yaml"), namespace("one")).unwrap();
        link("../outside.yaml", path("cm/f.yaml")).unwrap();
        let mut changes = watch(&path("cm"), context()).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        fs::write(path("outside.yaml"), namespace("two")).unwrap();
        assert_eq!(next(&mut changes).await, ["one false", "two true"]);
        fs::remove_file(path("outside.yaml")).unwrap();
        assert_eq!(codes(&batch(&mut changes).await), ["dangling-link"]);
        fs::write(path("outside.yaml"), namespace("two")).unwrap();
        assert_eq!(next(&mut changes).await, ["f.yaml false"], "it is not wrong any more");
        fs::write(path("more/a.yaml"), namespace("three")).unwrap();
        link("../more", path("cm/more")).unwrap();
        assert_eq!(next(&mut changes).await, ["three true"], "a link to a folder");
        fs::write(path("more/a.yaml"), namespace("four")).unwrap();
        assert_eq!(next(&mut changes).await, ["four true", "three false"]);
    }

    #[tokio::test]
    async fn a_mounted_config_map_is_swapped_at_once_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (state, name) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(path(state)).unwrap();
            fs::write(path(state).join("f.yaml"), namespace(name)).unwrap();
        }
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        link("..1", path("..data")).unwrap();
        link("..data/f.yaml", path("f.yaml")).unwrap();
        let mut changes = watch(folder.path(), context()).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        link("..2", path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        let swapped = Instant::now();
        assert_eq!(next(&mut changes).await, ["one false", "two true"]);
        assert!(swapped.elapsed() < RETRY, "{:?}", swapped.elapsed());
        tokio::time::sleep(RETRY * 3).await;
        assert!(changes.try_recv().is_err(), "nothing comes of it later");
    }

    #[tokio::test]
    async fn a_folder_named_by_a_link_is_the_one_that_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("a.yaml"), namespace(name)).unwrap();
        }
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        link("one", path("root")).unwrap();
        let mut changes = watch(&path("root"), context()).unwrap();
        assert_eq!(next(&mut changes).await, ["one true"]);
        link("two", path("new")).unwrap();
        fs::rename(path("new"), path("root")).unwrap();
        assert_eq!(next(&mut changes).await, ["one false", "two true"]);
        fs::write(path("two/a.yaml"), namespace("three")).unwrap();
        assert_eq!(next(&mut changes).await, ["three true", "two false"], "and it is watched");
    }

    #[test]
    fn a_folder_is_read_but_for_what_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.yaml"), "a: 1").unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device.yaml")).unwrap();
        let (files, problems) = read_folder(folder.path()).unwrap();
        assert_eq!(files, [("a.yaml".to_owned(), "a: 1".to_owned())]);
        let told: Vec<_> = problems.iter().map(|(path, problem)| (&**path, problem.code)).collect();
        assert_eq!(told, [("device.yaml", "not-a-file")]);
        assert!(read_folder(&path("a.yaml")).is_err());
    }
}
