//! A real Envoy with a fixed configuration: it is started, read and ended as the demo does it.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::calls::{Client, headers};
use testkit::processes::Processes;
use testkit::proxy::{Admin, command};

/// One listener on a port of its own that answers by itself, and the admin beside it.
const BOOTSTRAP: &str = r#"{
  "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
  "static_resources": { "listeners": [{
    "name": "only", "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
    "filter_chains": [{ "filters": [{ "name": "http", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      "stat_prefix": "only",
      "http_filters": [{ "name": "router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
      "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
        { "match": { "prefix": "/" }, "direct_response": { "status": 204 } }] }] } } }] }] }] }
}"#;

/// The Envoy that `cargo xtask test` names; without it a visible line.
fn envoy() -> Option<PathBuf> {
    let envoy = std::env::var_os("PILOTHOUSE_ENVOY").map(PathBuf::from);
    assert!(envoy.is_some() || std::env::var_os("CI").is_none(), "PILOTHOUSE_ENVOY names no Envoy");
    if envoy.is_none() {
        eprintln!("SKIPPED: PILOTHOUSE_ENVOY names no Envoy");
    }
    envoy
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(20), "waited too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn admin_address(file: &Path) -> SocketAddr {
    let read = || std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    until(async || read().is_some()).await;
    read().unwrap()
}

#[tokio::test]
async fn envoy_is_ready_counts_and_ends() {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (bootstrap, address) = (folder.path().join("bootstrap.json"), folder.path().join("admin"));
    std::fs::write(&bootstrap, BOOTSTRAP).unwrap();
    let mut group = Processes::new(folder.path()).unwrap();
    group.start("envoy", command(&envoy, &bootstrap).arg("--admin-address-path").arg(&address)).unwrap();

    let client = Client::new(Duration::from_secs(5));
    let admin = Admin { address: admin_address(&address).await, client: client.clone() };
    until(async || admin.is_ready().await).await;
    let listeners = client.get(admin.address, "/listeners", &headers("admin", None)).await.unwrap();
    let text = String::from_utf8_lossy(&listeners.body).into_owned();
    let listener: SocketAddr = text.trim().strip_prefix("only::").unwrap().parse().unwrap();
    assert_eq!(client.get(listener, "/", &headers("any", None)).await.unwrap().status, 204);

    assert_eq!(admin.sum(r"^http\.only\.downstream_rq_2xx$").await.unwrap(), 1);
    assert_eq!(admin.rejected().await.unwrap(), 0);
    assert!(!admin.is_connected().await, "there is no control plane");
    group.end().await;
    assert!(client.get(listener, "/", &headers("any", None)).await.is_err());
}
