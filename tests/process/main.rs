//! The program as a person starts it: what it says of its settings and files, whether it is healthy, how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod problems;
mod streams;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

const PILOTHOUSE: &str = env!("CARGO_BIN_EXE_pilothouse");
/// How long anything may take that takes milliseconds when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control plane that ends with the test, its folder, and what it says.
struct Running {
    child: Child,
    folder: TempDir,
    lines: Receiver<String>,
}

impl Running {
    fn start(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("mesh.yaml"), "trustDomain: here\n").unwrap();
        let mut child = Command::new(PILOTHOUSE)
            .arg("discovery")
            .arg("--configDir")
            .arg(folder.path().join("config"))
            .arg("--meshConfig")
            .arg(folder.path().join("mesh.yaml"))
            .args(["--grpcAddr", "127.0.0.1:0", "--httpAddr", "127.0.0.1:0", "--monitoringAddr", ""])
            .args(flags)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, folder, lines }
    }

    /// The next line that has this in it.
    fn says(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("never said: {part}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Where it serves proxies.
    fn address(&self) -> String {
        let line = self.says("serving xDS in plaintext");
        line.rsplit_once("address=").unwrap().1.to_owned()
    }

    fn end(mut self) -> bool {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct Health {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

async fn health(channel: Channel) -> i32 {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = "/grpc.health.v1.Health/Check".parse().unwrap();
    let codec = ProstCodec::<Nothing, Health>::default();
    client.unary(tonic::Request::new(Nothing {}), path, codec).await.unwrap().into_inner().status
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn proxy_status(address: &str) -> Output {
    let arguments = ["proxy-status", "--plaintext", "--xds-address", address];
    Command::new(PILOTHOUSE).args(arguments).output().unwrap()
}

#[test]
fn settings_that_do_nothing_or_cannot_be_read_are_told_at_the_start() {
    let running = Running::start(
        &["--httpsAddr", ":15017", "--secureGRPCAddr", ""],
        &[("PILOT_DEBOUNCE_AFTER", "soon"), ("PILOT_HTTP10", "maybe"), ("ISTIO_GPRC_MAXRECVMSGSIZE", "10")],
    );
    running.says("--httpsAddr: nothing is served there");
    running.says("PILOT_HTTP10: 'maybe' cannot be read; false is used");
    running.says("PILOT_DEBOUNCE_AFTER: 'soon' cannot be read; 20ms is used");
    // The limit of requests is the one that was set, far too small for any.
    let answer = proxy_status(&running.address());
    assert!(!answer.status.success());
    let error = text(&answer.stderr);
    assert!(error.contains("limit") || error.contains("larger"), "{error}");
}

#[tokio::test]
async fn health_follows_readiness_and_a_signal_is_an_orderly_end() {
    let running = Running::start(&[], &[]);
    let channel =
        Channel::from_shared(format!("http://{}", running.address())).unwrap().connect().await.unwrap();
    let end = Instant::now() + PATIENCE;
    while health(channel.clone()).await != SERVING {
        assert!(Instant::now() < end, "never healthy");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(channel);
    assert!(tokio::task::spawn_blocking(|| running.end()).await.unwrap());
}

#[test]
fn a_broken_mesh_configuration_is_told_with_its_place() {
    let running = Running::start(&[], &[]);
    running.address();
    let mesh = running.folder.path().join("mesh.yaml");
    fs::write(&mesh, "trustDomain: there\ndefaultConfig:\n  nonsense: 1\n").unwrap();
    let line = running.says("unknown-field");
    assert!(
        line.contains(&format!("{}:3: MeshConfig mesh: defaultConfig.nonsense: ", mesh.display())),
        "{line}"
    );
    fs::write(&mesh, "a: [\n").unwrap();
    let line = running.says("not-yaml");
    assert!(
        line.contains(&format!("{}:", mesh.display())) && line.contains("what it said before stays"),
        "{line}"
    );
    assert!(translate(running.folder.path()).contains("mesh.yaml:"));
}

fn translate(folder: &Path) -> String {
    let node = folder.join("node.json");
    fs::write(&node, r#"{"id": "sidecar~10.0.0.1~a.b~b.svc.cluster.local"}"#).unwrap();
    let [config, mesh] = ["config", "mesh.yaml"].map(|name| folder.join(name));
    let flags = [("--configDir", &config), ("--meshConfig", &mesh), ("--node", &node)];
    let mut command = Command::new(PILOTHOUSE);
    command.arg("translate");
    for (flag, path) in flags {
        command.arg(flag).arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success());
    text(&output.stderr)
}
