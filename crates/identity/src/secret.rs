//! The Secret in which a cluster keeps its root, as istiod lays it out (istiod-surface 2.4).

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use zeroize::Zeroize as _;

use crate::error::Error;
use crate::root::Root;
use crate::signer::{Parts, Signer};

/// Its name.
const NAME: &str = "istio-ca-secret";
/// Its type.
const TYPE: &str = "istio.io/ca-root";
const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";
const ROOTS: &str = "root-cert.pem";
/// Keys that istiod writes with nothing in them.
const EMPTY: [&str; 2] = ["cert-chain.pem", "key.pem"];

/// The Secret.
#[derive(Clone)]
pub(crate) struct Kept {
    api: Api<Secret>,
    place: String,
}

impl Kept {
    /// In this namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), place: format!("Secret {namespace}/{NAME}") }
    }

    /// The authority in it, if there is one; `further` are roots that are to be trusted beside it.
    pub(crate) async fn read(&self, further: &[u8], now: i64) -> Result<Option<Signer>, Error> {
        let secret = self.api.get_opt(NAME).await.map_err(|error| self.cluster("reading", error))?;
        let Some(mut data) = secret.map(|secret| secret.data.unwrap_or_default()) else {
            return Ok(None);
        };
        let signer = self.signer(&data, further, now);
        data.values_mut().for_each(|value| value.0.zeroize());
        signer.map(Some)
    }

    fn signer(&self, data: &BTreeMap<String, ByteString>, further: &[u8], now: i64) -> Result<Signer, Error> {
        let bytes = |name| data.get(name).map(|value| &*value.0).unwrap_or_default();
        let certificate = bytes(CERTIFICATE);
        let roots = with_further(certificate, further);
        let parts = Parts { key: bytes(KEY), certificate, chain: &[], roots: &roots };
        Signer::new(parts, now).map_err(|source| Error::Unusable { place: self.place.clone(), source })
    }

    /// Keeps a new root, unless somebody else was first. Whether it did.
    pub(crate) async fn create(&self, root: &Root) -> Result<bool, Error> {
        let mut data: BTreeMap<String, ByteString> =
            EMPTY.iter().map(|name| ((*name).to_owned(), ByteString::default())).collect();
        for (name, text) in [(CERTIFICATE, &root.certificate), (ROOTS, &root.certificate), (KEY, &root.key)] {
            data.insert(name.to_owned(), ByteString(text.clone().into_bytes()));
        }
        let mut secret = Secret {
            metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            type_: Some(TYPE.to_owned()),
            data: Some(data),
            ..Secret::default()
        };
        let created = self.api.create(&PostParams::default(), &secret).await;
        clear(&mut secret);
        match created {
            Ok(mut secret) => {
                clear(&mut secret);
                Ok(true)
            }
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(self.cluster("writing", error)),
        }
    }

    /// Puts another certificate of the same key in the place of `former`. Whether it did: not if somebody else
    /// has changed the Secret meanwhile.
    pub(crate) async fn renew(&self, former: &str, certificate: &str) -> Result<bool, Error> {
        let mut secret = self.api.get(NAME).await.map_err(|error| self.cluster("reading", error))?;
        let data = secret.data.get_or_insert_default();
        if data.get(CERTIFICATE).is_none_or(|kept| kept.0.trim_ascii() != former.as_bytes().trim_ascii()) {
            clear(&mut secret);
            return Ok(false);
        }
        for name in [CERTIFICATE, ROOTS] {
            data.insert(name.to_owned(), ByteString(certificate.as_bytes().to_vec()));
        }
        let replaced = self.api.replace(NAME, &PostParams::default(), &secret).await;
        clear(&mut secret);
        match replaced {
            Ok(mut secret) => {
                clear(&mut secret);
                Ok(true)
            }
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(self.cluster("writing", error)),
        }
    }

    fn cluster(&self, what: &str, source: kube::Error) -> Error {
        Error::Cluster { what: format!("{what} {}", self.place), source: Box::new(source) }
    }
}

/// Forgets what the copy of a Secret said.
fn clear(secret: &mut Secret) {
    secret.data.iter_mut().flat_map(BTreeMap::values_mut).for_each(|value| value.0.zeroize());
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Two texts of certificates as one.
pub(crate) fn with_further(roots: &[u8], further: &[u8]) -> Vec<u8> {
    if further.is_empty() {
        return roots.to_vec();
    }
    [roots.trim_ascii_end(), b"\n", further].concat()
}
