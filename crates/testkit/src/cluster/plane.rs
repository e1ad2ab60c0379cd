//! The control plane: etcd, kube-apiserver and, if wanted, kube-controller-manager, each a process of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::api::Api;
use super::network::NODE;
use super::pki::{ADMIN_TOKEN, Files};
use super::{Error, Result, io};
use crate::processes::Processes;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is not needed, and would hold up whatever nobody plays.
const ADMISSION_OFF: &str = "StorageObjectInUseProtection";

/// Without these nothing that the chart installs comes to life: the others are for nodes and storage.
const CONTROLLERS: &str = "endpointslice-controller,endpoints-controller,serviceaccount-controller,\
                           root-ca-certificate-publisher-controller,namespace-controller,\
                           clusterrole-aggregation-controller,garbage-collector-controller,\
                           deployment-controller,replicaset-controller";

/// Where a control plane listens.
#[derive(Clone, Debug)]
pub struct Place {
    /// Known to clients and pods.
    pub address: Ipv4Addr,
    /// The API's port.
    pub port: u16,
    /// Ports of etcd for clients and for peers, and of the controller manager; all on loopback.
    others: [u16; 3],
}

impl Place {
    /// The node of a network of our own, with a cluster's usual ports.
    pub fn node() -> Self {
        Self { address: NODE, port: 6443, others: [2379, 2380, 10_257] }
    }

    /// Loopback with ports that nobody has.
    pub fn loopback() -> Result<Self> {
        let listeners = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let mut ports = [0; 4];
        for (port, listener) in ports.iter_mut().zip(&listeners) {
            let address = listener.as_ref().map_err(|error| Error::refused("finding a port", error))?;
            *port = io("finding a port", address.local_addr())?.port();
        }
        let [port, others @ ..] = ports;
        Ok(Self { address: Ipv4Addr::LOCALHOST, port, others })
    }

    fn is_loopback(&self) -> bool {
        self.address.is_loopback()
    }
}

/// A running control plane; it ends with this value.
pub struct Plane {
    folder: PathBuf,
    program: PathBuf,
    place: Place,
    keys: Files,
    processes: Processes,
    /// A connection with all rights.
    pub api: Api,
}

impl Plane {
    /// Starts all of it in a folder and waits until it answers. `programs` is the folder of `kubetest`.
    pub async fn start(folder: &Path, programs: &Path, place: Place) -> Result<Self> {
        let keys = Files::make(&folder.join("keys"), &[place.address, Ipv4Addr::LOCALHOST])?;
        let kubeconfig = kubeconfig(&place, &keys);
        io("writing the kubeconfig", fs::write(folder.join("kubeconfig"), &kubeconfig))?;
        io("writing the audit policy", fs::write(folder.join("audit.yaml"), AUDIT))?;
        let mut plane = Self {
            folder: folder.to_owned(),
            program: programs.join("kubetest"),
            processes: io("making a folder for logs", Processes::new(&folder.join("logs")))?,
            api: Api::connect(&kubeconfig).await?,
            place,
            keys,
        };
        plane.start_etcd()?;
        plane.start_api().await?;
        plane.start_controllers()?;
        Ok(plane)
    }

    /// The file with which `kubectl` and others find the API, with all rights.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Where the API server notes every request, a JSON object on each line.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Keys and certificates.
    pub fn keys(&self) -> &Files {
        &self.keys
    }

    /// Where a part writes: `etcd`, `kube-apiserver`, `kube-controller-manager`.
    pub fn log(&self, part: &str) -> PathBuf {
        self.processes.log(part)
    }

    /// Kills the API server; what etcd has stays.
    pub async fn kill_api(&mut self) -> Result<()> {
        io("killing the API server", self.processes.kill("kube-apiserver").await)
    }

    /// Starts the API server and waits until it is ready.
    pub async fn start_api(&mut self) -> Result<()> {
        let mut command = self.part("kube-apiserver");
        let Place { address, port, others: [etcd, ..] } = self.place;
        let bind = if self.place.is_loopback() { address } else { Ipv4Addr::UNSPECIFIED };
        let file = |name: &str| self.keys.path(name).display().to_string();
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            format!("--bind-address={bind}"),
            format!("--advertise-address={address}"),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            format!("--audit-log-path={}", self.audit_log().display()),
            format!("--audit-policy-file={}", self.folder.join("audit.yaml").display()),
            format!("--disable-admission-plugins={ADMISSION_OFF}"),
        ]);
        command.args([
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--max-requests-inflight=800",
            "--max-mutating-requests-inflight=400",
        ]);
        if !self.place.is_loopback() {
            // Webhooks by Service are dialled at the service's endpoints, since nothing routes its address yet.
            command
                .args(["--enable-aggregator-routing=true", "--kubelet-preferred-address-types=InternalIP"]);
        }
        io("starting the API server", self.processes.start("kube-apiserver", &mut command))?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.is_ready().await {
            if let Some((name, status)) = self.processes.ended() {
                return Err(Error::refused(format!("starting {name}"), self.complaint(&name, status)));
            }
            if begin.elapsed() > PATIENCE {
                return Err(Error::Late { what: "the API server is ready".into(), limit: PATIENCE });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
        self.api.client().request_text(request).await.is_ok_and(|text| text == "ok")
    }

    fn complaint(&self, name: &str, status: std::process::ExitStatus) -> String {
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(6)..).unwrap_or_default().join("\n");
        format!("it ended with {status}:\n{last}")
    }

    fn start_etcd(&mut self) -> Result<()> {
        let mut command = self.part("etcd");
        let [clients, peers, _] = self.place.others;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        command.arg("--data-dir").arg(self.folder.join("etcd"));
        command.args(["--listen-client-urls", &at(clients), "--advertise-client-urls", &at(clients)]);
        command.args(["--listen-peer-urls", &at(peers), "--initial-advertise-peer-urls", &at(peers)]);
        command.args(["--initial-cluster", &format!("default={}", at(peers))]);
        // Nothing here has to survive the machine.
        command.args(["--unsafe-no-fsync", "--quota-backend-bytes=4294967296", "--log-level=warn"]);
        io("starting etcd", self.processes.start("etcd", &mut command))
    }

    fn start_controllers(&mut self) -> Result<()> {
        let mut command = self.part("kube-controller-manager");
        let file = |name: &str| self.keys.path(name).display().to_string();
        command.args([
            format!("--kubeconfig={}", self.kubeconfig().display()),
            format!("--service-account-private-key-file={}", file("accounts.key")),
            format!("--root-ca-file={}", file("ca.crt")),
            format!("--secure-port={}", self.place.others[2]),
            format!("--controllers={CONTROLLERS}"),
        ]);
        command.args([
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ]);
        io("starting the controllers", self.processes.start("kube-controller-manager", &mut command))
    }

    fn part(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).current_dir(&self.folder);
        command
    }

    /// Ends all of it and waits until it is gone.
    pub async fn end(self) {
        self.processes.end().await;
    }
}

/// Who did what to what, for everything that changes something, and for whoever is a service account.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [admin], verbs: [get, list, watch]}
- {level: None, userGroups: [system:unauthenticated]}
- {level: None, nonResourceURLs: ['/healthz*', '/readyz*', '/livez*']}
- {level: Metadata}
";

fn kubeconfig(place: &Place, keys: &Files) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: 'https://{}:{}', certificate-authority: '{}'}}}}]
users: [{{name: admin, user: {{token: {ADMIN_TOKEN}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]
current-context: test
",
        place.address,
        place.port,
        keys.path("ca.crt").display()
    )
}
