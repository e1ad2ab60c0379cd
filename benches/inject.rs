//! One pod injected through the webhook: over TLS, on a connection that is kept, as an API server calls it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{Server, free};
use crate::table::{Line, Times};

const WARM: usize = 50;
const REPEATS: usize = 500;
/// The name by which an API server calls the webhook.
const HOST: &str = "istiod.istio-system.svc";
/// Our own installation's templates and values.
const CONFIG: &str = include_str!("../manifests/base/injection/config.yaml");
const VALUES: &str = include_str!("../manifests/base/injection/values.json");

/// Measures, with the templates of our own installation.
pub(crate) async fn line(lines: &mut Vec<Line>) -> Result<()> {
    let mut server = Server::empty()?;
    let root = plug_in(&server.path("cacerts"))?;
    let files = server.path("var/lib/istio/inject");
    fs::create_dir_all(&files)?;
    fs::write(files.join("config"), CONFIG)?;
    fs::write(files.join("values"), VALUES)?;
    let https = free()?;
    let authority = server.path("cacerts").display().to_string();
    let flags = ["--httpsAddr", &https.to_string()].map(ToOwned::to_owned);
    server.start_with(&flags, &[("ROOT_CA_DIR", &authority)]).await?;
    let mut connection = connect(https, root).await?;
    for _ in 0..WARM {
        inject(&mut connection).await?;
    }
    let mut times = Times::default();
    for _ in 0..REPEATS {
        let begin = Instant::now();
        inject(&mut connection).await?;
        times.0.push(begin.elapsed());
    }
    server.kill().await?;
    println!("  {}", times.raw());
    lines.push(Line::new("one pod injected through HTTPS, kept alive").percentiles(&times, (2.0, 6.0)));
    Ok(())
}

/// A root with its key, as istiod's names of files have it.
fn plug_in(folder: &Path) -> Result<RootCertStore> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    fs::create_dir(folder)?;
    fs::write(folder.join("ca-key.pem"), root.key().serialize_pem())?;
    for name in ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"] {
        fs::write(folder.join(name), root.pem())?;
    }
    let mut store = RootCertStore::empty();
    store.add(root.der().clone())?;
    Ok(store)
}

type Connection = BufStream<TlsStream<TcpStream>>;

async fn connect(to: SocketAddr, roots: RootCertStore) -> Result<Connection> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(to).await.context("connecting")?;
    socket.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(HOST.try_into()?, socket).await;
    Ok(BufStream::new(stream.context("agreeing on encryption")?))
}

/// Asks once, and reads the whole answer, which must have a patch.
async fn inject(connection: &mut Connection) -> Result<()> {
    let body = question();
    let head = format!("POST /inject HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(connection.read_line(&mut line).await? > 0, "the connection was closed");
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let mut answer = vec![0; length.context("an answer without a length")?];
    connection.read_exact(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    if !answer.contains("JSONPatch") {
        bail!("not injected: {answer}");
    }
    Ok(())
}

/// A pod of a Deployment with one container and a probe.
fn question() -> String {
    let metadata = json!({"generateName": "shop-7d9f4b-", "labels": {"app": "shop", "version": "v1",
        "pod-template-hash": "7d9f4b"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "name": "shop-7d9f4b", "uid": "1", "controller": true}]});
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10});
    let container = json!({"name": "shop", "image": "shop:1", "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": probe, "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container], "volumes": [{"name": "token", "emptyDir": {}}]}});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1",
        "operation": "CREATE", "namespace": "shop", "object": pod}})
    .to_string()
}
