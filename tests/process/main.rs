//! The program as a person starts it: what it says of its settings and files, whether it is healthy, how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod api;
mod clients;
mod flags;
mod identity;
mod injection;
mod problems;
mod streams;
mod webhooks;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
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
        Self::start_in(tempfile::tempdir().unwrap(), flags, environment)
    }

    /// One with its folder in a folder, in which it runs.
    fn start_in(folder: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        fs::create_dir(folder.path().join("config")).unwrap();
        let config = folder.path().join("config");
        Self::of(folder, &[&["--configDir", config.to_str().unwrap()][..], flags].concat(), environment)
    }

    /// One of a cluster, which the flags name.
    fn of_cluster(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(tempfile::tempdir().unwrap(), flags, environment)
    }

    fn of(folder: TempDir, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        fs::write(folder.path().join("mesh.yaml"), "trustDomain: here\n").unwrap();
        let mut child = Command::new(PILOTHOUSE)
            .arg("discovery")
            .arg("--meshConfig")
            .arg(folder.path().join("mesh.yaml"))
            .args(["--grpcAddr", "127.0.0.1:0", "--httpAddr", "127.0.0.1:0", "--monitoringAddr", ""])
            .args(flags)
            .envs(environment.iter().copied())
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = testkit::processes::lines(child.stderr.take().unwrap());
        Self { child, folder, lines }
    }

    /// The next line that has this in it.
    fn says(&self, part: &str) -> String {
        let [line] = self.says_all([part]);
        line
    }

    /// The next lines that have these in them, in whatever order they come.
    fn says_all<const N: usize>(&self, parts: [&str; N]) -> [String; N] {
        let end = Instant::now() + PATIENCE;
        let mut found = parts.map(|_| String::new());
        while let Some((missing, _)) = parts.iter().zip(&found).find(|(_, found)| found.is_empty()) {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("never said: {missing}"));
            let mut places = parts.iter().zip(&mut found);
            if let Some((_, place)) = places.find(|(part, place)| place.is_empty() && line.contains(**part)) {
                *place = line;
            }
        }
        found
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
fn settings_that_cannot_be_read_are_told_at_the_start() {
    let running = Running::start(
        &["--secureGRPCAddr", ""],
        &[("PILOT_DEBOUNCE_AFTER", "soon"), ("PILOT_HTTP10", "maybe"), ("ISTIO_GPRC_MAXRECVMSGSIZE", "10")],
    );
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
        line.contains(&format!("{}:", mesh.display())) && line.contains("what it said before holds"),
        "{line}"
    );
    assert!(translate(running.folder.path()).contains("mesh.yaml:"));
    fs::remove_file(&mesh).unwrap();
    running.says("there is no such file; what it said before holds [file-gone]");
    running
        .says("this is not seen any more, since there is no such file; what it said before holds [not-yaml]");
    fs::write(&mesh, "trustDomain: there\n").unwrap();
    running.says("MeshConfig mesh: this is not wrong any more [file-gone]");
}

#[test]
fn an_empty_folder_is_ready_and_what_becomes_of_it_is_told() {
    let running = Running::start(&["--log_output_level", "default:debug,nonsense:debug"], &[]);
    running.says("no scope 'nonsense'");
    let [http, grpc, line] = running.says_all(["serving readiness", "serving xDS", "pilothouse "]);
    let [http, grpc] = [http, grpc].map(|line| line.rsplit_once("address=").unwrap().1.to_owned());
    let config = running.folder.path().join("config");
    assert!(line.contains(&*config.to_string_lossy()) && line.contains(" 0 objects of 0 files"), "{line}");
    shows(&http, "/ready", "HTTP/1.1 200 ");
    let broken =
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec: {egress: 1}\n";
    fs::write(config.join("a.yaml"), broken).unwrap();
    running.says("a.yaml:4: Sidecar default/a: spec.egress: ");
    fs::write(config.join("a.yaml"), broken.replace("{egress: 1}", "{}")).unwrap();
    running.says("a.yaml:4: Sidecar default/a: spec.egress: this is not wrong any more [wrong-type]");
    running.says("1 objects changed, 0 removed: Sidecar default/a");
    fs::write(config.join("c\n\u{1b}[31m.YAML"), "kind: [").unwrap();
    running.says(r"c\n\u{1b}[31m.YAML:1: not YAML: ");
    fs::remove_file(config.join("c\n\u{1b}[31m.YAML")).unwrap();
    running.says(r"[31m.YAML:1: this is not wrong any more");
    std::os::unix::fs::symlink("nothing", config.join("b.yaml")).unwrap();
    running.says("b.yaml: the link leads to nothing; nothing of it is served [dangling-link]");
    assert!(proxy_status(&grpc).status.success());
    running.says_all(["somebody asks", "somebody has asked"]);
    shows(&http, "/debug/problems", "\"dangling-link\"");
    shows(&http, "/metrics", "pilothouse_problems{code=\"dangling-link\",severity=\"error\"} 1");
}

/// Waits until a page has this in it.
fn shows(address: &str, path: &str, part: &str) {
    let end = Instant::now() + PATIENCE;
    while !get(address, path).contains(part) {
        assert!(Instant::now() < end, "{path} never shows {part}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
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
