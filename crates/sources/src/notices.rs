//! What the system notices of changes to files, gathered until somebody asks.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::links::is_link;
use crate::walk::{is_config, is_hidden};

/// What notices ask for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Files to read again: closed after writing, or renamed into place.
    pub(crate) files: BTreeSet<PathBuf>,
    /// Whether everything is to be compared: something was removed, renamed or cannot be told.
    pub(crate) all: bool,
}

/// The system's notices of changes in some folders.
pub(crate) struct Notices {
    watcher: RecommendedWatcher,
    gathered: Arc<Gathered>,
}

#[derive(Default)]
struct Gathered {
    wanted: Mutex<Wanted>,
    more: Notify,
}

impl Notices {
    /// Of no folder yet.
    pub(crate) fn new() -> notify::Result<Self> {
        let gathered = Arc::<Gathered>::default();
        let taker = Arc::clone(&gathered);
        // Called on the watcher's own thread, which must never wait: it answers `watch` too.
        let watcher = notify::recommended_watcher(move |event| taker.note(event))?;
        Ok(Self { watcher, gathered })
    }

    /// Watches this folder, but not those in it. Doing so again does no harm, and makes good for a folder
    /// that has taken the place of another.
    pub(crate) fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        self.watcher.watch(folder, RecursiveMode::NonRecursive)
    }

    /// What there is, as soon as there is anything. Nothing is lost if this is dropped half-way.
    pub(crate) async fn next(&self) -> Wanted {
        self.gathered.more.notified().await;
        std::mem::take(&mut self.gathered.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gathered {
    fn note(&self, notice: notify::Result<Event>) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).note(notice);
        self.more.notify_one();
    }
}

impl Wanted {
    fn note(&mut self, notice: notify::Result<Event>) {
        let event = match notice {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "changes of files may have been missed; all are compared");
                self.all = true;
                return;
            }
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
            // What is made whole, as links are: nobody will close it.
            EventKind::Create(CreateKind::File) => {
                self.all |= event.paths.iter().any(|path| may_lead_to_folder(path));
                self.files.extend(event.paths.into_iter().filter(|path| is_whole(path)));
            }
            EventKind::Create(CreateKind::Folder | CreateKind::Other) | EventKind::Remove(_) => {
                self.all = true;
            }
            _ => self.all |= event.need_rescan(),
        }
    }
}

/// Whether something new is no file that is being written: a link, a second name of a file, a pipe.
fn is_whole(path: &Path) -> bool {
    is_config(path) && path.symlink_metadata().is_ok_and(|facts| !facts.is_file() || facts.nlink() > 1)
}

/// Whether something new is a link to a folder, or to what may be one some day.
fn may_lead_to_folder(path: &Path) -> bool {
    is_link(path) && !is_hidden(path) && (!is_config(path) || path.is_dir())
}

fn is_file(path: &Path) -> bool {
    is_config(path) && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_of_the_system_asks_for_a_comparison() {
        let notices = Notices::new().unwrap();
        notices.gathered.note(Err(notify::Error::generic("lost count")));
        assert!(notices.next().await.all);
    }
}
