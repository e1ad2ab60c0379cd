//! Watching a folder, or one file: a file counts when it is closed or renamed into place.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::parse::Context;
use model::{Change, Text};
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::{File, Folder};

/// How long a removal waits to be seen as part of something larger: a folder that vanishes, a file that
/// is written anew.
const REMOVAL_DELAY: Duration = Duration::from_millis(50);

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
pub fn watch(root: &Path, context: Context) -> Result<mpsc::Receiver<Vec<Change>>, WatchError> {
    let (watcher, notified) = notices(root, RecursiveMode::Recursive)?;
    let (changes, receiver) = mpsc::channel(WAITING);
    let mut task = Task {
        root: root.to_owned(),
        folder: Folder::new(context),
        stamps: BTreeMap::new(),
        changes,
        _watcher: watcher,
    };
    let found = files(root).map_err(|source| unreadable(root, source))?;
    let everything = task.read_all(&found);
    let everything = task.folder.update(everything);
    tokio::spawn(task.run(everything, notified));
    Ok(receiver)
}

/// The files of a folder as (path, text), read once.
pub fn read_folder(root: &Path) -> Result<Vec<(String, String)>, WatchError> {
    let files = texts(root)?.into_iter();
    Ok(files.filter_map(|file| Some((file.path.to_string(), file.text?))).collect())
}

/// One file's text, first as it is and then after each save; `None` if there is no such file at first.
pub fn watch_file(path: &Path) -> Result<mpsc::Receiver<Option<String>>, WatchError> {
    let (texts, receiver) = mpsc::channel(WAITING);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let watched = folder.is_dir().then(|| notices(folder, RecursiveMode::NonRecursive)).transpose()?;
    tokio::spawn(follow(path.to_owned(), watched, texts));
    Ok(receiver)
}

/// Sends a file's text whenever it is another one; a file that is away for a moment, as while it is
/// written anew, goes on saying what it said.
async fn follow(
    path: PathBuf,
    watched: Option<(RecommendedWatcher, Notices)>,
    texts: mpsc::Sender<Option<String>>,
) {
    let mut known = std::fs::read_to_string(&path).ok();
    if texts.send(known.clone()).await.is_err() {
        return;
    }
    let Some((_watcher, mut notified)) = watched else { return texts.closed().await };
    while let Some(notice) = notified.recv().await {
        let mut wanted = Wanted::default();
        wanted.note(notice);
        if !wanted.all && !wanted.files.iter().any(|file| file.file_name() == path.file_name()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).ok();
        if text.is_some() && text != known {
            known.clone_from(&text);
            if texts.send(text).await.is_err() {
                return;
            }
        }
    }
}

/// How many notices, or batches of changes, wait for who takes them.
const WAITING: usize = 1024;

type Notices = mpsc::Receiver<notify::Result<Event>>;

/// The system's notices of changes below a folder; they end with the watcher.
fn notices(root: &Path, mode: RecursiveMode) -> Result<(RecommendedWatcher, Notices), WatchError> {
    let (notices, notified) = mpsc::channel(WAITING);
    let failed = |source| WatchError::Notify { path: root.to_owned(), source };
    // On a thread of its own, which waits while nobody takes what it has.
    let send = move |event| drop(notices.blocking_send(event));
    let mut watcher = notify::recommended_watcher(send).map_err(failed)?;
    watcher.watch(root, mode).map_err(failed)?;
    Ok((watcher, notified))
}

fn texts(root: &Path) -> Result<Vec<File>, WatchError> {
    let found = files(root).map_err(|source| unreadable(root, source))?;
    Ok(found.iter().filter_map(|path| read(root, path)).collect())
}

fn unreadable(root: &Path, source: io::Error) -> WatchError {
    WatchError::Read { path: root.to_owned(), source }
}

struct Task {
    root: PathBuf,
    folder: Folder,
    /// How every file stood when it was read, so that comparing the folder reads only what is another file.
    stamps: BTreeMap<PathBuf, Stamp>,
    changes: mpsc::Sender<Vec<Change>>,
    _watcher: RecommendedWatcher,
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

/// What notices ask for.
#[derive(Default)]
struct Wanted {
    /// Files to read again.
    files: BTreeSet<PathBuf>,
    /// Whether the whole folder is to be compared: something was removed, renamed or cannot be told.
    all: bool,
}

impl Task {
    async fn run(mut self, everything: Vec<Change>, mut notified: Notices) {
        if self.changes.send(everything).await.is_err() {
            return;
        }
        let mut comparison: Option<Instant> = None;
        loop {
            let notice = tokio::select! {
                notice = notified.recv() => notice,
                () = at(comparison) => {
                    comparison = None;
                    if self.compare_all().await {
                        continue;
                    }
                    return;
                }
            };
            let Some(notice) = notice else { return };
            let mut wanted = Wanted::default();
            wanted.note(notice);
            while let Ok(notice) = notified.try_recv() {
                wanted.note(notice);
            }
            if wanted.all {
                comparison.get_or_insert_with(|| Instant::now() + REMOVAL_DELAY);
            }
            if !self.read_files(&wanted).await {
                return;
            }
        }
    }

    /// Reads files that were closed or renamed into place; false once nobody listens.
    async fn read_files(&mut self, wanted: &Wanted) -> bool {
        let files = self.read_all(wanted.files.iter().filter(|path| is_config(path)));
        self.send(files).await
    }

    /// Compares the folder with what was read: what is gone, what is new. A folder that has vanished is
    /// no empty mesh.
    async fn compare_all(&mut self) -> bool {
        let Ok(found) = files(&self.root) else {
            tracing::warn!(folder = %self.root.display(), "the folder cannot be read; what it said before stays");
            return true;
        };
        if found.is_empty() && !self.stamps.is_empty() && !self.root.join(".").exists() {
            return true;
        }
        let others = found.iter().filter(|path| self.stamps.get(*path).copied() != Stamp::of(path));
        let others: Vec<PathBuf> = others.cloned().collect();
        let mut files = self.read_all(&others);
        let there: BTreeSet<PathBuf> = found.into_iter().collect();
        let gone = self.stamps.keys().filter(|path| !there.contains(*path));
        files.extend(gone.map(|path| File { path: shown(&self.root, path), text: None }));
        self.stamps.retain(|path, _| there.contains(path));
        self.send(files).await
    }

    /// The files as they are now; one that is gone again, or cannot be read, is left out.
    fn read_all<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<File> {
        let mut files = Vec::new();
        for path in paths {
            // Taken before the file is read: one that is written meanwhile is read once more.
            let stamp = Stamp::of(path);
            let Some(file) = read(&self.root, path) else { continue };
            self.stamps.extend(stamp.map(|stamp| (path.clone(), stamp)));
            files.push(file);
        }
        files
    }

    async fn send(&mut self, files: Vec<File>) -> bool {
        if files.is_empty() {
            return !self.changes.is_closed();
        }
        let changes = self.folder.update(files);
        changes.is_empty() || self.changes.send(changes).await.is_ok()
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Wanted {
    fn note(&mut self, notice: notify::Result<Event>) {
        let Ok(event) = notice else {
            self.all = true;
            return;
        };
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.files.extend(event.paths),
            // One file that takes its place, as most programs save: nothing else can have moved.
            EventKind::Modify(ModifyKind::Name(RenameMode::To))
                if event.paths.iter().all(|path| is_file(path)) =>
            {
                self.files.extend(event.paths);
            }
            EventKind::Modify(ModifyKind::Name(_)) => {
                self.files.extend(event.paths);
                self.all = true;
            }
            EventKind::Create(CreateKind::Folder | CreateKind::Other) | EventKind::Remove(_) => {
                self.all = true
            }
            _ if event.need_rescan() => self.all = true,
            _ => {}
        }
    }
}

fn is_file(path: &Path) -> bool {
    is_config(path) && path.is_file()
}

/// YAML and JSON files, hidden ones left out.
fn is_config(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// All configuration files below a folder, in the order of their paths. Hidden folders are left out, as
/// mounted ConfigMaps keep their old and new state in them.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if is_config(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path as people know it.
fn shown(root: &Path, path: &Path) -> Text {
    (*path.strip_prefix(root).unwrap_or(path).to_string_lossy()).into()
}

/// A file with its path as people know it; one that is gone again is left out, one that cannot be read
/// is told.
fn read(root: &Path, path: &Path) -> Option<File> {
    match std::fs::read(path) {
        Ok(bytes) => {
            Some(File { path: shown(root, path), text: Some(String::from_utf8_lossy(&bytes).into_owned()) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot read the file; what it said before stays");
            None
        }
    }
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
}
