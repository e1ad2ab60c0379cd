//! The demo's processes: Pilothouse, the Envoys and the application, found in the example's own Pods.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use testkit::bookinfo::pods::{Pod, read_pods};
use testkit::calls::Client;
use testkit::processes::Processes;
use testkit::proxy::{self, Admin};
use tokio::process::Command;

use super::place::Place;

/// The name of the control plane among the processes.
const PILOTHOUSE: &str = "pilothouse";

/// This very program, even if a build has put another in its place.
const OURSELVES: &str = "/proc/self/exe";

/// How long anything may take that takes milliseconds when all is well.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// One Envoy and the Pod that it plays the proxy of.
pub(super) struct Proxy {
    pub(super) pod: Pod,
    pub(super) admin: Admin,
}

/// Everything that runs.
pub(super) struct Mesh {
    pub(super) place: Place,
    pub(super) client: Client,
    pub(super) proxies: Vec<Proxy>,
    envoy: PathBuf,
    pilothouse: PathBuf,
    processes: Processes,
}

impl Mesh {
    /// Reads the Pods; nothing runs yet.
    pub(super) fn new(place: Place, envoy: PathBuf, pilothouse: PathBuf) -> Result<Self> {
        let client = Client::new(Duration::from_secs(10));
        let pods = read_pods(&place.config()).context("reading the Pods of the example")?;
        let proxy = |pod: Pod| {
            let admin = Admin { address: SocketAddr::new(pod.ip, 15_000), client: client.clone() };
            Proxy { pod, admin }
        };
        let processes = Processes::new(&place.run()).context("making the folder for logs")?;
        let proxies = pods.into_iter().map(proxy).collect();
        Ok(Self { place, client, proxies, envoy, pilothouse, processes })
    }

    /// Starts the application, one process a Pod but for the gateway's.
    pub(super) fn start_apps(&mut self) -> Result<()> {
        for pod in self.proxies.iter().map(|proxy| &proxy.pod).filter(|pod| !pod.is_gateway()) {
            let mut command = Command::new(OURSELVES);
            command.args(["app", "--service", pod.label("app"), "--version", pod.label("version")]);
            command.args([
                "--listen",
                &format!("{}:3000", pod.ip),
                "--outbound",
                &format!("{}:9080", pod.ip),
            ]);
            self.processes.start(&format!("app-{}", pod.name), &mut command).context("starting the app")?;
        }
        Ok(())
    }

    /// Starts Pilothouse on the folder.
    pub(super) fn start_pilothouse(&mut self) -> Result<()> {
        let mut command = Command::new(&self.pilothouse);
        command.arg("discovery").arg("--configDir").arg(self.place.config());
        command.arg("--meshConfig").arg(self.place.mesh_config());
        command.args(["--grpcAddr", &self.grpc().to_string()]);
        command.args(["--httpAddr", &self.place.address(2, 8080).to_string()]);
        command.args(["--monitoringAddr", &self.place.address(2, 15_014).to_string()]);
        command.args(["--httpsAddr", "", "--secureGRPCAddr", ""]);
        let started = self.processes.start(PILOTHOUSE, &mut command);
        started.with_context(|| format!("starting {}", self.pilothouse.display()))
    }

    /// Kills Pilothouse as a crash would.
    pub(super) async fn kill_pilothouse(&mut self) -> Result<()> {
        self.processes.kill(PILOTHOUSE).await.context("killing Pilothouse")
    }

    /// Writes each Envoy's bootstrap with `pilothouse bootstrap` and starts it.
    pub(super) fn start_envoys(&mut self) -> Result<()> {
        for proxy in &self.proxies {
            let pod = &proxy.pod;
            let bootstrap = super::output(&mut self.bootstrap(pod, proxy.admin.address))?;
            let file = self.place.run().join(format!("{}.json", pod.name));
            fs::write(&file, bootstrap).with_context(|| format!("writing {}", file.display()))?;
            let mut command = proxy::command(&self.envoy, &file);
            self.processes.start(&format!("envoy-{}", pod.name), &mut command).context("starting Envoy")?;
        }
        Ok(())
    }

    fn bootstrap(&self, pod: &Pod, admin: SocketAddr) -> std::process::Command {
        let mut command = std::process::Command::new(&self.pilothouse);
        command.args(["bootstrap", "--type", if pod.is_gateway() { "router" } else { "sidecar" }]);
        command.args(["--name", &pod.name, "--namespace", &pod.namespace, "--ip", &pod.ip.to_string()]);
        command.args(["--serviceAccount", &pod.service_account]);
        command.args(["--discoveryAddress", &self.grpc().to_string(), "--adminAddress", &admin.to_string()]);
        for (name, value) in &pod.labels {
            command.args(["--label", &format!("{name}={value}")]);
        }
        if !pod.is_gateway() {
            command.args(["--meta", "INTERCEPTION_MODE=NONE"]);
        }
        command
    }

    /// Waits until every Envoy has all its listeners; a process that ends meanwhile is an error.
    pub(super) async fn until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while let Some(name) = self.first_unready().await {
            self.complain_if_ended()?;
            if start.elapsed() > PATIENCE {
                let log = self.log(&format!("envoy-{name}"));
                bail!("the Envoy of {name} is not ready after {PATIENCE:?}; its log is {}", log.display());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn first_unready(&self) -> Option<String> {
        for proxy in &self.proxies {
            if !proxy.admin.is_ready().await {
                return Some(proxy.pod.name.clone());
            }
        }
        None
    }

    /// An error that names a process which ended by itself, with the end of its log.
    pub(super) fn complain_if_ended(&mut self) -> Result<()> {
        let Some((name, status)) = self.processes.ended() else { return Ok(()) };
        let log = fs::read_to_string(self.log(&name)).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} ended by itself ({status}):\n{}", last.join("\n"))
    }

    /// Waits for a process to end by itself, which none should.
    pub(super) async fn until_something_ends(&mut self) -> (String, ExitStatus) {
        loop {
            if let Some(ended) = self.processes.ended() {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The proxy of a Pod.
    pub(super) fn proxy(&self, pod: &str) -> Result<&Proxy> {
        self.proxies.iter().find(|proxy| proxy.pod.name == pod).with_context(|| format!("no Pod named {pod}"))
    }

    /// Where a process writes.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.processes.log(name)
    }

    /// What Pilothouse has written so far.
    pub(super) fn pilothouse_log(&self) -> String {
        fs::read_to_string(self.log(PILOTHOUSE)).unwrap_or_default()
    }

    /// The table that `pilothouse proxy-status` prints.
    pub(super) fn status(&self) -> Result<String> {
        let mut command = std::process::Command::new(&self.pilothouse);
        command.args(["proxy-status", "--plaintext", "--xds-address", &self.grpc().to_string()]);
        Ok(String::from_utf8_lossy(&super::output(&mut command)?).into_owned())
    }

    /// Ends every process.
    pub(super) async fn end(self) {
        self.processes.end().await;
    }

    fn grpc(&self) -> SocketAddr {
        self.place.address(2, 15_010)
    }
}
