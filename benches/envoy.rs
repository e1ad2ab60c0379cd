//! From a file saved to the ACK of a real Envoy: Bookinfo's first page on a loopback address, and a relay between
//! its Envoy and the control plane that sees when the Envoy speaks.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use testkit::bookinfo::edits;
use testkit::calls::Client;
use testkit::processes::Processes;
use testkit::proxy::{self, Admin};

use crate::relay::Relay;
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
    let labels =
        pod.labels.iter().flat_map(|(name, value)| ["--label".to_owned(), format!("{name}={value}")]);
    let mut words = ["--name", POD, "--namespace", &pod.namespace, "--ip", &pod.ip.to_string()]
        .map(str::to_owned)
        .to_vec();
    words.extend(labels);
    let admin = start(envoy, relay, &words, &server.path("envoy.json"), processes).await?;
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

/// Starts an Envoy whose control plane is behind the relay, and waits until it has what it wants. The words say who
/// it is (`pilothouse bootstrap`); it captures nothing.
pub(crate) async fn start(
    envoy: &Path,
    relay: &Relay,
    words: &[String],
    bootstrap: &Path,
    processes: &mut Processes,
) -> Result<Admin> {
    let admin = Admin { address: free()?, client: Client::new(Duration::from_secs(5)) };
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pilothouse"));
    command.arg("bootstrap").args(words).args(["--meta", "INTERCEPTION_MODE=NONE"]);
    command.args(["--discoveryAddress", &relay.address.to_string()]);
    command.args(["--adminAddress", &admin.address.to_string()]);
    fs::write(bootstrap, command.output().context("making a bootstrap")?.stdout)?;
    processes.start("envoy", &mut proxy::command(envoy, bootstrap))?;
    let begin = Instant::now();
    while !admin.is_ready().await {
        ensure!(begin.elapsed() < Duration::from_secs(20), "the Envoy is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(admin)
}

fn weight(n: usize) -> Result<(&'static str, String)> {
    let share = u32::try_from(n / 2 % 50 + 1)?;
    Ok(("routes-reviews.yaml", edits::canary(100 - share, share)))
}

fn endpoint(n: usize) -> Result<(&'static str, String)> {
    let last = u8::try_from(n % 200 + 1)?;
    Ok(("one-more.yaml", edits::one_more(Ipv4Addr::new(127, 20, 255, last).into())))
}
