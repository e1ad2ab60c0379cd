//! A relay between a client of a control plane and the server, which sees when the client speaks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Hands bytes on in both directions and notes when the client sends data, which are its requests and ACKs.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    last: Arc<Mutex<Option<SystemTime>>>,
}

impl Relay {
    /// Listens on loopback and leads to the server.
    pub(crate) async fn start(server: SocketAddr) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let relay = Self { address: listener.local_addr()?, last: Arc::default() };
        let last = relay.last.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that breaks is the Envoy's to make again.
                drop(tokio::spawn(hand_on(client, server, last.clone())));
            }
        });
        Ok(relay)
    }

    /// When the client last sent data.
    pub(crate) fn last(&self) -> Option<SystemTime> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hand_on(client: TcpStream, server: SocketAddr, last: Arc<Mutex<Option<SystemTime>>>) -> Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut frames = Frames::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from_client.read(&mut buffer).await?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        to_server.write_all(bytes).await?;
        if frames.have_data(bytes) {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
        }
    }
    down.abort();
    Ok(())
}

/// HTTP/2 as it flows by: where frames begin, and which are data (RFC 9113, sections 3.4 and 4.1).
struct Frames {
    /// Bytes to the next frame's head.
    left: usize,
    head: Vec<u8>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { left: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len(), head: Vec::new() }
    }
}

impl Frames {
    /// Whether a frame of data begins in these bytes.
    fn have_data(&mut self, mut bytes: &[u8]) -> bool {
        let mut has = false;
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let (head, rest) = bytes.split_at((9 - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let [one, two, three, kind, ..] = *self.head.as_slice()
                && self.head.len() == 9
            {
                self.left = usize::from(one) << 16 | usize::from(two) << 8 | usize::from(three);
                has |= kind == 0;
                self.head.clear();
            }
        }
        has
    }
}
