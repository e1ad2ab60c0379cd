//! From a file saved to the ACK of a real Envoy: Bookinfo's first page on a loopback address, and a relay between
//! its Envoy and the control plane that sees when the Envoy speaks.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use testkit::bookinfo::edits;
use testkit::calls::Client;
use testkit::processes::Processes;
use testkit::proxy::{self, Admin};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::server::{Server, free};
use crate::table::{Line, Times};

const REPEATS: usize = 100;
/// Longer than a mesh must rest to count as quiet.
const QUIET: Duration = Duration::from_millis(250);
/// The page that calls the others, and its address in the example.
const POD: &str = "productpage-v1";

/// A route weight and an endpoint in turn, each in a quiet mesh.
pub(crate) async fn line(lines: &mut Vec<Line>) -> Result<()> {
    let envoy = env::var_os("PILOTHOUSE_ENVOY").map(PathBuf::from);
    let envoy = envoy.context("PILOTHOUSE_ENVOY names no Envoy: start this with `cargo xtask bench`")?;
    let mut server = Server::empty()?;
    let claimed =
        |range| Some((range, TcpListener::bind((Ipv4Addr::new(127, 20, range, 254), 15_999)).ok()?));
    let (range, _claim) = (0..=u8::MAX).find_map(claimed).context("no range of 127.20.0.0/16 is free")?;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bookinfo");
    let moved = |text: &str| text.replace("127.18.0.", &format!("127.20.{range}."));
    for entry in fs::read_dir(example.join("config")).context("reading the example")? {
        let entry = entry?;
        server.save(&entry.file_name().to_string_lossy(), &moved(&fs::read_to_string(entry.path())?))?;
    }
    fs::copy(example.join("mesh.yaml"), server.path("mesh.yaml"))?;
    server.start().await?;
    let relay = Relay::start(server.grpc).await?;
    let mut processes = Processes::new(&server.path("logs"))?;
    let result = measure(&server, &relay, &envoy, &mut processes).await;
    processes.end().await;
    let times = result?;
    println!("  a real Envoy, weights and endpoints in turn: {} ms", times.raw());
    lines.push(
        Line::new("file saved → ACK of a real Envoy, quiet, p50 / p99").percentiles(&times, (10.0, 25.0)),
    );
    Ok(())
}

async fn measure(server: &Server, relay: &Relay, envoy: &Path, processes: &mut Processes) -> Result<Times> {
    let pods = testkit::bookinfo::pods::read_pods(&server.path("config"))?;
    let pod = pods.iter().find(|pod| pod.name == POD).context("the example has no such Pod")?;
    let admin = Admin { address: free()?, client: Client::new(Duration::from_secs(5)) };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.args(["bootstrap", "--name", POD, "--namespace", &pod.namespace, "--ip", &pod.ip.to_string()]);
    command.args([
        "--discoveryAddress",
        &relay.address.to_string(),
        "--adminAddress",
        &admin.address.to_string(),
    ]);
    command.args(["--meta", "INTERCEPTION_MODE=NONE"]);
    command
        .args(pod.labels.iter().flat_map(|(name, value)| ["--label".to_owned(), format!("{name}={value}")]));
    fs::write(server.path("envoy.json"), command.output().context("making a bootstrap")?.stdout)?;
    let mut command: Command = proxy::command(envoy, &server.path("envoy.json"));
    processes.start("envoy", &mut command)?;
    let begin = Instant::now();
    while !admin.is_ready().await {
        ensure!(begin.elapsed() < Duration::from_secs(20), "the Envoy is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut times = Times::default();
    for n in 0..REPEATS {
        let (file, text) = if n % 2 == 0 { weight(n)? } else { endpoint(n)? };
        let since = server.save(file, &text)?;
        tokio::time::sleep(QUIET).await;
        let ack = relay.last().filter(|ack| *ack > since).context("the Envoy was silent about a change")?;
        times.0.push(ack.duration_since(since)?);
    }
    ensure!(admin.rejected().await? == 0, "the Envoy rejected an update");
    Ok(times)
}

fn weight(n: usize) -> Result<(&'static str, String)> {
    let share = u32::try_from(n / 2 % 50 + 1)?;
    Ok(("routes-reviews.yaml", edits::canary(100 - share, share)))
}

fn endpoint(n: usize) -> Result<(&'static str, String)> {
    let last = u8::try_from(n % 200 + 1)?;
    Ok(("one-more.yaml", edits::one_more(Ipv4Addr::new(127, 20, 255, last).into())))
}

/// Hands bytes on in both directions and notes when the client sends data, which are its requests and ACKs.
struct Relay {
    address: SocketAddr,
    last: Arc<Mutex<Option<SystemTime>>>,
}

impl Relay {
    async fn start(server: SocketAddr) -> Result<Self> {
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

    fn last(&self) -> Option<SystemTime> {
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
