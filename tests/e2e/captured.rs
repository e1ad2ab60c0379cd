//! Pods in network namespaces whose traffic iptables captures: mutual TLS in every mode, and protocols by their bytes.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, ensure};
use testkit::echo::Echo;

use crate::Done;
use crate::certificates::{Root, spiffe};
use crate::house::{self, House, Means, PILOTHOUSE, until};
use crate::network::{Network, PROXY, ROOT, address};
use crate::pod::{self, HTTP, LINES};

const DEMO: &str = "demo";
/// The file with the mesh's mode of mutual TLS.
const MODE: &str = "mode.yaml";
/// Ports of every service: HTTP and lines by their names, then the same without a hint.
const PORTS: [(&str, u16, u16); 4] =
    [("http", 8000, HTTP[0]), ("tcp", 9000, LINES[0]), ("web", 7000, HTTP[1]), ("raw", 7100, LINES[1])];

/// A pod, its service of the same name and its proxy.
struct Pod {
    name: &'static str,
    last: u8,
    /// The account in its certificate; its Pod says `name`. `None`: it has no proxy.
    account: Option<&'static str>,
    is_list: bool,
}

const PODS: [Pod; 4] = [
    Pod { name: "a", last: 11, account: Some("a"), is_list: false },
    Pod { name: "b", last: 12, account: Some("b"), is_list: true },
    // Without a proxy.
    Pod { name: "c", last: 13, account: None, is_list: false },
    // It shows a certificate of somebody else.
    Pod { name: "d", last: 14, account: Some("somebody"), is_list: false },
];

struct Mesh {
    house: House,
    network: Network,
}

pub(crate) async fn run(means: &Means) -> Done {
    if !means.has_namespaces {
        return Ok(Some("network namespaces need root, ip and iptables"));
    }
    let mut mesh = Mesh { house: House::new(means)?, network: Network::new()? };
    let result = mesh.story().await;
    mesh.house.end(result).await.map(|()| None)
}

impl Mesh {
    async fn story(&mut self) -> Result<()> {
        self.start().await?;
        self.permissive().await?;
        self.strict().await?;
        self.disabled().await?;
        self.house.complain_if_ended()?;
        for pod in proxied() {
            let rejected = pod::sum(&self.network, pod.name, "update_rejected$").await?;
            ensure!(rejected == 0, "the Envoy of {} rejected {rejected} updates", pod.name);
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        self.house.save("pods.yaml", &objects())?;
        self.house.save(MODE, &mode("PERMISSIVE"))?;
        fs::write(self.house.path("mesh.yaml"), "rootNamespace: istio-system\n")?;
        // The proxies are not run by root, and come in here for their program, bootstrap and socket.
        fs::set_permissions(self.house.path(""), fs::Permissions::from_mode(0o755))?;
        self.house.bring_envoy()?;
        let control = self.network.inside("hub", ROOT, &self.house.pilothouse(control()));
        self.house.processes.start(PILOTHOUSE, &mut { control })?;
        let root = Root::new()?;
        for pod in &PODS {
            self.start_pod(pod, &root)?;
        }
        for pod in proxied() {
            until(&format!("the Envoy of {} is ready", pod.name), async || {
                self.house.complain_if_ended()?;
                Ok(pod::admin(&self.network, pod.name, "/ready").await.is_ok())
            })
            .await?;
        }
        Ok(())
    }

    fn start_pod(&mut self, pod: &Pod, root: &Root) -> Result<()> {
        let Pod { name, last, .. } = *pod;
        self.network.add(name, last)?;
        let mut application = self.network.inside(name, ROOT, &pod::ourselves(&["echo", name])?);
        self.house.processes.start(&format!("app-{name}"), &mut application)?;
        let Some(account) = pod.account else { return Ok(()) };
        self.network.capture(name)?;
        let socket = self.house.path(&format!("{name}.sock"));
        pod::agent(&socket, root.identity(DEMO, account)?)?;
        let bootstrap = pod::with_agent(&house::bootstrap(&words(pod))?, &socket)?;
        let envoy = self.house.envoy(name, &bootstrap)?;
        let mut envoy = self.network.inside(name, PROXY, &envoy);
        self.house.processes.start(&format!("envoy-{name}"), &mut envoy).context("starting Envoy")
    }

    /// Whoever has a certificate shows it, and whoever has none is let in.
    async fn permissive(&self) -> Result<()> {
        self.until_called("a", "b", Some("a")).await?;
        self.until_called("b", "a", Some("b")).await?;
        self.until_called("c", "b", None).await?;
        self.proxies_speak_tls(true).await?;
        for (name, ..) in PORTS {
            ensure!(self.answers("c", "b", name).await, "PERMISSIVE: c is not let in at {name}");
        }
        // A pod that is no service's: passed through.
        let to = SocketAddr::new(address(13), HTTP[0]);
        pod::get(&self.network, "a", to, "c", "/").await.context("calling a pod by its address")?;
        // The certificate must be of the account that the endpoint runs as.
        let refused = self.http("a", "d").await;
        ensure!(refused.is_err(), "a believed somebody else's certificate: {refused:?}");
        Ok(())
    }

    /// Nobody is let in without a certificate, whatever is spoken.
    async fn strict(&self) -> Result<()> {
        self.house.save(MODE, &mode("STRICT"))?;
        until("c is refused", async || Ok(self.http("c", "b").await.is_err())).await?;
        for (name, ..) in PORTS {
            ensure!(!self.answers("c", "b", name).await, "STRICT: c is let in at {name}");
        }
        self.until_called("a", "b", Some("a")).await?;
        self.until_called("b", "a", Some("b")).await?;
        self.proxies_speak_tls(true).await
    }

    /// Nobody shows a certificate any more, also those who have one.
    async fn disabled(&self) -> Result<()> {
        self.house.save(MODE, &mode("DISABLE"))?;
        self.until_called("a", "b", None).await?;
        self.until_called("c", "b", None).await?;
        self.until_called("a", "d", None).await?;
        self.proxies_speak_tls(false).await
    }

    /// Every port of b answers a, and the handshakes of a's clusters show how.
    async fn proxies_speak_tls(&self, does: bool) -> Result<()> {
        for (name, port, _) in PORTS {
            let counter = format!("^cluster.outbound.{port}..b.*ssl.handshake$");
            let before = pod::sum(&self.network, "a", &counter).await?;
            ensure!(self.answers("a", "b", name).await, "a gets no answer at {name}");
            let after = pod::sum(&self.network, "a", &counter).await?;
            // Connections of HTTP are kept, so that only bare ones shake hands at each call.
            let is_tls = if name == "tcp" || name == "raw" { after > before } else { after > 0 };
            ensure!(
                is_tls == does || (!does && after == before),
                "{name}: handshakes {before}, then {after}"
            );
        }
        Ok(())
    }

    /// Whether a port of a service answers as its application would.
    async fn answers(&self, from: &str, to: &'static str, name: &str) -> bool {
        let Some((_, port, target)) = PORTS.iter().find(|(one, ..)| *one == name) else { return false };
        let at = way(from, to, *port, *target);
        if name == "http" || name == "web" {
            let host = format!("{to}.{DEMO}:{port}");
            return pod::get(&self.network, from, at, &host, "/")
                .await
                .is_ok_and(|body| body.contains("\"name\""));
        }
        let answer = pod::ask(&self.network, from, &["say", &at.to_string()]).await;
        answer.is_ok_and(|line| line == format!("{to}: hello"))
    }

    /// Waits until calls by HTTP are answered, and the application is told this caller.
    async fn until_called(&self, from: &str, to: &'static str, caller: Option<&str>) -> Result<()> {
        let mut last = "none".to_owned();
        let what = format!("{to} is called by {from}, seen as {caller:?}");
        let waited = until(&what, async || {
            let answer = self.http(from, to).await;
            let is_it = answer.as_ref().is_ok_and(|echo| is_called(echo, to, caller));
            last = answer.map_or_else(|error| format!("{error:#}"), |echo| format!("{echo:?}"));
            Ok(is_it)
        });
        waited.await.with_context(|| format!("the last answer: {last}")).map(drop)
    }

    async fn http(&self, from: &str, to: &'static str) -> Result<Echo> {
        let at = way(from, to, 8000, HTTP[0]);
        let body = pod::get(&self.network, from, at, &format!("{to}.{DEMO}:8000"), "/").await?;
        serde_json::from_str(&body).with_context(|| format!("no application answered: {body}"))
    }
}

/// Whether the right application answered, and knows by both certificates who called whom.
fn is_called(echo: &Echo, to: &str, caller: Option<&str>) -> bool {
    let is_known = match (&echo.caller, caller) {
        (None, None) => true,
        (Some(text), Some(caller)) => {
            text.contains(&format!("By={}", spiffe(DEMO, to)))
                && text.contains(&format!("URI={}", spiffe(DEMO, caller)))
        }
        _ => false,
    };
    echo.name == to && is_known
}

fn proxied() -> impl Iterator<Item = &'static Pod> {
    PODS.iter().filter(|pod| pod.account.is_some())
}

fn control() -> SocketAddr {
    SocketAddr::new(address(1), 15_010)
}

fn words(pod: &Pod) -> Vec<String> {
    let Pod { name, last, .. } = pod;
    let mut words = format!(
        "--type sidecar --name {name} --namespace {DEMO} --ip {} --serviceAccount {name} --discoveryAddress {} \
         --adminAddress {} --label app={name}",
        address(*last),
        control(),
        pod::ADMIN
    );
    if pod.is_list {
        words += " --stateOfTheWorld";
    }
    words.split(' ').map(str::to_owned).collect()
}

/// What a pod dials to reach another one: its service, or, where no proxy would know that, its own address.
fn way(from: &str, to: &str, port: u16, target: u16) -> SocketAddr {
    let last = PODS.iter().find(|pod| pod.name == to).map_or(0, |pod| pod.last);
    if proxied().any(|pod| pod.name == from) {
        service(last, port)
    } else {
        SocketAddr::new(address(last), target)
    }
}

/// A service's address, which no interface has.
fn service(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 96, 2, last], port))
}

fn objects() -> String {
    let mut text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {DEMO}}}\n");
    for pod in &PODS {
        let Pod { name, last, account, .. } = pod;
        let ports =
            PORTS.map(|(name, port, target)| format!("{{name: {name}, port: {port}, targetPort: {target}}}"));
        let mode = if account.is_some() { ", security.istio.io/tlsMode: istio" } else { "" };
        text += &format!(
            "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {DEMO}}}
spec: {{clusterIP: {vip}, selector: {{app: {name}}}, ports: [{ports}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {DEMO}, labels: {{app: {name}{mode}}}}}
spec: {{serviceAccountName: {name}, containers: [{{name: app, image: app}}]}}
status: {{phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]}}
",
            vip = service(*last, 0).ip(),
            ports = ports.join(", "),
            ip = address(*last),
        );
    }
    text
}

fn mode(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-system}}
spec: {{mtls: {{mode: {mode}}}}}
"
    )
}
