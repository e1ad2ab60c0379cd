//! Watching a folder: a file counts when it is closed or renamed into place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::parse::Context;
use model::{Change, Text};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::notices::Notices;
use crate::walk::{self, Found, is_config, walk};
use crate::{File, Folder};

/// How long a removal waits to be seen as part of something larger: a folder that vanishes, a file that
/// is written anew.
pub(crate) const REMOVAL_DELAY: Duration = Duration::from_millis(50);
/// How long after a comparison that could not see everything there is another.
const RETRY: Duration = Duration::from_secs(1);
/// The largest file that is read.
const LARGEST: u64 = 64 << 20;
/// How many batches of changes wait for who takes them.
pub(crate) const WAITING: usize = 1024;

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be read.
    #[error("cannot read the folder {path}: {source}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no notice of changes.
    #[error("cannot watch the folder {path}: {source}")]
    Notify {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

/// Reads a folder, recursively, and goes on to watch it: the first message on the channel is everything,
/// later ones are what each save changes. Ends when the receiver is gone.
///
/// A file or a folder in it that cannot be read is told once and tried again; what it said before stays.
pub fn watch(root: &Path, context: Context) -> Result<mpsc::Receiver<Vec<Change>>, WatchError> {
    // What is told of a change is told by whole paths, by which files are known as well.
    let root = &std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let failed = |source| WatchError::Notify { path: root.to_owned(), source };
    let mut notices = Notices::new().map_err(failed)?;
    notices.watch(root).map_err(failed)?;
    let (changes, receiver) = mpsc::channel(WAITING);
    let mut task = Task {
        root: root.to_owned(),
        folder: Folder::new(context),
        stamps: BTreeMap::new(),
        troubles: Troubles::default(),
        comparison: None,
        changes,
        notices,
    };
    let found = readable(root, task.walk())?;
    let everything = task.read_all(&found.files);
    let everything = task.folder.update(everything);
    task.plan_retry();
    tokio::spawn(task.run(everything));
    Ok(receiver)
}

/// What was found, unless the folder itself could not be read.
fn readable(root: &Path, mut found: Found) -> Result<Found, WatchError> {
    match found.unreadable.iter().position(|(folder, _)| folder == root) {
        None => Ok(found),
        Some(at) => {
            let (path, source) = found.unreadable.swap_remove(at);
            Err(WatchError::Read { path, source })
        }
    }
}

/// A file's path, and its text.
pub type PathAndText = (String, String);

/// The files of a folder, read once, and a line for each file or folder that cannot be read.
///
/// # Errors
/// If the folder itself cannot be read.
pub fn read_folder(root: &Path) -> Result<(Vec<PathAndText>, Vec<String>), WatchError> {
    let found = readable(root, walk(root, walk::list))?;
    let told = |path: &Path, error: &io::Error| format!("{}: cannot be read: {error}", shown(root, path));
    let mut problems: Vec<String> =
        found.unreadable.iter().map(|(folder, error)| told(folder, error)).collect();
    let mut files = Vec::new();
    for path in &found.files {
        match read(root, path) {
            Ok(file) => files.extend(file.text.map(|text| (file.path.to_string(), text))),
            Err(error) => problems.push(told(path, &error)),
        }
    }
    Ok((files, problems))
}

struct Task {
    root: PathBuf,
    folder: Folder,
    /// How every file stood when it was read, so that comparing the folder reads only what is another file.
    stamps: BTreeMap<PathBuf, Stamp>,
    troubles: Troubles,
    /// When the whole folder is to be compared.
    comparison: Option<Instant>,
    changes: mpsc::Sender<Vec<Change>>,
    notices: Notices,
}

/// What is another one whenever a file was written or put in the place of another: device, inode, length, and
/// when it was written and moved.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([u64; 3], [i64; 4]);

impl Stamp {
    /// Of the file that a link leads to.
    fn of(path: &Path) -> Option<Self> {
        let seen = std::fs::metadata(path).ok()?;
        let times = [seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()];
        Some(Self([seen.dev(), seen.ino(), seen.len()], times))
    }
}

impl Task {
    async fn run(mut self, everything: Vec<Change>) {
        if self.changes.send(everything).await.is_err() {
            return;
        }
        loop {
            let files = tokio::select! {
                () = self.changes.closed() => return,
                () = at(self.comparison) => {
                    self.comparison = None;
                    self.compare_all()
                }
                wanted = self.notices.next() => {
                    if wanted.all {
                        self.compare_in(REMOVAL_DELAY);
                    }
                    // Closed after writing, or renamed into place.
                    self.read_all(wanted.files.iter().filter(|path| is_config(path)))
                }
            };
            self.plan_retry();
            let changes = if files.is_empty() { Vec::new() } else { self.folder.update(files) };
            if !changes.is_empty() && self.changes.send(changes).await.is_err() {
                return;
            }
        }
    }

    /// Everything there is; each folder is watched before it is read, so that nothing is missed in between.
    fn walk(&mut self) -> Found {
        let Self { root, notices, troubles, .. } = self;
        let found = walk(root, |folder| {
            let watched = notices.watch(folder);
            let list = walk::list(folder)?;
            if let Err(error) = watched {
                troubles.note(folder, "cannot watch the folder; it is read again and again", &error);
            }
            Ok(list)
        });
        for (folder, error) in &found.unreadable {
            troubles.note(folder, "cannot read the folder; what it said before stays", error);
        }
        found
    }

    /// Compares the folder with what was read: what is gone, what is new. A folder that has vanished is
    /// no empty mesh, nor is what is below one that cannot be read gone.
    fn compare_all(&mut self) -> Vec<File> {
        self.troubles.try_again();
        let found = self.walk();
        let others = found.files.iter().filter(|path| self.stamps.get(*path).copied() != Stamp::of(path));
        let others: Vec<PathBuf> = others.cloned().collect();
        let mut files = self.read_all(&others);
        let gone = self.stamps.keys().filter(|path| !found.has(path));
        files.extend(gone.map(|path| File { path: shown(&self.root, path), text: None }));
        self.stamps.retain(|path, _| found.has(path));
        files
    }

    /// The files as they are now; one that is gone again, or cannot be read, is left out.
    fn read_all<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<File> {
        let mut files = Vec::new();
        for path in paths {
            // Taken before the file is read: one that is written meanwhile is read once more.
            let stamp = Stamp::of(path);
            match read(&self.root, path) {
                Ok(file) => {
                    self.stamps.extend(stamp.map(|stamp| (path.clone(), stamp)));
                    files.push(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.troubles.note(path, "cannot read the file; what it said before stays", &error);
                }
            }
        }
        files
    }

    /// What could not be read or watched is tried again after a while.
    fn plan_retry(&mut self) {
        if !self.troubles.now.is_empty() {
            self.compare_in(RETRY);
        }
    }

    /// Compares the whole folder in that time, or sooner if that was asked for already.
    fn compare_in(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.comparison = Some(self.comparison.map_or(at, |planned| planned.min(at)));
    }
}

/// Files and folders that cannot be read or watched; each is told once.
#[derive(Default)]
struct Troubles {
    now: BTreeSet<PathBuf>,
    before: BTreeSet<PathBuf>,
}

impl Troubles {
    fn note(&mut self, path: &Path, told: &str, error: &impl std::fmt::Display) {
        if self.now.insert(path.to_owned()) && !self.before.contains(path) {
            tracing::warn!(path = %path.display(), %error, "{told}");
        }
    }

    /// Everything is tried again from here on.
    fn try_again(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A path as people know it.
fn shown(root: &Path, path: &Path) -> Text {
    (*path.strip_prefix(root).unwrap_or(path).to_string_lossy()).into()
}

/// A file with its path as people know it; only what is a regular file of a sensible size.
fn read(root: &Path, path: &Path) -> io::Result<File> {
    let facts = std::fs::metadata(path)?;
    if !facts.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if facts.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let bytes = std::fs::read(path)?;
    Ok(File { path: shown(root, path), text: Some(String::from_utf8_lossy(&bytes).into_owned()) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn namespace(name: &str) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    }

    async fn next(changes: &mut mpsc::Receiver<Vec<Change>>) -> Vec<String> {
        let taken = tokio::time::timeout(Duration::from_secs(10), changes.recv()).await;
        let shown = |change: &Change| format!("{} {}", change.key.name, change.value.is_some());
        taken.unwrap().unwrap().iter().map(shown).collect()
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
        assert!(changes.try_recv().is_err(), "nothing is gone");
        put("a.yaml", namespace("one") + "---\n" + &namespace("two"));
        assert_eq!(next(&mut changes).await, ["two true"]);
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

    #[test]
    fn what_is_no_file_or_too_large_is_told_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.yaml"), "a: 1").unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("device.yaml")).unwrap();
        fs::File::create(path("large.yaml")).unwrap().set_len(LARGEST + 1).unwrap();
        let (files, problems) = read_folder(folder.path()).unwrap();
        assert_eq!(files, [("a.yaml".to_owned(), "a: 1".to_owned())]);
        let expected = [
            "device.yaml: cannot be read: it is not a regular file",
            "large.yaml: cannot be read: it is larger than 64 MiB",
        ];
        assert_eq!(problems, expected);
    }
}
