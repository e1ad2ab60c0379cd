//! What runs in a pod: this program again, as its application or as somebody who calls one; and its proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::calls::{Client, headers};
use testkit::echo;
use testkit::secrets::{self, Identity};
use tokio::net::{TcpListener, UnixListener};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::network::{Network, ROOT};

/// Ports of the application: HTTP twice, then lines twice.
pub(crate) const HTTP: [u16; 2] = [8080, 7070];
pub(crate) const LINES: [u16; 2] = [9090, 7071];

/// How long a call may take; a refused one must not wait for ever.
const LIMIT: Duration = Duration::from_secs(3);

/// Plays a part in a pod if the words say so.
pub(crate) async fn play(words: &[&str]) -> Option<Result<()>> {
    match words {
        ["echo", name] => Some(application(name).await),
        ["call", address, host, path] => Some(call(address, host, path).await),
        ["say", address] => Some(say(address).await),
        _ => None,
    }
}

async fn application(name: &str) -> Result<()> {
    let mut servers = JoinSet::new();
    for port in HTTP {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        servers.spawn(echo::serve_http(name.to_owned(), listener));
    }
    for port in LINES {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        servers.spawn(echo::serve_lines(name.to_owned(), listener));
    }
    match servers.join_next().await {
        Some(ended) => Ok(ended??),
        None => bail!("no port is served"),
    }
}

async fn call(address: &str, host: &str, path: &str) -> Result<()> {
    let answer = Client::new(LIMIT).get(address.parse()?, path, &headers(host, None)).await?;
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status.is_success(), "{} {}", answer.status, body.trim());
    print!("{body}");
    Ok(())
}

async fn say(address: &str) -> Result<()> {
    let answer = tokio::time::timeout(LIMIT, echo::say(address.parse()?, "hello")).await;
    print!("{}", answer.context("no answer")??);
    Ok(())
}

/// This program, to play a part.
pub(crate) fn ourselves(words: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.args(words);
    Ok(command)
}

/// What this program prints when it plays a part in a pod; its complaint is the error.
pub(crate) async fn ask(network: &Network, pod: &str, words: &[&str]) -> Result<String> {
    let output = network.inside(pod, ROOT, &ourselves(words)?).kill_on_drop(true).output().await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An HTTP call out of a pod.
pub(crate) async fn get(
    network: &Network,
    pod: &str,
    to: SocketAddr,
    host: &str,
    path: &str,
) -> Result<String> {
    ask(network, pod, &["call", &to.to_string(), host, path]).await
}

/// Where the admin of a pod's proxy listens, inside the pod.
pub(crate) const ADMIN: &str = "127.0.0.1:15000";

/// A page of a proxy's admin.
pub(crate) async fn admin(network: &Network, pod: &str, page: &str) -> Result<String> {
    ask(network, pod, &["call", ADMIN, "localhost", page]).await
}

/// The sum of a proxy's counters whose names match; the expression needs no escaping in a query.
pub(crate) async fn sum(network: &Network, pod: &str, names: &str) -> Result<u64> {
    let page = admin(network, pod, &format!("/stats?filter={names}")).await?;
    Ok(page.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum())
}

/// Serves a pod's certificates on a socket of the file system, which namespaces share.
pub(crate) fn agent(socket: &Path, identity: Identity) -> Result<()> {
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o777))?;
    tokio::spawn(async move {
        if let Err(error) = secrets::serve(listener, identity).await {
            eprintln!("an agent ended: {error}");
        }
    });
    Ok(())
}

/// A bootstrap with the agent's cluster added, by its name in every resource that wants a certificate.
pub(crate) fn with_agent(bootstrap: &[u8], socket: &Path) -> Result<Vec<u8>> {
    let mut bootstrap: Value = serde_json::from_slice(bootstrap).context("reading a bootstrap")?;
    let clusters = bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    clusters.context("a bootstrap has clusters")?.push(json!({
        "name": "sds-grpc", "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "sds-grpc", "endpoints": [{"lb_endpoints": [{
            "endpoint": {"address": {"pipe": {"path": socket}}}}]}]},
        "typed_extension_protocol_options": {options: {
            "@type": format!("type.googleapis.com/{options}"),
            "explicit_http_config": {"http2_protocol_options": {}}}},
    }));
    Ok(serde_json::to_vec(&bootstrap)?)
}
