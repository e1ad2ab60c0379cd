//! What is wrong with files and folders themselves: they cannot be read, or are not watched.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use model::{Key, Problem, Text};

use crate::File;

/// The largest file that is read.
pub(crate) const LARGEST: u64 = 64 << 20;

/// Why a file or a folder cannot be read, or is not watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// A stable code in kebab case.
    pub code: &'static str,
    /// The cause, in words.
    pub cause: String,
    /// How much of the folder it is of.
    pub(crate) extent: Extent,
}

/// How much cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    File,
    /// What is below a folder as well.
    Folder,
    /// All there is.
    Everything,
    /// Nothing: it is read all the same, but later.
    Nothing,
}

/// What was found at a path.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A file as it was read, or nothing.
    File(File),
    /// A file that had this name before.
    Moved(Text, File),
    /// Something that cannot be read, until it is seen to be a file or nothing.
    Problem(Text, FileProblem),
}

impl From<File> for Seen {
    fn from(file: File) -> Self {
        Self::File(file)
    }
}

impl FileProblem {
    fn of_file(code: &'static str, cause: impl Into<String>) -> Self {
        Self { code, cause: cause.into(), extent: Extent::File }
    }

    /// A folder whose files cannot be listed.
    pub(crate) fn of_folder(error: &io::Error, is_root: bool) -> Self {
        let extent = if is_root { Extent::Everything } else { Extent::Folder };
        if error.kind() == io::ErrorKind::NotFound {
            return Self { code: "folder-gone", cause: "the folder is gone".into(), extent };
        }
        Self { code: "folder-unreadable", cause: format!("the folder cannot be read: {error}"), extent }
    }

    /// A folder of whose changes the system gives no notice.
    pub(crate) fn unwatched(error: &dyn std::fmt::Display) -> Self {
        let cause = format!("the system gives no notice of changes here, it is read every second: {error}");
        Self { code: "not-watched", cause, extent: Extent::Nothing }
    }

    /// As a problem of the file or folder, with what becomes of what it said before.
    pub(crate) fn problem(&self, key: &Key, is_known: bool) -> Problem {
        let Self { code, cause, extent } = self;
        let outcome = match (extent, is_known) {
            (Extent::Nothing, _) => return Problem::warning(key, code, "", cause.as_str()),
            (Extent::File, true) => "what it said before is still served",
            (_, true) => "what its files said before is still served",
            (_, false) => "nothing of it is served",
        };
        Problem::error(key, code, "", cause.as_str()).with_outcome(outcome)
    }
}

/// The text of a file; `None` if there is none of that name. Only a regular file of a sensible size has a text.
pub(crate) fn text(path: &Path) -> Result<Option<String>, FileProblem> {
    let bytes = match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => {
            return Err(FileProblem::of_file("not-a-file", what(facts.file_type())));
        }
        Ok(facts) if facts.len() > LARGEST => {
            let cause = format!("the file is larger than {} MiB", LARGEST >> 20);
            return Err(FileProblem::of_file("file-too-large", cause));
        }
        Ok(_) => std::fs::read(path),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::symlink_metadata(path) {
            Ok(facts) if facts.is_symlink() => {
                Err(FileProblem::of_file("dangling-link", "the link leads to nothing"))
            }
            _ => Ok(None),
        },
        Err(error) => {
            Err(FileProblem::of_file("file-unreadable", format!("the file cannot be read: {error}")))
        }
    }
}

fn what(kind: std::fs::FileType) -> String {
    let word = match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    format!("this is no regular file but {word}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_read_has_a_code_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", path("device.yaml")).unwrap();
        std::os::unix::fs::symlink("nothing", path("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink("loop.yaml", path("loop.yaml")).unwrap();
        fs::create_dir(path("folder.yaml")).unwrap();
        fs::File::create(path("large.yaml")).unwrap().set_len(LARGEST + 1).unwrap();
        let code = |name: &str| text(&path(name)).map_err(|problem| problem.code);
        assert_eq!(code("device.yaml"), Err("not-a-file"));
        assert_eq!(code("dangling.yaml"), Err("dangling-link"));
        assert_eq!(code("loop.yaml"), Err("file-unreadable"));
        assert_eq!(code("folder.yaml"), Err("not-a-file"));
        assert_eq!(code("large.yaml"), Err("file-too-large"));
        assert_eq!(code("none.yaml"), Ok(None));
    }
}
