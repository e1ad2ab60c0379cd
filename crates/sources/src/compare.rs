//! A folder as it stands, compared with how it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use model::Text;

use crate::file_problem::{Extent, text};
use crate::links::{Links, has_link, is_link};
use crate::notices::Notices;
use crate::stamps::{Stamp, Stamps};
use crate::walk::{self, Found, is_config, shown, walk};
use crate::{File, FileProblem, Seen};

/// What was read of a folder, and what could not be.
pub(crate) struct Compared {
    root: PathBuf,
    pub(crate) notices: Notices,
    /// Only what is another file is read again.
    stamps: Stamps,
    /// Files and folders that cannot be read or watched.
    problems: BTreeMap<PathBuf, FileProblem>,
    links: Links,
    /// Whether something went away while it was looked at.
    is_torn: bool,
}

impl Compared {
    /// Nothing was read yet.
    pub(crate) fn new(root: PathBuf, notices: Notices) -> Self {
        let (stamps, problems, links) = (Stamps::default(), BTreeMap::new(), Links::default());
        Self { root, notices, stamps, problems, links, is_torn: false }
    }

    /// Compares the folder with what was read: what is gone, what is new. A folder that has vanished is
    /// no empty mesh, nor is what is below one that cannot be read gone.
    pub(crate) fn all(&mut self) -> Vec<Seen> {
        let (found, problems) = self.walk();
        let is_other = |path: &&PathBuf| {
            let known = self.stamps.get(path);
            known.is_none() || known != Stamp::of(path)
        };
        let others: Vec<PathBuf> = found.files.iter().filter(is_other).cloned().collect();
        let mut seen = self.files(&others);
        // A folder that can be read again is nothing either: its problem goes.
        let is_gone = |path: &&PathBuf| !found.has(path) && !problems.contains_key(*path);
        let known: BTreeSet<&PathBuf> = self.stamps.paths().chain(self.problems.keys()).collect();
        let gone: Vec<PathBuf> = known.into_iter().filter(is_gone).cloned().collect();
        for path in gone {
            self.stamps.remove(&path);
            self.problems.remove(&path);
            seen.push(File { path: shown(&self.root, &path), text: None }.into());
        }
        for (folder, problem) in problems {
            seen.push(Seen::Problem(shown(&self.root, &folder), problem.clone()));
            self.problems.insert(folder, problem);
        }
        seen
    }

    /// Everything there is, and what of it cannot be read or watched. Each folder is watched before it is read,
    /// so that nothing is missed in between.
    fn walk(&mut self) -> (Found, BTreeMap<PathBuf, FileProblem>) {
        let Self { root, notices, .. } = self;
        let mut problems = BTreeMap::new();
        let mut found = walk(root, |folder| {
            let watched = notices.watch(folder);
            let list = walk::list(folder)?;
            if let Err(error) = watched {
                problems.insert(folder.to_owned(), FileProblem::unwatched(&error));
            }
            Ok(list)
        });
        let mut links = std::mem::take(&mut found.links);
        links.extend(has_link(root).then(|| root.clone()));
        self.links.set(links);
        for (folder, error) in &found.unreadable {
            // Gone since it was listed: not there when it is next looked for.
            self.is_torn |= error.kind() == io::ErrorKind::NotFound && folder != root;
            if error.kind() != io::ErrorKind::NotFound || folder == root {
                problems.insert(folder.clone(), FileProblem::of_folder(error, folder == root));
            }
        }
        (found, problems)
    }

    /// The files as they are now; one that is gone again is left out.
    pub(crate) fn files<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Seen> {
        let mut seen = Vec::new();
        for path in paths {
            // Taken before the file is read: one that is written meanwhile is read once more.
            let stamp = Stamp::of(path);
            if is_link(path) {
                self.links.add(path);
            }
            let name = shown(&self.root, path);
            match text(path) {
                Ok(None) => {}
                Ok(text) => {
                    let from = stamp.and_then(|stamp| self.moved_from(path, stamp));
                    if let Some(stamp) = stamp {
                        self.stamps.put(path, stamp);
                    }
                    self.problems.remove(path);
                    let file = File { path: name, text };
                    seen.push(match from {
                        Some(from) => Seen::Moved(from, file),
                        None => file.into(),
                    });
                }
                Err(problem) => {
                    self.stamps.remove(path);
                    self.problems.insert(path.clone(), problem.clone());
                    seen.push(Seen::Problem(name, problem));
                }
            }
        }
        seen
    }

    /// The name that a new file had before, which is forgotten.
    fn moved_from(&mut self, path: &Path, stamp: Stamp) -> Option<Text> {
        if self.stamps.get(path).is_some() {
            return None;
        }
        let from = self.stamps.names(stamp).find(|name| self.is_gone(name))?.clone();
        self.stamps.remove(&from);
        Some(shown(&self.root, &from))
    }

    /// Looks again at what could not be read or watched and at what links lead to, and only if that has changed at
    /// all the others: what is wrong for long costs little.
    pub(crate) fn again(&mut self) -> Vec<Seen> {
        let wanted = self.links.look();
        let is_other = |(path, known): (&PathBuf, &FileProblem)| match known.extent {
            // Nobody tells what changes there.
            Extent::Nothing => true,
            Extent::File => std::fs::symlink_metadata(path).is_err(),
            Extent::Folder | Extent::Everything => match walk::list(path) {
                Ok(_) => true,
                Err(error) => FileProblem::of_folder(&error, *path == self.root) != *known,
            },
        };
        if wanted.all || self.problems.iter().any(is_other) {
            return self.all();
        }
        let files = self.problems.iter().filter(|(_, known)| known.extent == Extent::File);
        let files: BTreeSet<PathBuf> = files
            .map(|(path, _)| path.clone())
            .chain(wanted.files.into_iter().filter(|path| is_config(path)))
            .collect();
        self.files(&files)
    }

    /// Whether there is something to look at again: what could not be read or watched, or a link.
    pub(crate) fn is_to_be_looked_at(&self) -> bool {
        !self.problems.is_empty() || !self.links.is_empty()
    }

    /// Whether something went away while it was looked at, since this was last asked.
    pub(crate) fn was_torn(&mut self) -> bool {
        std::mem::take(&mut self.is_torn)
    }

    /// Forgets the file of this name if it was read and is not there any more; whether that is so.
    pub(crate) fn forget_gone(&mut self, name: &Text) -> bool {
        let path = self.root.join(&**name);
        self.is_gone(&path) && self.stamps.remove(&path)
    }

    /// Whether a path leads to nothing, though the folder itself is there.
    fn is_gone(&self, path: &Path) -> bool {
        let seen = std::fs::symlink_metadata(path);
        seen.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) && self.root.is_dir()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(seen: &[Seen]) -> Vec<String> {
        let name = |seen: &Seen| match seen {
            Seen::File(file) if file.text.is_none() => format!("{} is gone", file.path),
            Seen::File(file) => file.path.to_string(),
            Seen::Moved(from, file) => format!("{from} is {}", file.path),
            Seen::Problem(path, problem) => format!("{path} {}", problem.code),
        };
        seen.iter().map(name).collect()
    }

    #[test]
    fn what_cannot_be_read_for_long_has_nothing_else_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("nothing", path("link.yaml")).unwrap();
        fs::write(path("a.yaml"), "").unwrap();
        let mut compared = Compared::new(folder.path().to_owned(), Notices::new().unwrap());
        assert_eq!(names(&compared.all()), ["a.yaml", "link.yaml dangling-link"]);
        fs::write(path("a.yaml"), "a: 1").unwrap();
        assert_eq!(names(&compared.again()), ["link.yaml dangling-link"], "only the link is looked at");
        fs::write(path("nothing"), "").unwrap();
        assert_eq!(names(&compared.again()), ["link.yaml"]);
    }

    #[test]
    fn a_folder_without_links_and_problems_is_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("below")).unwrap();
        fs::write(path("below/a.yaml"), "").unwrap();
        let mut compared = Compared::new(folder.path().to_owned(), Notices::new().unwrap());
        compared.all();
        assert!(!compared.is_to_be_looked_at());
        std::os::unix::fs::symlink("below/a.yaml", path("b.yaml")).unwrap();
        compared.files(&[path("b.yaml")]);
        assert!(compared.is_to_be_looked_at());
        fs::remove_file(path("b.yaml")).unwrap();
        compared.all();
        assert!(!compared.is_to_be_looked_at());
    }

    #[test]
    fn what_cannot_be_read_and_is_gone_has_all_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("nothing", path("link.yaml")).unwrap();
        let mut compared = Compared::new(folder.path().to_owned(), Notices::new().unwrap());
        compared.all();
        fs::remove_file(path("link.yaml")).unwrap();
        fs::write(path("a.yaml"), "").unwrap();
        assert_eq!(names(&compared.again()), ["a.yaml", "link.yaml is gone"]);
    }

    #[test]
    fn a_file_that_moves_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("below")).unwrap();
        fs::write(path("below/a.yaml"), "").unwrap();
        fs::hard_link(path("below/a.yaml"), path("twin.yaml")).unwrap();
        let mut compared = Compared::new(folder.path().to_owned(), Notices::new().unwrap());
        assert_eq!(names(&compared.all()), ["below/a.yaml", "twin.yaml"]);
        fs::rename(path("below"), path("other")).unwrap();
        assert_eq!(names(&compared.all()), ["below/a.yaml is other/a.yaml"]);
        assert_eq!(names(&compared.all()), [""; 0]);
    }
}
