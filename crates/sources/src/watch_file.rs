//! Watching one file.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::notices::{Notices, Wanted};
use crate::watch::{REMOVAL_DELAY, WAITING, WatchError};

/// One file's text, first as it is and then after each save; `None` while there is no such file.
pub fn watch_file(path: &Path) -> Result<mpsc::Receiver<Option<String>>, WatchError> {
    let (texts, receiver) = mpsc::channel(WAITING);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| WatchError::Notify { path: path.to_owned(), source };
    let mut notices = Notices::new().map_err(failed)?;
    if folder.is_dir() {
        notices.watch(folder).map_err(failed)?;
    }
    tokio::spawn(follow(path.to_owned(), notices, texts));
    Ok(receiver)
}

/// Sends a file's text whenever it is another one.
async fn follow(path: PathBuf, notices: Notices, texts: mpsc::Sender<Option<String>>) {
    let mut known = text(&path).unwrap_or_default();
    if known.is_none() {
        tracing::info!(file = %path.display(), "there is no such file; the built-in defaults hold");
    }
    if texts.send(known.clone()).await.is_err() {
        return;
    }
    loop {
        let wanted = tokio::select! {
            wanted = notices.next() => wanted,
            () = texts.closed() => return,
        };
        if !concerns(&wanted, &path) {
            continue;
        }
        let Some(next) = settled(&path).await else { continue };
        if next != known {
            known.clone_from(&next);
            if known.is_none() {
                tracing::warn!(file = %path.display(), "the file is gone; the built-in defaults hold");
            }
            if texts.send(next).await.is_err() {
                return;
            }
        }
    }
}

fn concerns(wanted: &Wanted, path: &Path) -> bool {
    wanted.all || wanted.files.iter().any(|file| file.file_name() == path.file_name())
}

/// What a file says, once it is clear: one that is away for a moment, as while it is written anew, is not gone,
/// and neither is one whose whole folder is; one that cannot be read goes on saying what it said.
async fn settled(path: &Path) -> Option<Option<String>> {
    if let Some(there) = text(path)? {
        return Some(Some(there));
    }
    tokio::time::sleep(REMOVAL_DELAY).await;
    let is_folder_there = path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir());
    text(path).filter(|text| text.is_some() || is_folder_there)
}

/// The text of a file, or that there is none; nothing if it cannot be read.
fn text(path: &Path) -> Option<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(None),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot read the file; what it said before stays");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    async fn next(texts: &mut mpsc::Receiver<Option<String>>) -> Option<String> {
        tokio::time::timeout(Duration::from_secs(10), texts.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn only_a_file_that_is_removed_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [mesh, aside] = ["mesh.yaml", "aside"].map(|name| folder.path().join(name));
        let mut texts = watch_file(&mesh).unwrap();
        assert_eq!(next(&mut texts).await, None);
        fs::write(&aside, "one").unwrap();
        fs::rename(&aside, &mesh).unwrap();
        assert_eq!(next(&mut texts).await.as_deref(), Some("one"));
        fs::remove_file(&mesh).unwrap();
        fs::write(&aside, "two").unwrap();
        fs::rename(&aside, &mesh).unwrap();
        assert_eq!(next(&mut texts).await.as_deref(), Some("two"), "it was away for a moment");
        fs::remove_file(&mesh).unwrap();
        fs::create_dir(&mesh).unwrap();
        fs::remove_dir(&mesh).unwrap();
        assert_eq!(next(&mut texts).await, None, "what cannot be read is not gone, what is gone is");
    }

    #[tokio::test]
    async fn a_mounted_file_follows_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (state, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(root.join(state)).unwrap();
            fs::write(root.join(state).join("mesh"), text).unwrap();
        }
        let link = std::os::unix::fs::symlink::<&str, PathBuf>;
        link("..1", root.join("..data")).unwrap();
        link("..data/mesh", root.join("mesh")).unwrap();
        let mut texts = watch_file(&root.join("mesh")).unwrap();
        assert_eq!(next(&mut texts).await.as_deref(), Some("one"));
        link("..2", root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert_eq!(next(&mut texts).await.as_deref(), Some("two"));
    }
}
