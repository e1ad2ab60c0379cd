//! Started while the API server is away: what was read before is served, known proxies are let in, nothing is emptied.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use http::HeaderMap;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use testkit::agent::{Agent, Shown};
use testkit::calls::Client;
use testkit::cluster::plane::{Place, Plane};
use testkit::processes::Processes;
use tokio::process::Command;

use crate::house::{step, text, until};
use crate::means::Means;
use crate::mesh::SYSTEM;

const NAME: &str = "pilothouse";
/// How long a start may take without an API server.
const LIMIT: Duration = Duration::from_secs(1);

pub(crate) async fn run(means: &Means, is_kept: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    // In fresh namespaces loopback is down.
    testkit::cluster::run(Command::new("ip").args(["link", "set", "lo", "up"])).await?;
    let plane = step("the API server is ready", async {
        Ok(Plane::start(&folder.path().join("cluster"), &means.kubetest, Place::loopback()?).await?)
    })
    .await?;
    let mut away = Away::new(plane, folder.path())?;
    let result = away.story().await;
    if is_kept {
        println!("    KUBECONFIG={}", away.plane.kubeconfig().display());
        std::future::pending::<()>().await;
    }
    if result.is_err() {
        println!("{}", fs::read_to_string(away.processes.log(NAME)).unwrap_or_default());
    }
    away.processes.end().await;
    away.plane.end().await;
    result
}

/// An API server that comes and goes, and Pilothouse as a process beside it.
struct Away {
    plane: Plane,
    folder: PathBuf,
    processes: Processes,
    http: String,
    tls: String,
}

impl Away {
    fn new(plane: Plane, folder: &Path) -> Result<Self> {
        let free = || -> Result<String> {
            Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string())
        };
        fs::create_dir(folder.join("state"))?;
        let processes = Processes::new(&folder.join("logs"))?;
        Ok(Self { plane, folder: folder.to_owned(), processes, http: free()?, tls: free()? })
    }

    async fn story(&mut self) -> Result<()> {
        // Given a control plane that has read a cluster, and a proxy that it knows.
        step("a service and an account are there", self.fill()).await?;
        step("Pilothouse is ready", self.start()).await?;
        let key = KeyPair::generate()?;
        let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
        let chain = step("a proxy gets a certificate by its token", self.certificate(&csr)).await?;
        let (own, roots) = (chain.concat(), chain.last().cloned().context("a root")?);
        let known = Shown { chain: &own, key: &key.serialize_pem() };
        let proxy = Agent::new(&self.tls, &roots, Some(known)).map_err(|error| anyhow!(error))?;
        let none = BTreeMap::new();
        let held = step("it gets its clusters", async { Ok(proxy.clusters("web", &none).await?) }).await?;
        ensure!(held.keys().any(|name| name.contains("shop.web")), "{held:?}");
        let state = self.folder.join("state/cluster-state");
        step("the state is on disk", until("it is there", async || Ok(state.is_file()))).await?;
        // When the API server goes away and Pilothouse is started again,
        step("the API server is killed", async { Ok(self.plane.kill_api().await?) }).await?;
        self.processes.kill(NAME).await?;
        let begin = Instant::now();
        step("Pilothouse is ready again", self.start()).await?;
        // then it serves at once what it had read, to whom it knows, and says how old that is;
        let proxy = Agent::new(&self.tls, &roots, Some(known)).map_err(|error| anyhow!(error))?;
        let again = step("the proxy is let in", until_let_in(&proxy, &none)).await?;
        let took = begin.elapsed();
        ensure!(took < LIMIT, "it took {took:?} until the proxy was let in");
        ensure!(again == held, "sent something else than before: {again:?}");
        let sent = proxy.clusters("web", &held).await?;
        ensure!(sent.is_empty(), "sent what the proxy holds: {sent:?}");
        let ready = self.page("/ready").await?;
        ensure!(ready.contains("seconds ago"), "/ready says: {ready}");
        let stranger = Agent::new(&self.tls, &roots, None).map_err(|error| anyhow!(error))?;
        let refused = stranger.certificate(csr.clone(), Some("a.new.token")).await;
        ensure!(refused.is_err(), "a token that nobody could look at was believed");
        // and when the API server is back, all goes on as before.
        step("the API server is back", async { Ok(self.plane.start_api().await?) }).await?;
        let more = json!({"metadata": {"name": "more"}, "spec": {"ports": [{"port": 80}]}});
        self.plane.api.create("/api/v1/namespaces/web/services", &more).await?;
        step("what is new comes, and nothing is gone", async {
            let is_there = until("the new service is served", async || {
                let all = proxy.clusters("web", &none).await?;
                ensure!(all.keys().any(|name| name.contains("shop.web")), "emptied: {all:?}");
                Ok(all.keys().any(|name| name.contains("more.web")))
            });
            is_there.await.map(drop)
        })
        .await?;
        step("certificates are issued again", self.certificate(&csr)).await.map(drop)
    }

    async fn fill(&self) -> Result<()> {
        for name in [SYSTEM, "web"] {
            self.plane.api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await?;
        }
        let shop = json!({"metadata": {"name": "shop"}, "spec": {"ports": [{"name": "http", "port": 80}]}});
        self.plane.api.create("/api/v1/namespaces/web/services", &shop).await?;
        let account = "/api/v1/namespaces/web/serviceaccounts/default";
        until("there is an account", async || Ok(self.plane.api.find(account).await?.is_some())).await?;
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command.arg("discovery").arg("--kubeconfig").arg(self.plane.kubeconfig());
        command.arg("--stateDir").arg(self.folder.join("state"));
        command.args(["--httpAddr", &self.http, "--secureGRPCAddr", &self.tls, "--httpsAddr", ""]);
        command.args(["--grpcAddr", "", "--monitoringAddr", ""]).current_dir(&self.folder);
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs([("POD_NAMESPACE", SYSTEM), ("CLUSTER_ID", "Kubernetes")]);
        self.processes.start(NAME, &mut command)?;
        until("it is ready", async || Ok(self.page("/ready").await.is_ok())).await.map(drop)
    }

    /// A page that is answered with success.
    async fn page(&self, path: &str) -> Result<String> {
        let client = Client::new(Duration::from_secs(5));
        let answer = client.get(self.http.parse()?, path, &HeaderMap::new()).await?;
        ensure!(answer.status.is_success(), "{path}: {}", answer.status);
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// A certificate of the proxy's account, asked for as its agent does.
    async fn certificate(&self, csr: &str) -> Result<Vec<String>> {
        let path = "/api/v1/namespaces/web/serviceaccounts/default/token";
        let wanted = json!({"spec": {"audiences": ["istio-ca"]}});
        let answer: Value = self.plane.api.create(path, &wanted).await?;
        let token = text(&answer, "/status/token").context("a token")?;
        let roots = self.folder.join("state/root-cert.pem");
        let mut chain = Vec::new();
        until("a certificate is issued", async || {
            let Ok(roots) = fs::read_to_string(&roots) else { return Ok(false) };
            let agent = Agent::new(&self.tls, &roots, None).map_err(|error| anyhow!(error))?;
            chain = agent.certificate(csr.to_owned(), Some(&token)).await.unwrap_or_default();
            Ok(!chain.is_empty())
        })
        .await?;
        Ok(chain)
    }
}

async fn until_let_in(proxy: &Agent, held: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let mut sent = BTreeMap::new();
    until("the proxy is let in", async || {
        sent = proxy.clusters("web", held).await.unwrap_or_default();
        Ok(!sent.is_empty())
    })
    .await?;
    Ok(sent)
}
