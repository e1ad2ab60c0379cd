//! What runs in pods: this program as an application, or as somebody who calls one.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::calls::{Client, headers};
use testkit::echo::{self, Echo};
use testkit::load::{Flow, Target};
use tokio::net::TcpListener;

/// The application's port.
pub(crate) const PORT: u16 = 8080;
/// The user of applications and callers; the proxy's own would go by the proxy.
pub(crate) const USER: i64 = 1000;
/// How long a call may take; a refused one must not wait for ever.
const LIMIT: Duration = Duration::from_secs(3);

/// Answers with the name of the pod and with who called.
pub(crate) async fn serve() -> Result<()> {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    Ok(echo::serve_http(name, listener).await?)
}

/// Calls an address and prints the answer.
pub(crate) async fn call(address: &str, host: &str, path: &str) -> Result<()> {
    let answer = Client::new(LIMIT).get(address.parse()?, path, &headers(host, None)).await?;
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status.is_success(), "{} {}", answer.status, body.trim());
    print!("{body}");
    Ok(())
}

/// Calls an address at a steady rate until our input is closed, then prints what became of it.
pub(crate) async fn load(address: &str, host: &str, per_second: &str) -> Result<()> {
    let kind = |answer: &testkit::calls::Answer| {
        serde_json::from_slice::<Echo>(&answer.body)
            .map_or_else(|_| "a stranger".to_owned(), |echo| echo.name)
    };
    let target =
        Target { address: address.parse()?, path: "/".to_owned(), headers: headers(host, None), kind };
    let flow = Flow::start(Client::new(LIMIT), target, per_second.parse()?);
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await??;
    let report = flow.stop().await;
    let times = [50, 99].map(|percent| report.percentile(percent).as_millis());
    let text =
        json!({"sent": report.sent, "failures": report.failures, "kinds": report.kinds, "times": times});
    println!("{text}");
    Ok(())
}
