//! Links: the system tells what happens in a folder and not to what a link in it leads to, so that is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::notices::Wanted;
use crate::stamps::{Identity, Stamp};

/// The links of a folder, each with what it leads to. Where there are none, nothing is looked at.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<PathBuf, Link>);

#[derive(Clone, Copy, Debug)]
struct Link {
    /// What was there when it was last read.
    known: Target,
    /// What was there when it was last looked at.
    last: Target,
}

/// What a path leads to, as far as a change of it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Nothing,
    /// What happens in it is told, as it is watched.
    Folder(Identity),
    File(Stamp),
}

impl Target {
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(facts) if facts.is_dir() => Self::Folder(Stamp::from(&facts).identity()),
            Ok(facts) => Self::File(Stamp::from(&facts)),
            Err(_) => Self::Nothing,
        }
    }
}

impl Links {
    /// These and no others, as they are now: they are about to be read.
    pub(crate) fn set(&mut self, paths: BTreeSet<PathBuf>) {
        self.0.clear();
        paths.iter().for_each(|path| self.add(path));
    }

    /// One more, or one that is about to be read.
    pub(crate) fn add(&mut self, path: &Path) {
        let target = Target::of(path);
        self.0.insert(path.to_owned(), Link { known: target, last: target });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to read since links lead to something else than was read. That must have been so at the look before
    /// as well: nobody tells when a file is written to its end.
    pub(crate) fn look(&mut self) -> Wanted {
        let mut wanted = Wanted::default();
        for (path, link) in &mut self.0 {
            let now = Target::of(path);
            let is_settled = std::mem::replace(&mut link.last, now) == now;
            if !is_settled || now == link.known {
                continue;
            }
            let before = std::mem::replace(&mut link.known, now);
            if [before, now].iter().any(|target| matches!(target, Target::Folder(_))) {
                wanted.all = true;
            } else {
                wanted.files.insert(path.clone());
            }
        }
        wanted
    }
}

/// Whether a path is a link itself.
pub(crate) fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|facts| facts.is_symlink())
}

/// Whether there is a link anywhere on a path, as far as can be told: one that leads to nothing may have some.
pub(crate) fn has_link(path: &Path) -> bool {
    std::fs::canonicalize(path).ok() != std::path::absolute(path).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_target_counts_once_it_rests() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link.yaml"].map(|name| folder.path().join(name));
        fs::write(&target, "").unwrap();
        symlink(&target, &link).unwrap();
        let mut links = Links::default();
        links.set([link.clone()].into());
        for text in ["one", "and two"] {
            fs::write(&target, text).unwrap();
            assert_eq!(links.look().files.len(), 0, "it may still be written");
        }
        let wanted = links.look();
        assert_eq!((wanted.files.iter().collect::<Vec<_>>(), wanted.all), (vec![&link], false));
        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        links.look();
        assert!(links.look().all, "a folder is walked");
        fs::write(target.join("file"), "").unwrap();
        links.look();
        let wanted = links.look();
        assert!(wanted.files.is_empty() && !wanted.all, "what happens in it is told");
    }
}
