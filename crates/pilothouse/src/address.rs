//! Addresses to listen on, as istiod's flags write them.

use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

/// `host:port`, `:port` for every address of the machine, or empty for nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress(String);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match (text, port) {
            ("", _) | (_, Some(Ok(_))) => Ok(Self(text.to_owned())),
            _ => Err("an address is written host:port or :port".to_owned()),
        }
    }
}

impl ListenAddress {
    /// Whether it stands for nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Listens; `None` if the address is empty. `:port` takes IPv6 and IPv4, or IPv4 alone where there is
    /// no IPv6.
    pub(crate) async fn listen(&self) -> Result<Option<TcpListener>> {
        let Self(text) = self;
        if text.is_empty() {
            return Ok(None);
        }
        let Some(port) = text.strip_prefix(':') else {
            return TcpListener::bind(text).await.map(Some).with_context(|| format!("listening on {text}"));
        };
        let port: u16 = port.parse().context("a port")?;
        if let Ok(listener) = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            return Ok(Some(listener));
        }
        let listener = TcpListener::bind(("0.0.0.0", port)).await;
        listener.map(Some).with_context(|| format!("listening on {text}"))
    }
}
