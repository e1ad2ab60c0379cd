//! What this server shows and whom it believes: made by the authority, or kept from before a restart.
//!
//! It is kept under the names that istiod 1.9 gave it in `./var/run/secrets/istio-dns`, so that proxies which have
//! their certificates are let in again while the cluster that keeps the authority does not answer.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::error::{Broken, Error};
use crate::key::Key;
use crate::peer::Peers;
use crate::pem;
use crate::signer::{self, Order, Signer};
use crate::stats::Stats;

const CHAIN: &str = "cert-chain.pem";
const KEY: &str = "key.pem";
const ROOTS: &str = "root-cert.pem";
/// Whatever a file says beyond this is not read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The server's certificate, what leads from it to a root, its key, and the roots of its clients.
pub(crate) struct Shown {
    chain: Vec<Certificate>,
    key: Key,
    key_text: Zeroizing<String>,
    roots: Vec<CertificateDer<'static>>,
}

/// How connections are encrypted with it.
pub(crate) struct Configs {
    pub(crate) grpc: Arc<ServerConfig>,
    pub(crate) https: Arc<ServerConfig>,
}

impl Shown {
    /// Of this authority. The key is on P-256 whatever the authority's is: a handshake costs a twentieth of one
    /// with RSA.
    pub(crate) fn make(
        signer: &Signer,
        names: Vec<crate::template::Name>,
        (now, lifetime): (i64, i64),
    ) -> Result<Self, Broken> {
        let (key, key_text) = Key::p256()?;
        let order = Order { public: key.public(), names, common_name: None, now, lifetime };
        let certificate = signer.sign(&order)?;
        let chain = [CertificateDer::from(certificate)].into_iter().chain(signer.chain());
        let chain = chain.map(Certificate::read).collect::<Result<_, _>>()?;
        Ok(Self { chain, key, key_text, roots: signer.roots().cloned().collect() })
    }

    /// What an earlier process kept in a folder, if it holds at this moment.
    pub(crate) fn kept(folder: &Path, now: i64) -> Result<Option<Self>, Error> {
        let read = |name: &str| read(&folder.join(name));
        let (Some(chain), Some(key_text), Some(roots)) = (read(CHAIN)?, read(KEY)?, read(ROOTS)?) else {
            return Ok(None);
        };
        let shown = Self::of(&chain, key_text, &roots, now);
        shown.map(Some).map_err(|source| Error::Unusable { place: folder.display().to_string(), source })
    }

    fn of(chain: &str, key_text: Zeroizing<String>, roots: &str, now: i64) -> Result<Self, Broken> {
        let chain = signer::read_all(chain.as_bytes())?;
        let roots = signer::read_all(roots.as_bytes())?;
        let key = Key::from_pem(key_text.as_bytes())?;
        let (own, above) = chain.split_first().ok_or_else(|| Broken::because("there is no certificate"))?;
        if !own.is_of(key.public())? {
            return Err(Broken::because("the key is not that of the certificate"));
        }
        for one in signer::path(own, above, &roots)?.into_iter().chain([own]) {
            signer::holds(one, now)?;
        }
        Ok(Self { key, key_text, roots: roots.into_iter().map(|root| root.der).collect(), chain })
    }

    /// Keeps it in a folder for the next process; each file is whole or the former one.
    pub(crate) fn keep(&self, folder: &Path) -> io::Result<()> {
        let text = |all: &mut dyn Iterator<Item = &CertificateDer<'static>>| -> String {
            all.map(|der| pem::certificate(der)).collect()
        };
        write(&folder.join(KEY), &self.key_text)?;
        write(&folder.join(ROOTS), &text(&mut self.roots.iter()))?;
        write(&folder.join(CHAIN), &text(&mut self.chain.iter().map(|one| &one.der)))
    }

    /// Until when it holds, in seconds since 1970.
    pub(crate) fn ends(&self) -> i64 {
        self.chain.iter().map(|one| one.not_after).min().unwrap_or_default()
    }

    /// As TLS uses it: clients of gRPC may show a certificate of this trust domain, those of webhooks show none.
    pub(crate) fn configs(&self, trust_domain: &str, stats: Arc<Stats>) -> Result<Configs, Broken> {
        let chain = self.chain.iter().map(|one| one.der.clone()).collect();
        let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, self.key.for_tls())));
        let peers = Peers::new(&self.roots, trust_domain, stats)?;
        Ok(Configs {
            grpc: config(Arc::clone(&shown), Arc::new(peers))?,
            https: config(shown, Arc::new(NoClientAuth))?,
        })
    }
}

/// No session is resumed: who resumes one would keep an identity that may have ended, or a root that is gone.
fn config(
    shown: Arc<SingleCertAndKey>,
    peers: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, Broken> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Broken::new("versions of TLS", error))?
        .with_client_cert_verifier(peers)
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A file's text; `None` if there is no file.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
    let text = fs::metadata(path).and_then(|file| {
        if file.len() > LONGEST {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is too long for what it should be"));
        }
        fs::read_to_string(path)
    });
    match text {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Writes a file that nobody else may read.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(next, path)
}
