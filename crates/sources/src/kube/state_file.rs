//! The last good state on disk: what was read of the cluster, compact and with a checksum.
//!
//! A line that says what the file is, a line of JSON for each object, a line with the hash of all before it.
//! The time at which the file was last modified is when it was last known to be true. Secrets are never read by
//! the watches, and so never in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;
use tokio::sync::Notify;
use xxhash_rust::xxh3::Xxh3;

use super::objects::Object;
use super::status::Status;
use super::watches::Watches;

/// How long after a change it is written down, and how long after that at least until the next time.
const DEBOUNCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// How often the file is marked as still true.
const MARK: Duration = Duration::from_secs(10);
const NAME: &str = "cluster-state";
const FORMAT: &str = "pilothouse cluster state 1";

/// Where the state is kept, and of what it is.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// The first line: the format, and whose state this is.
    title: String,
}

/// A state as it was read.
pub(super) struct Saved {
    pub(super) as_of: SystemTime,
    pub(super) objects: Vec<Object>,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
enum Unusable {
    #[error("it is damaged")]
    Damaged,
    #[error("it is of another cluster, revision or version")]
    Foreign,
}

impl StateFile {
    /// In that folder, of that cluster and revision.
    pub(super) fn new(folder: &Path, cluster: &str, revision: &str) -> Self {
        let title = format!("{FORMAT} {}", serde_json::json!([cluster, revision]));
        Self { path: folder.join(NAME), title }
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.path.is_file()
    }

    /// What it says. A damaged one is set aside, and told.
    pub(super) fn load(&self) -> Option<Saved> {
        let told = |error: &dyn std::fmt::Display| {
            tracing::error!(file = %self.path.display(), %error, "the last good state cannot be used");
        };
        let read = || Ok::<_, io::Error>((fs::metadata(&self.path)?.modified()?, fs::read(&self.path)?));
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                told(&error);
                None
            }
            Ok((as_of, bytes)) => match self.parse(&bytes) {
                Ok(objects) => Some(Saved { as_of, objects }),
                Err(error) => {
                    told(&error);
                    let aside = self.path.with_extension("damaged");
                    if let Err(error) = fs::rename(&self.path, &aside) {
                        told(&error);
                    }
                    None
                }
            },
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<Object>, Unusable> {
        let body = bytes.strip_suffix(b"\n").ok_or(Unusable::Damaged)?;
        let end = body.iter().rposition(|byte| *byte == b'\n').ok_or(Unusable::Damaged)? + 1;
        let (said, sum) = body.split_at_checked(end).ok_or(Unusable::Damaged)?;
        let mut hash = Xxh3::new();
        hash.update(said);
        if sum != sum_of(&hash).as_bytes() {
            return Err(Unusable::Damaged);
        }
        let mut lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        if lines.next() != Some(self.title.as_bytes()) {
            return Err(Unusable::Foreign);
        }
        let object = |line| match serde_json::from_slice(line) {
            Ok(Json::Object(object)) => Ok(object),
            _ => Err(Unusable::Damaged),
        };
        lines.map(object).collect()
    }

    /// Writes everything down: into another file first, which then takes this one's place.
    /// `age` is how long ago it was last known to be true.
    fn write(&self, watches: &Watches, age: Duration) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let mut file = BufWriter::new(file);
        let mut hash = Xxh3::new();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            file.write_all(bytes)
        };
        put(format!("{}\n", self.title).as_bytes())?;
        watches.write(&mut put)?;
        writeln!(file, "{}", sum_of(&hash))?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let now = SystemTime::now();
        file.set_modified(now.checked_sub(age).unwrap_or(now))?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)
    }

    /// Notes that what it says is true now.
    fn mark(&self) -> io::Result<()> {
        File::options().write(true).open(&self.path)?.set_modified(SystemTime::now())
    }
}

fn sum_of(hash: &Xxh3) -> String {
    format!("{:032x}", hash.digest128())
}

/// Keeps the file in step with what is known, a moment behind; does not end.
pub(super) async fn keep(file: StateFile, watches: Arc<Watches>, status: Status, changed: Arc<Notify>) {
    if let Some(folder) = file.path.parent()
        && let Err(error) = fs::create_dir_all(folder)
    {
        tracing::error!(folder = %folder.display(), %error, "the last good state is not kept");
        return;
    }
    // Each failure is told once.
    let mut is_well = true;
    loop {
        let is_new = tokio::time::timeout(MARK, changed.notified()).await.is_ok();
        if is_new {
            tokio::time::sleep(DEBOUNCE.0).await;
        }
        let (is_true, age) = (status.is_true(), status.age());
        let (own, shared) = (file.clone(), Arc::clone(&watches));
        let done = tokio::task::spawn_blocking(move || match (is_new, is_true) {
            (true, _) => own.write(&shared, age),
            (false, true) => own.mark(),
            (false, false) => Ok(()),
        });
        match done.await {
            Ok(Ok(())) => is_well = true,
            Ok(Err(error)) if is_well => {
                is_well = false;
                tracing::error!(file = %file.path.display(), %error, "the last good state is not kept");
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!(%error, "the last good state is not kept"),
        }
        if is_new {
            tokio::time::sleep(DEBOUNCE.1).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Kind;
    use model::parse::Context;
    use model::revision::Revision;
    use serde_json::json;

    use super::super::mesh_watch::{Mesh, Place};
    use super::*;

    fn watches() -> Watches {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let places = ["shared", "istio"].map(|name| Place::ConfigMap("istio-system".into(), name.into()));
        Watches::new(Mesh::new(places, &context), &context, &Revision::new("r"))
    }

    fn objects() -> Vec<Object> {
        let objects = [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "n"}}),
            json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
                "metadata": {"name": "a", "namespace": "n", "resourceVersion": "7"}, "spec": {}}),
            json!({"kind": "ConfigMap", "metadata": {"namespace": "istio-system", "name": "istio"},
                "data": {"mesh": "trustDomain: here"}}),
        ];
        objects.map(|object| object.as_object().unwrap().clone()).into()
    }

    impl StateFile {
        /// Keeps these objects.
        pub(in super::super) fn put(&self, objects: &[Object]) {
            let watches = watches();
            watches.restore(objects.to_vec());
            self.write(&watches, Duration::ZERO).unwrap();
        }
    }

    #[test]
    fn what_is_kept_is_read_again_with_its_age() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path(), "c", "r");
        assert!(!file.is_there() && file.load().is_none());
        let before = watches();
        assert_eq!(before.restore(objects()).len(), 3);
        file.write(&before, Duration::from_secs(600)).unwrap();
        let saved = file.load().unwrap();
        assert!(SystemTime::now().duration_since(saved.as_of).unwrap() >= Duration::from_secs(600));
        let restored = watches().restore(saved.objects);
        let kinds: Vec<Kind> = restored.iter().map(|change| change.key.kind).collect();
        assert_eq!(kinds, [Kind::MeshConfig, Kind::Service, Kind::Sidecar]);
        file.mark().unwrap();
        assert!(file.load().unwrap().as_of > saved.as_of);
    }

    #[test]
    fn a_damaged_or_foreign_file_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path(), "c", "r");
        let before = watches();
        before.restore(objects());
        file.write(&before, Duration::ZERO).unwrap();
        let whole = fs::read(&file.path).unwrap();
        assert_eq!(StateFile::new(folder.path(), "other", "r").parse(&whole), Err(Unusable::Foreign));
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        for broken in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], b"", b"\n", &changed] {
            fs::write(&file.path, broken).unwrap();
            assert!(file.load().is_none());
            assert!(!file.is_there(), "it is not trusted a second time");
            assert!(folder.path().join("cluster-state.damaged").exists());
        }
    }
}
