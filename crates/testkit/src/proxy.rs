//! A running Envoy: how it is started, and what its admin says of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::calls::{Client, NoAnswer};

/// The command of an Envoy with one worker that reads this bootstrap.
pub fn command(envoy: &Path, bootstrap: &Path) -> Command {
    let mut command = Command::new(envoy);
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--config-path"]);
    command.arg(bootstrap);
    command
}

/// The admin of an Envoy.
#[derive(Clone)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// By which it is asked.
    pub client: Client,
}

impl Admin {
    /// Whether Envoy has its first configuration and all its listeners.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(self.address, "/ready", &http::HeaderMap::new()).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    /// Counters and gauges whose names match a regular expression of RE2.
    pub async fn stats(&self, names: &str) -> Result<BTreeMap<String, u64>, NoAnswer> {
        let path = format!("/stats?filter={}", percent(names));
        let answer = self.client.get(self.address, &path, &http::HeaderMap::new()).await?;
        Ok(parse(&String::from_utf8_lossy(&answer.body)))
    }

    /// The sum of all matching counters and gauges.
    pub async fn sum(&self, names: &str) -> Result<u64, NoAnswer> {
        Ok(self.stats(names).await?.values().sum())
    }

    /// Updates of any type that Envoy refused since it started.
    pub async fn rejected(&self) -> Result<u64, NoAnswer> {
        self.sum(r"\.update_rejected$").await
    }

    /// Whether the stream to the control plane is up.
    pub async fn is_connected(&self) -> bool {
        self.sum(r"^control_plane\.connected_state$").await.is_ok_and(|state| state == 1)
    }
}

/// Reads `name: number` lines; histograms and texts are left out.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(": ")?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(number).collect()
}

/// Escapes whatever may not stand in a query.
fn percent(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        let text = "cluster_manager.cds.update_rejected: 0\nhttp.a;.rds.9080.update_success: 3\n\
                    control_plane.identifier: \"x\"\nh: P0(1,1)\n";
        let expected = [("cluster_manager.cds.update_rejected", 0), ("http.a;.rds.9080.update_success", 3)];
        assert_eq!(parse(text), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(percent(r"\.x$"), "%5C.x%24");
    }
}
