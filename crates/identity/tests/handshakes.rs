//! Handshakes with the server's port: who is known after them, and who gets none.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod house;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use identity::{Serving, Stand, known};
use model::Caller;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use house::{Signing, below, mesh, open, plug, root, shown};

type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn client(roots: &str, shown: Option<Shown>) -> ClientConfig {
    let mut store = RootCertStore::empty();
    CertificateDer::pem_slice_iter(roots.as_bytes()).for_each(|root| store.add(root.unwrap()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store);
    match shown {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// Whom the server takes the client for, or why the two did not come together.
async fn meet(
    server: Arc<ServerConfig>,
    client: ClientConfig,
    name: &'static str,
) -> Result<Option<Caller>, String> {
    let (one, two) = tokio::io::duplex(16 << 10);
    let connector = TlsConnector::from(Arc::new(client));
    let calling = tokio::spawn(async move {
        let mut stream = connector.connect(name.try_into().unwrap(), one).await?;
        stream.write_all(b"hello").await?;
        stream.read_u8().await
    });
    let accepted = TlsAcceptor::from(server).accept(two).await.map_err(|error| error.to_string());
    let caller = match accepted {
        Ok(mut stream) => {
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.map_err(|error| error.to_string())?;
            stream.write_u8(1).await.unwrap();
            stream.flush().await.unwrap();
            Ok(known(stream.get_ref().1).get::<Caller>().cloned())
        }
        Err(error) => Err(error),
    };
    let called = calling.await.unwrap();
    assert_eq!(called.is_ok(), caller.is_ok(), "{called:?}");
    caller
}

fn stand() -> Stand {
    Stand {
        namespace: "istio-system".into(),
        revision: "1-9-1".into(),
        hosts: Vec::new(),
        lifetime: Duration::from_secs(24 * 3600),
        kept: None,
    }
}

async fn plugged(folder: &Path) -> (Signing, Serving) {
    let root = root("Root");
    plug(folder, &below(&root, "Below", &rcgen::PKCS_ECDSA_P256_SHA256), &root);
    let (authority, _keeper) = open(folder, &Arc::default()).await;
    let (serving, _renewal) = Serving::new(authority, mesh(), stand(), None).unwrap();
    (root, serving)
}

const NAME: &str = "istiod-1-9-1.istio-system.svc";

#[tokio::test]
async fn a_client_is_known_by_its_certificate_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (root, serving) = plugged(folder.path()).await;
    let roots = root.pem();
    let meet_with = async |shown| {
        let server = serving.grpc.borrow().clone();
        meet(server, client(&roots, shown), NAME).await
    };
    assert_eq!(meet_with(None).await, Ok(None));
    let caller = meet_with(Some(shown(&root, &["spiffe://td/ns/web/sa/shop"], true))).await.unwrap().unwrap();
    assert_eq!((&*caller.namespace, &*caller.service_account), ("web", "shop"));
    for (uris, holds) in [
        (&["spiffe://other/ns/web/sa/shop"][..], true),
        (&["spiffe://td/ns/web/sa/shop", "spiffe://td/ns/web/sa/other"][..], true),
        (&["https://td/ns/web/sa/shop"][..], true),
        (&[][..], true),
        (&["spiffe://td/ns/web/sa/shop"][..], false),
    ] {
        assert!(meet_with(Some(shown(&root, uris, holds))).await.is_err(), "{uris:?}");
    }
    let stranger = house::root("Root");
    assert!(meet_with(Some(shown(&stranger, &["spiffe://td/ns/web/sa/shop"], true))).await.is_err());
}

#[tokio::test]
async fn the_server_is_called_by_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (root, serving) = plugged(folder.path()).await;
    for name in [NAME, "istiod.istio-system.svc", "istio-pilot.istio-system.svc"] {
        for server in [&serving.grpc, &serving.https] {
            let server = server.borrow().clone();
            assert_eq!(meet(server, client(&root.pem(), None), name).await, Ok(None), "{name}");
        }
    }
    let server = serving.grpc.borrow().clone();
    assert!(meet(server, client(&root.pem(), None), "example.com").await.is_err());
    let server = serving.https.borrow().clone();
    let shown = shown(&root, &["spiffe://td/ns/web/sa/shop"], true);
    assert_eq!(meet(server, client(&root.pem(), Some(shown)), NAME).await, Ok(None), "nobody is asked there");
}

#[tokio::test]
async fn an_rsa_root_made_here_serves_too_and_its_certificate_is_exchanged_when_the_mesh_is_called_otherwise()
{
    let folder = tempfile::tempdir().unwrap();
    let (authority, _keeper) = open(folder.path(), &Arc::default()).await;
    let roots = authority.roots().borrow().to_string();
    let (mesh, seen) = tokio::sync::watch::channel(mesh().borrow().clone());
    let (serving, renewal) = Serving::new(authority, seen, stand(), None).unwrap();
    let running = tokio::spawn(renewal.run());
    let mut configs = serving.grpc.clone();
    configs.mark_unchanged();
    let server = configs.borrow().clone();
    assert!(meet(server, client(&roots, None), "mesh.example.com").await.is_err());
    mesh.send_modify(|mesh| mesh.discovery_host = "mesh.example.com".into());
    configs.changed().await.unwrap();
    let server = configs.borrow().clone();
    assert_eq!(meet(server, client(&roots, None), "mesh.example.com").await, Ok(None));
    running.abort();
}

#[tokio::test]
async fn what_was_shown_is_shown_again_while_nobody_can_be_asked() {
    let [folder, kept] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let stand = Stand { kept: Some(kept.path().to_owned()), ..stand() };
    let stats = Arc::default();
    let known = mesh().borrow().clone();
    assert!(Serving::kept(&stand, &known, &stats).unwrap().is_none());
    let root = root("Root");
    plug(folder.path(), &below(&root, "Below", &rcgen::PKCS_ECDSA_P256_SHA256), &root);
    let (authority, _keeper) = open(folder.path(), &stats).await;
    drop(Serving::new(authority.clone(), mesh(), stand.clone(), None).unwrap());

    let earlier = Serving::kept(&stand, &known, &stats).unwrap().unwrap();
    let seen = earlier.0.clone();
    let shop = || Some(shown(&root, &["spiffe://td/ns/web/sa/shop"], true));
    let meet_with = async |shown| meet(seen.grpc.borrow().clone(), client(&root.pem(), shown), NAME).await;
    assert_eq!(&*meet_with(shop()).await.unwrap().unwrap().service_account, "shop");
    let stranger = house::root("Root");
    assert!(meet_with(Some(shown(&stranger, &["spiffe://td/ns/web/sa/shop"], true))).await.is_err());
    // As soon as the authority is there, its certificate is shown.
    let before = seen.https.borrow().clone();
    let (_serving, _renewal) = Serving::new(authority, mesh(), stand, Some(earlier)).unwrap();
    assert!(!Arc::ptr_eq(&before, &seen.https.borrow()));
    assert!(meet_with(shop()).await.is_ok());
}

#[tokio::test]
async fn what_was_kept_is_taken_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let [folder, kept, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let root = root("Root");
    plug(folder.path(), &below(&root, "Below", &rcgen::PKCS_ECDSA_P256_SHA256), &root);
    let (authority, _keeper) = open(folder.path(), &Arc::default()).await;
    let stand_of = |folder: &Path| Stand { kept: Some(folder.to_owned()), ..stand() };
    for folder in [&kept, &other] {
        drop(Serving::new(authority.clone(), mesh(), stand_of(folder.path()), None).unwrap());
    }
    let file = |name: &str| kept.path().join(name);
    assert_eq!(std::fs::metadata(file("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    let known = mesh().borrow().clone();
    let told = || Serving::kept(&stand_of(kept.path()), &known, &Arc::default()).map(|found| found.is_some());
    assert!(told().unwrap());
    for name in ["key.pem", "cert-chain.pem", "root-cert.pem"] {
        let good = std::fs::read_to_string(file(name)).unwrap();
        for bad in ["", good.split_at(good.len() / 2).0] {
            std::fs::write(file(name), bad).unwrap();
            let error = told().unwrap_err().to_string();
            assert!(error.contains(&kept.path().display().to_string()), "{name}: {error}");
        }
        std::fs::write(file(name), good).unwrap();
    }
    std::fs::copy(other.path().join("key.pem"), file("key.pem")).unwrap();
    assert!(told().unwrap_err().to_string().contains("the key is not that of the certificate"));
}
