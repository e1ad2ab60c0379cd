//! Where the corpora lie, and reading their files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

/// Why a corpus could not be used. A message names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not the JSON that its place asks for.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A file is not the YAML that its place asks for.
    #[error("{path}: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// The corpora are absent where they must not be.
    #[error("no corpora: {0} is not a folder")]
    Absent(PathBuf),
    /// A list of expected failures breaks its own format.
    #[error("expected failures, line {line}: {message}")]
    List {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A real program that judges could not be used.
    #[error("{program}: {message}")]
    Program {
        /// The program.
        program: PathBuf,
        /// What happened.
        message: String,
    },
}

/// Finds the folder of the corpora: the configured one, else `../shared/corpus` beside the repository's root.
///
/// `None` where there is none and that may be (the caller says so in a visible line); an error where a folder
/// was configured and is absent, or where `required` (continuous integration) forbids skipping.
pub fn find(
    configured: Option<PathBuf>,
    repository: &Path,
    required: bool,
) -> Result<Option<PathBuf>, Error> {
    let must = required || configured.is_some();
    let folder = configured.unwrap_or_else(|| repository.join("../shared/corpus"));
    match (folder.is_dir(), must) {
        (true, _) => Ok(Some(folder)),
        (false, true) => Err(Error::Absent(folder)),
        (false, false) => Ok(None),
    }
}

/// The text of a file.
pub fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// The text of a file that may be absent.
pub fn optional_text(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

/// A JSON file as a value of ours.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&text(path)?).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// The documents of a YAML file; empty documents are left out.
pub fn yaml(path: &Path) -> Result<Vec<serde_json::Value>, Error> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text(path)?)
        .map_err(|cause| Error::Yaml { path: path.to_owned(), message: cause.to_string() })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Names of the entries of a folder, sorted.
pub fn entries(path: &Path) -> Result<Vec<String>, Error> {
    let wrap = |source| Error::Io { path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(wrap)? {
        names.push(entry.map_err(wrap)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_folder_is_skipped_unless_it_must_be_there() {
        let repository = tempfile::tempdir().expect("a folder");
        assert!(matches!(find(None, repository.path(), false), Ok(None)));
        assert!(matches!(find(None, repository.path(), true), Err(Error::Absent(_))));
        assert!(matches!(find(Some("/nowhere".into()), repository.path(), false), Err(Error::Absent(_))));
        let here = repository.path().to_owned();
        assert_eq!(find(Some(here.clone()), &here, true).expect("found"), Some(here));
    }
}
