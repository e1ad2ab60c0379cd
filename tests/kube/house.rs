//! What every scenario stands on: the cluster, programs where any user finds them, timed steps, waiting with an end.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};
use testkit::cluster::api::Api;
use testkit::cluster::kubelet::{self, Image, Kubelet};
use testkit::cluster::network::Network;
use testkit::cluster::plane::{Place, Plane};
use testkit::cluster::run;
use testkit::cluster::services::Services;
use testkit::echo::Echo;
use testkit::processes::Processes;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::app;
use crate::means::Means;
use crate::outside::FOLDER;

/// How long anything may take that takes a second when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// The hub of every image; which program an image is, the house knows.
pub(crate) const HUB: &str = "example.test/istio";

/// A cluster with its node, and the programs of an operator.
pub(crate) struct House {
    folder: PathBuf,
    pub(crate) plane: Plane,
    pub(crate) api: Api,
    kubelet: Kubelet,
    _services: Services,
    processes: Processes,
}

impl House {
    /// Starts all of it in the namespaces that we are in.
    pub(crate) async fn start(means: &Means, version: &str) -> Result<Self> {
        let folder = env::var_os(FOLDER).map(PathBuf::from).context("this is started by itself only")?;
        let network = Network::new().await?;
        let programs = Programs::bring(means, &folder).await?;
        let plane = Plane::start(&folder.join("cluster"), &means.kubetest, Place::node()).await?;
        let api = plane.api.clone();
        let hosts = folder.join("hosts");
        fs::write(folder.join("resolv.conf"), RESOLV)?;
        let services = Services::start(&api.client(), hosts.clone())?;
        let pods = folder.join("pods");
        let mut processes = Processes::new(&folder.join("logs"))?;
        processes.start("kubestream", &mut stream(means, &pods, &plane))?;
        let settings =
            kubelet::Settings { folder: pods, images: programs.images(), hosts, version: version.to_owned() };
        let kubelet = Kubelet::start(settings, api.clone(), network).await?;
        Ok(Self { folder, plane, api, kubelet, _services: services, processes })
    }

    /// A program of an operator, as the cluster's administrator runs it.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join("bin").join(name));
        command.env("KUBECONFIG", self.plane.kubeconfig()).env("HOME", &self.folder);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.folder.join("helm"));
        }
        command
    }

    /// What such a program prints with these words.
    pub(crate) async fn ask(&self, name: &str, words: &[&str]) -> Result<String> {
        let output = run(self.tool(name).args(words)).await?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Applies objects as their installer does.
    pub(crate) async fn apply(&self, yaml: &str) -> Result<()> {
        self.hand(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml).await
    }

    /// Deletes the objects of a manifest; those that are gone already are as good.
    pub(crate) async fn delete(&self, yaml: &str) -> Result<()> {
        self.hand(&["delete", "--ignore-not-found", "--wait=false", "-f", "-"], yaml).await
    }

    async fn hand(&self, words: &[&str], yaml: &str) -> Result<()> {
        let mut kubectl = self.tool("kubectl");
        kubectl.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = kubectl.kill_on_drop(true).spawn()?;
        child.stdin.take().context("its input")?.write_all(yaml.as_bytes()).await?;
        let output = child.wait_with_output().await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {complaint}", words.join(" "));
        Ok(())
    }

    /// Folders of Istio's files: `charts`, `gateway-api`.
    pub(crate) fn reference(&self, name: &str) -> PathBuf {
        self.folder.join("reference").join(name)
    }

    /// Waits until all pods of an application are ready; their names.
    pub(crate) async fn until_ready(&self, namespace: &str, label: &str) -> Result<Vec<String>> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={label}");
        let mut names = Vec::new();
        until(&format!("pods of {label} in {namespace} are ready"), async || {
            let list = self.api.get(&path).await?;
            let pods = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            let pods: Vec<&Value> =
                pods.iter().filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none()).collect();
            names = pods.iter().filter_map(|pod| text(pod, "/metadata/name")).collect();
            Ok(!pods.is_empty() && pods.iter().all(|pod| is_ready(pod)))
        })
        .await?;
        Ok(names)
    }

    /// The names of a pod's containers, native sidecars included.
    pub(crate) async fn containers(&self, namespace: &str, pod: &str) -> Result<Vec<String>> {
        let pod = self.api.get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}")).await?;
        let lists = ["/spec/initContainers", "/spec/containers"].map(|list| pod.pointer(list).cloned());
        let all = lists.into_iter().flatten().filter_map(|list| list.as_array().cloned()).flatten();
        Ok(all.filter_map(|container| text(&container, "/name")).collect())
    }

    /// Calls a service by HTTP out of a pod.
    pub(crate) async fn call(&self, namespace: &str, pod: &str, service: &str) -> Result<Echo> {
        let address = self.address(service).await?;
        let mut command = self.in_pod(namespace, pod)?;
        let body = run(command.args(["call", &address, service, "/"])).await?;
        serde_json::from_slice(&body).context("no application answered")
    }

    /// Calls a service out of a pod, so many times a second, until the traffic is ended.
    pub(crate) async fn traffic(
        &self,
        (namespace, pod): (&str, &str),
        service: &str,
        per_second: u32,
    ) -> Result<Traffic> {
        let address = self.address(service).await?;
        let mut command = self.in_pod(namespace, pod)?;
        command.args(["load", &address, service, &per_second.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(Traffic { child: command.spawn().context("starting the traffic")? })
    }

    /// Where a service is called: its address and its first port.
    async fn address(&self, service: &str) -> Result<String> {
        let (name, of) = service.split_once('.').context("a service is named by name.namespace")?;
        let found = self.api.get(&format!("/api/v1/namespaces/{of}/services/{name}")).await?;
        let address = text(&found, "/spec/clusterIP").context("a service has an address")?;
        let port = found.pointer("/spec/ports/0/port").and_then(Value::as_u64).context("a port")?;
        Ok(format!("{address}:{port}"))
    }

    /// This program as somebody in a pod's network, whose words follow.
    fn in_pod(&self, namespace: &str, pod: &str) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.kubelet.network(namespace, pod)?));
        command.args(["setpriv", &format!("--reuid={}", app::USER), "--clear-groups"]);
        command.arg(self.folder.join("bin/application"));
        Ok(command)
    }

    /// Ends the scenario; with `--keep` not before it is told.
    pub(crate) async fn end(self, result: Result<()>, is_kept: bool) -> Result<()> {
        if let Err(error) = &result {
            println!("    FAILED: {error:#}");
            self.print_logs();
        }
        if is_kept {
            println!("    kept: {}/enter [COMMAND] gets in, Ctrl-C ends it", self.folder.display());
            println!("    KUBECONFIG={} inside", self.plane.kubeconfig().display());
            std::future::pending::<()>().await;
        }
        self.kubelet.end().await;
        self.processes.end().await;
        self.plane.end().await;
        result
    }
}

/// Containers whose last words are worth reading when something went wrong.
const TALKERS: [&str; 2] = ["discovery", "istio-proxy"];

impl House {
    fn print_logs(&self) {
        let pods = self.folder.join("pods");
        println!("{}", last_lines(&pods.join("kubelet.log"), 12));
        for pod in fs::read_dir(&pods).into_iter().flatten().flatten() {
            let logs = TALKERS.map(|name| pod.path().join(name).join("log"));
            for log in logs.iter().filter(|log| log.is_file()) {
                println!("    {}:\n{}", log.display(), last_lines(log, 8));
            }
        }
    }
}

/// How private keys in PEM and tokens begin.
const SECRETS: [&str; 3] = ["PRIVATE KEY", "eyJhbGciOi", "Bearer "];

impl House {
    /// An error if a control plane's log has a key or a token in it.
    pub(crate) fn ensure_no_secret_was_told(&self) -> Result<()> {
        let pods = fs::read_dir(self.folder.join("pods")).context("reading the pods' folder")?;
        let logs = pods.flatten().map(|pod| pod.path().join("discovery/log"));
        let logs: Vec<PathBuf> = logs.filter(|log| log.is_file()).collect();
        ensure!(!logs.is_empty(), "no control plane has a log");
        for log in logs {
            let text = fs::read_to_string(&log)?;
            let told = SECRETS.iter().find(|secret| text.contains(**secret));
            ensure!(told.is_none(), "{} has {told:?} in it", log.display());
        }
        Ok(())
    }
}

/// Calls under way.
pub(crate) struct Traffic {
    child: Child,
}

impl Traffic {
    /// Ends it; an error if any call failed, or none was made.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output().await?;
        let report = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let read: Value = serde_json::from_str(&report).with_context(|| format!("a report: {report}"))?;
        println!("              {report}");
        let sent = read.get("sent").and_then(Value::as_u64).unwrap_or_default();
        let has_failed = read.get("failures").is_some_and(|failures| failures != &Value::Object(Map::new()));
        ensure!(sent > 0 && !has_failed, "calls failed: {report}");
        Ok(())
    }
}

/// Names are looked up in the file of hosts; nobody answers as a server of names.
const RESOLV: &str = "nameserver 192.0.2.1
search svc.cluster.local cluster.local
options ndots:2 timeout:1 attempts:1
";

/// The kubelet's half that the API server dials.
fn stream(means: &Means, pods: &Path, plane: &Plane) -> Command {
    let mut command = Command::new(means.kubetest.join("kubestream"));
    command.arg("0.0.0.0:10250").arg(pods);
    command.arg(plane.keys().path("server.crt")).arg(plane.keys().path("server.key"));
    command
}

/// Programs and files, mounted where any user may read them; the mounts are ours alone.
struct Programs {
    folder: PathBuf,
}

impl Programs {
    async fn bring(means: &Means, folder: &Path) -> Result<Self> {
        let programs = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder.join("bin"))?;
        fs::create_dir_all(folder.join("reference"))?;
        run(Command::new("mount").arg("--bind").arg(&means.reference).arg(folder.join("reference"))).await?;
        let ourselves = env::current_exe().context("finding this program")?;
        let pilothouse = PathBuf::from(env!("CARGO_BIN_EXE_pilothouse"));
        let mut all = vec![
            ("envoy", means.envoy.clone()),
            ("kubectl", means.kubectl.clone()),
            ("application", ourselves),
            ("pilothouse", pilothouse),
        ];
        for name in ["pilot-agent", "pilot-discovery", "istioctl", "helm"] {
            all.push((name, means.reference.join(name)));
        }
        for (name, from) in all {
            let to = programs.program(name);
            fs::File::create(&to)?.flush()?;
            run(Command::new("mount").arg("--bind").arg(from).arg(to)).await?;
        }
        Ok(programs)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// Images by a part of their names: what Istio's charts and injection name, and the application's.
    fn images(&self) -> Vec<Image> {
        let image = |part: &str, user: i64, program: &str, words: &[&str], others: &[&str]| {
            let first = if words.is_empty() {
                format!("/usr/local/bin/{program}")
            } else {
                self.program(program).display().to_string()
            };
            let words = words.iter().map(|word| (*word).to_owned());
            Image {
                part: part.to_owned(),
                command: std::iter::once(first).chain(words).collect(),
                user,
                programs: std::iter::once(program)
                    .chain(others.iter().copied())
                    .map(|one| self.program(one))
                    .collect(),
                files: Vec::new(),
            }
        };
        let bootstrap = "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json";
        let proxy = Image {
            files: vec![(bootstrap.to_owned(), self.folder.join("reference/envoy_bootstrap_tmpl.json"))],
            ..image("/proxyv2:", 1337, "pilot-agent", &[], &["envoy"])
        };
        vec![
            proxy,
            image("/pilot:", 1337, "pilot-discovery", &[], &[]),
            image("/pilothouse:", 1337, "pilothouse", &[], &[]),
            image("/echo:", app::USER, "application", &["app"], &[]),
        ]
    }
}

/// Does something and says how long it took.
pub(crate) async fn step<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let begin = Instant::now();
    let result = work.await;
    let verdict = if result.is_ok() { "" } else { " FAILED" };
    println!("    {:>6.2} s  {what}{verdict}", begin.elapsed().as_secs_f64());
    result.with_context(|| what.to_owned())
}

/// Waits until something is so; what it is stands in the error.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<Duration> {
    let begin = Instant::now();
    while !is_so().await.with_context(|| format!("waiting until {what}"))? {
        ensure!(begin.elapsed() < PATIENCE, "in {PATIENCE:?} it did not come about that {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(begin.elapsed())
}

/// Runs a scenario until it is done or somebody interrupts it. The first process of a namespace is told nothing
/// that it does not ask for.
pub(crate) async fn until_told(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("told to end"),
    }
}

/// The text at a pointer.
pub(crate) fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.any(|one| {
        text(one, "/type").as_deref() == Some("Ready") && text(one, "/status").as_deref() == Some("True")
    })
}

fn last_lines(file: &Path, most: usize) -> String {
    let log = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(most)..).unwrap_or_default().join("\n")
}
