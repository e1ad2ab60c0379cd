//! How files stood when they were read, by which it is seen that one is another, or has moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is another one whenever a file was written or put in the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    identity: Identity,
    length: u64,
    /// When it was written and moved, in seconds and nanoseconds.
    times: [i64; 4],
}

/// Device and inode, which a file takes along when it moves.
pub(crate) type Identity = (u64, u64);

impl Stamp {
    /// Of the file that a link leads to.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::from)
    }

    pub(crate) fn identity(self) -> Identity {
        self.identity
    }
}

impl From<&Metadata> for Stamp {
    fn from(seen: &Metadata) -> Self {
        let times = [seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()];
        Self { identity: (seen.dev(), seen.ino()), length: seen.len(), times }
    }
}

/// The stamps of all files that were read.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    by_path: BTreeMap<PathBuf, Stamp>,
    by_identity: BTreeMap<Identity, BTreeSet<PathBuf>>,
}

impl Stamps {
    pub(crate) fn put(&mut self, path: &Path, stamp: Stamp) {
        self.remove(path);
        self.by_path.insert(path.to_owned(), stamp);
        self.by_identity.entry(stamp.identity).or_default().insert(path.to_owned());
    }

    /// Forgets a file; whether it was known.
    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        let Some(stamp) = self.by_path.remove(path) else { return false };
        if let Some(paths) = self.by_identity.get_mut(&stamp.identity) {
            paths.remove(path);
            if paths.is_empty() {
                self.by_identity.remove(&stamp.identity);
            }
        }
        true
    }

    pub(crate) fn get(&self, path: &Path) -> Option<Stamp> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.by_path.keys()
    }

    /// The paths under which this very file was read.
    pub(crate) fn names(&self, of: Stamp) -> impl Iterator<Item = &PathBuf> {
        self.by_identity.get(&of.identity).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_known_by_its_former_name_until_that_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        fs::write(&one, "").unwrap();
        let mut stamps = Stamps::default();
        stamps.put(&one, Stamp::of(&one).unwrap());
        fs::rename(&one, &two).unwrap();
        let moved = Stamp::of(&two).unwrap();
        assert_eq!(stamps.names(moved).collect::<Vec<_>>(), [&one]);
        assert!(stamps.remove(&one) && !stamps.remove(&one));
        assert_eq!(stamps.names(moved).count(), 0);
    }
}
