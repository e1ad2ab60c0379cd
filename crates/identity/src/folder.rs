//! An authority that somebody plugged in: files in a folder (istiod-surface 7.7).

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;
use crate::signer::{Parts, Signer};

/// Istio's names: key, certificate, chain, roots.
const OWN: [&str; 4] = ["ca-key.pem", "ca-cert.pem", "cert-chain.pem", "root-cert.pem"];
/// Those of a Secret of the type `kubernetes.io/tls`; the certificate's file holds the chain too.
const TLS: [&str; 4] = ["tls.key", "tls.crt", "tls.crt", "ca.crt"];

/// What a folder holds.
pub(crate) enum Found {
    /// No authority, but maybe roots that are to be trusted beside the own one; PEM.
    Roots(Vec<u8>),
    /// An authority.
    Authority(Box<Signer>),
}

/// Reads a folder; one that is not there holds nothing.
pub(crate) fn read(folder: &Path, now: i64) -> Result<Found, Error> {
    let names = if file(folder, TLS[1])?.is_some() { TLS } else { OWN };
    let [key, certificate, chain, roots] = names.map(|name| file(folder, name));
    match (key?, certificate?, chain?, roots?) {
        (Some(key), Some(certificate), Some(chain), Some(roots)) => {
            let parts = Parts { key: &key, certificate: &certificate, chain: &chain, roots: &roots };
            let unusable = |source| Error::Unusable { place: folder.display().to_string(), source };
            Ok(Found::Authority(Box::new(Signer::new(parts, now).map_err(unusable)?)))
        }
        (None, None, None, roots) => Ok(Found::Roots(roots.map(|roots| roots.to_vec()).unwrap_or_default())),
        parts => {
            let there = [parts.0.is_some(), parts.1.is_some(), parts.2.is_some(), parts.3.is_some()];
            let missing = names.iter().zip(there).filter(|(_, there)| !there).map(|(name, _)| *name);
            let missing = missing.collect::<Vec<_>>().join(", ");
            Err(Error::Incomplete { folder: folder.to_owned(), missing })
        }
    }
}

fn file(folder: &Path, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}

/// What tells one state of a folder's files from another without reading them; a Secret's mount exchanges all of
/// them by one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<(u64, u64, i64, i64)>>);

/// The stamp of this moment.
pub(crate) fn stamp(folder: &Path) -> Stamp {
    let stamp = |path: PathBuf| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    };
    Stamp(OWN.iter().chain(&TLS).map(|name| stamp(folder.join(name))).collect())
}
