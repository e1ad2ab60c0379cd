//! Going through a folder: its configuration files, each real folder once, and what could not be read.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::Text;

/// What there is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// All configuration files, in the order of their paths.
    pub(crate) files: BTreeSet<PathBuf>,
    /// All links, whatever they lead to.
    pub(crate) links: BTreeSet<PathBuf>,
    /// Folders that could not be read, and why.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
}

impl Found {
    /// Whether this path is there, as far as can be told: what is below a folder that could not be read counts.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.files.contains(path) || self.unreadable.iter().any(|(folder, _)| path.starts_with(folder))
    }
}

/// Everything below `root`; `list` says what is in a folder.
///
/// Hidden folders are left out, as mounted ConfigMaps keep their old and new state in them. Links to folders are
/// followed, but a folder that several paths lead to counts under the shortest of them, of equally short ones the
/// first: so links that lead in a circle end.
pub(crate) fn walk(root: &Path, mut list: impl FnMut(&Path) -> io::Result<Vec<Entry>>) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let mut folders = VecDeque::from([root.to_owned()]);
    while let Some(folder) = folders.pop_front() {
        if identity(&folder).is_some_and(|identity| !seen.insert(identity)) {
            continue;
        }
        let mut entries = match list(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                found.unreadable.push((folder, error));
                continue;
            }
        };
        entries.sort();
        for Entry { path, is_link } in entries.into_iter().filter(|entry| !is_hidden(&entry.path)) {
            if is_link {
                found.links.insert(path.clone());
            }
            if path.is_dir() {
                folders.push_back(path);
            } else if is_config(&path) {
                found.files.insert(path);
            }
        }
    }
    found
}

/// One thing in a folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    path: PathBuf,
    is_link: bool,
}

/// What is in a folder.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let entry = |entry: std::fs::DirEntry| {
        // The kind comes with the list; most systems need no further question for it.
        Entry { path: entry.path(), is_link: entry.file_type().is_ok_and(|kind| kind.is_symlink()) }
    };
    std::fs::read_dir(folder)?.map(|found| found.map(entry)).collect()
}

/// YAML and JSON files, in capitals too; hidden ones left out.
pub(crate) fn is_config(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    !is_hidden(path) && ["yaml", "yml", "json"].iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// What nobody is meant to see.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The real folder that a path leads to: device and inode.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// A path as people know it: below the root, or the root's own.
pub(crate) fn shown(root: &Path, path: &Path) -> Text {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    (*below.unwrap_or(path).to_string_lossy()).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn shown(root: &Path, found: &Found) -> Vec<String> {
        let below = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        found.files.iter().map(below).collect()
    }

    #[test]
    fn links_in_a_circle_end_and_each_folder_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("c/d")).unwrap();
        fs::write(root.join("c/d/one.yaml"), "").unwrap();
        fs::write(root.join("two.json"), "").unwrap();
        for (target, link) in
            [(".", "a"), (".", "b"), ("..", "c/up"), ("c/d", "z"), ("loop.yaml", "loop.yaml")]
        {
            symlink(target, root.join(link)).unwrap();
        }
        assert_eq!(shown(root, &walk(root, list)), ["loop.yaml", "two.json", "z/one.yaml"]);
    }

    #[test]
    fn files_are_told_by_how_their_names_end() {
        for name in ["a.yaml", "a.yml", "a.json", "a.YAML", "a.Yml", "a.b.JSON"] {
            assert!(is_config(Path::new(name)), "{name}");
        }
        for name in [".a.yaml", ".yaml", "yaml", "a.yaml~", "a.yaml.bak", "a.txt"] {
            assert!(!is_config(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_mounted_config_map_is_read_through_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/mesh.yaml"), "").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/mesh.yaml", root.join("mesh.yaml")).unwrap();
        assert_eq!(shown(root, &walk(root, list)), ["mesh.yaml"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_keeps_no_other_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a", "b", "c"] {
            fs::create_dir(root.join(name)).unwrap();
            fs::write(root.join(name).join("x.yaml"), "").unwrap();
        }
        let found = walk(root, |folder| match folder.ends_with("b") {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => list(folder),
        });
        assert_eq!(shown(root, &found), ["a/x.yaml", "c/x.yaml"]);
        assert!(found.has(&root.join("b/x.yaml")), "it may well be there");
        assert!(!found.has(&root.join("c/y.yaml")) && !found.has(&root.join("bb/x.yaml")));
    }
}
