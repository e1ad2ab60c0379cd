//! Watching one file.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::FileProblem;
use crate::file_problem::text;
use crate::links::{Links, has_link};
use crate::notices::{Notices, Wanted};
use crate::watch::{REMOVAL_DELAY, RETRY, WAITING, WatchError};

/// A file's text, `None` while there is no such file, or what keeps it from being read.
pub type MeshText = Result<Option<String>, FileProblem>;

/// One file's text, first as it is and then after each save.
pub fn watch_file(path: &Path) -> Result<mpsc::Receiver<MeshText>, WatchError> {
    let (texts, receiver) = mpsc::channel(WAITING);
    let failed = |source| WatchError::Notify { path: path.to_owned(), source };
    let mut notices = Notices::new().map_err(failed)?;
    let folder = folder(path);
    if folder.is_dir() {
        notices.watch(folder).map_err(failed)?;
    }
    tokio::spawn(follow(path.to_owned(), notices, texts));
    Ok(receiver)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Sends a file's text whenever it is another one.
async fn follow(path: PathBuf, mut notices: Notices, texts: mpsc::Sender<MeshText>) {
    let mut links = Links::default();
    links.add(&path);
    let mut known = text(&path);
    if texts.send(known.clone()).await.is_err() {
        return;
    }
    let mut is_watched = true;
    let mut clock = tokio::time::interval_at(Instant::now() + RETRY, RETRY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_quiet = is_watched && matches!(known, Ok(Some(_)));
        let is_linked = has_link(&path);
        // Its folder may be another one, or there at last; an error means that it is not.
        tokio::select! {
            wanted = notices.next() => match concerns(&wanted, &path) {
                false => continue,
                true if wanted.all => is_watched = notices.watch(folder(&path)).is_ok(),
                true => {}
            },
            _ = clock.tick(), if !is_quiet || is_linked => {
                is_watched = notices.watch(folder(&path)).is_ok();
                let wanted = links.look();
                if is_quiet && !wanted.all && wanted.files.is_empty() {
                    continue;
                }
            }
            () = texts.closed() => return,
        }
        let next = settled(&path).await;
        if next != known {
            known.clone_from(&next);
            if texts.send(next).await.is_err() {
                return;
            }
        }
    }
}

fn concerns(wanted: &Wanted, path: &Path) -> bool {
    wanted.all || wanted.files.iter().any(|file| file.file_name() == path.file_name())
}

/// What a file says, once it is clear: one that is away for a moment, as while it is written anew, is not gone.
async fn settled(path: &Path) -> MeshText {
    match text(path) {
        Ok(Some(there)) => Ok(Some(there)),
        _ => {
            tokio::time::sleep(REMOVAL_DELAY).await;
            text(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    async fn next(texts: &mut mpsc::Receiver<MeshText>) -> MeshText {
        tokio::time::timeout(Duration::from_secs(10), texts.recv()).await.unwrap().unwrap()
    }

    fn says(text: &str) -> MeshText {
        Ok(Some(text.to_owned()))
    }

    #[tokio::test]
    async fn only_a_file_that_is_removed_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [mesh, aside] = ["mesh.yaml", "aside"].map(|name| folder.path().join(name));
        let mut texts = watch_file(&mesh).unwrap();
        assert_eq!(next(&mut texts).await, Ok(None));
        fs::write(&aside, "one").unwrap();
        fs::rename(&aside, &mesh).unwrap();
        assert_eq!(next(&mut texts).await, says("one"));
        fs::remove_file(&mesh).unwrap();
        fs::write(&aside, "two").unwrap();
        fs::rename(&aside, &mesh).unwrap();
        assert_eq!(next(&mut texts).await, says("two"), "it was away for a moment");
        fs::remove_file(&mesh).unwrap();
        fs::create_dir(&mesh).unwrap();
        assert_eq!(next(&mut texts).await.unwrap_err().code, "not-a-file");
        fs::remove_dir(&mesh).unwrap();
        assert_eq!(next(&mut texts).await, Ok(None));
    }

    #[tokio::test]
    async fn the_folder_may_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let mesh = folder.path().join("etc/mesh.yaml");
        let mut texts = watch_file(&mesh).unwrap();
        assert_eq!(next(&mut texts).await, Ok(None));
        fs::create_dir(folder.path().join("etc")).unwrap();
        fs::write(&mesh, "one").unwrap();
        assert_eq!(next(&mut texts).await, says("one"));
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [outside, below] = ["outside", "below"].map(|name| folder.path().join(name));
        fs::create_dir(&below).unwrap();
        fs::write(&outside, "one").unwrap();
        std::os::unix::fs::symlink("../outside", below.join("mesh")).unwrap();
        let mut texts = watch_file(&below.join("mesh")).unwrap();
        assert_eq!(next(&mut texts).await, says("one"));
        fs::write(&outside, "two").unwrap();
        assert_eq!(next(&mut texts).await, says("two"));
        fs::remove_file(&outside).unwrap();
        assert_eq!(next(&mut texts).await.unwrap_err().code, "dangling-link");
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
        assert_eq!(next(&mut texts).await, says("one"));
        link("..2", root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        assert_eq!(next(&mut texts).await, says("two"));
    }
}
