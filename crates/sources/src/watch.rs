//! Watching a folder, or one file: a file counts when it is closed or renamed into place.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::parse::Context;
use model::{Change, Text};
use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

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
    let mut folder = Folder::new(context);
    let everything = folder.update(texts(root)?);
    let task = Task { root: root.to_owned(), folder, changes, _watcher: watcher };
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
    let found = files(root).map_err(|source| WatchError::Read { path: root.to_owned(), source })?;
    Ok(found.iter().filter_map(|path| read(root, path)).collect())
}

struct Task {
    root: PathBuf,
    folder: Folder,
    changes: mpsc::Sender<Vec<Change>>,
    _watcher: RecommendedWatcher,
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
        while let Some(notice) = notified.recv().await {
            let mut wanted = Wanted::default();
            wanted.note(notice);
            while let Ok(notice) = notified.try_recv() {
                wanted.note(notice);
            }
            if !self.read_files(&wanted).await {
                return;
            }
            if wanted.all {
                tokio::time::sleep(REMOVAL_DELAY).await;
                if !self.compare_all().await {
                    return;
                }
            }
        }
    }

    /// Reads files that were closed or renamed into place; false once nobody listens.
    async fn read_files(&mut self, wanted: &Wanted) -> bool {
        let files: Vec<File> = wanted
            .files
            .iter()
            .filter(|path| is_config(path))
            .filter_map(|path| read(&self.root, path))
            .collect();
        self.send(files).await
    }

    /// Compares the folder with what was read: what is gone, what is new. A folder that has vanished is
    /// no empty mesh.
    async fn compare_all(&mut self) -> bool {
        let Ok(found) = files(&self.root) else {
            tracing::warn!(folder = %self.root.display(), "the folder cannot be read; what it said before stays");
            return true;
        };
        let found: Vec<File> = found.iter().filter_map(|path| read(&self.root, path)).collect();
        let there: BTreeSet<&Text> = found.iter().map(|file| &file.path).collect();
        if there.is_empty() && self.folder.paths().next().is_some() && !self.root.join(".").exists() {
            return true;
        }
        let gone = self.folder.paths().filter(|path| !there.contains(path));
        let gone: Vec<File> = gone.map(|path| File { path: path.clone(), text: None }).collect();
        self.send(found.into_iter().chain(gone).collect()).await
    }

    async fn send(&mut self, files: Vec<File>) -> bool {
        if files.is_empty() {
            return !self.changes.is_closed();
        }
        let changes = self.folder.update(files);
        self.changes.send(changes).await.is_ok()
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

/// A file with its path as people know it; one that is gone again is left out, one that cannot be read
/// is told.
fn read(root: &Path, path: &Path) -> Option<File> {
    let shown = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    match std::fs::read(path) {
        Ok(bytes) => {
            Some(File { path: (*shown).into(), text: Some(String::from_utf8_lossy(&bytes).into_owned()) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot read the file; what it said before stays");
            None
        }
    }
}
