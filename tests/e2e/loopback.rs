//! Bookinfo on loopback addresses under steady traffic: a canary, endpoints, a broken file, a killed control plane.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::bookinfo::App;
use testkit::bookinfo::edits::{canary, one_more};
use testkit::bookinfo::pods::{Pod, read_pods};
use testkit::calls::{Answer, headers};
use testkit::load::{Flow, Report, Target, burst};
use testkit::proxy::Admin;
use tokio::task::JoinSet;

use crate::Done;
use crate::house::{self, House, Means, PILOTHOUSE, until};

/// Calls a second from the first step to the last.
const STEADY: u32 = 200;
/// For at least so long.
const LONG: Duration = Duration::from_secs(16);
/// Calls in one measurement of shares, and by how many points it may be off (almost five standard deviations).
const CALLS: usize = 1_000;
const OFF: f64 = 6.0;
/// The file that says who gets which reviews.
const ROUTES: &str = "routes-reviews.yaml";
/// What an Envoy may hear of a control plane that has nothing new: frames and empty answers.
const SMALL_TALK: u64 = 1_000;

/// The mesh of this scenario.
struct Mesh {
    house: House,
    pods: Vec<(Pod, Admin)>,
    apps: JoinSet<std::io::Result<()>>,
    /// The third number of its addresses.
    range: u8,
    _claim: TcpListener,
    is_list: bool,
}

/// Everything in order, under one flow of traffic that must not have a single failure.
pub(crate) async fn run(means: &Means, is_list: bool) -> Done {
    let mut mesh = Mesh::new(means, is_list)?;
    let result = mesh.story().await;
    mesh.apps.abort_all();
    mesh.house.end(result).await.map(|()| None)
}

impl Mesh {
    /// Copies the example into the first range of addresses that nobody uses.
    fn new(means: &Means, is_list: bool) -> Result<Self> {
        let house = House::new(means)?;
        let free =
            |range| Some((range, TcpListener::bind((Ipv4Addr::new(127, 19, range, 254), 15_999)).ok()?));
        let (range, claim) = (0..=u8::MAX).find_map(free).context("no range of 127.19.0.0/16 is free")?;
        let example = crate::repository().join("examples/bookinfo");
        let moved = |text: &str| text.replace("127.18.0.", &format!("127.19.{range}."));
        for (name, text) in house::read_tree(&example.join("config"))? {
            house.save(&name.to_string_lossy(), &moved(&text))?;
        }
        std::fs::copy(example.join("mesh.yaml"), house.path("mesh.yaml"))?;
        let pods = read_pods(&house.path("config")).context("reading the Pods of the example")?;
        let admin = |pod: &Pod| Admin { address: (pod.ip, 15_000).into(), client: house.client.clone() };
        let pods = pods.into_iter().map(|pod| (pod.clone(), admin(&pod))).collect();
        Ok(Self { house, pods, apps: JoinSet::new(), range, _claim: claim, is_list })
    }

    async fn story(&mut self) -> Result<()> {
        self.start().await?;
        let begin = Instant::now();
        let flow = Flow::start(self.house.client.clone(), self.reviews(), STEADY);
        self.canary().await?;
        self.endpoints().await?;
        self.broken_file().await?;
        self.restart().await?;
        tokio::time::sleep(LONG.saturating_sub(begin.elapsed())).await;
        let report = flow.stop().await;
        println!(
            "    {} calls in {:.1} s, {} failed",
            report.sent,
            report.took.as_secs_f64(),
            report.failed()
        );
        ensure!(report.failed() == 0, "calls failed: {:?}", report.failures);
        let most = f64::from(STEADY) * report.took.as_secs_f64();
        ensure!(report.sent as f64 > 0.8 * most, "only {} of {most:.0} calls were made", report.sent);
        self.house.complain_if_ended()?;
        self.nothing_rejected().await
    }

    async fn start(&mut self) -> Result<()> {
        let pods: Vec<Pod> = self.pods.iter().map(|(pod, _)| pod.clone()).collect();
        for pod in pods.iter().filter(|pod| !pod.is_gateway()) {
            self.start_app(pod.label("app"), pod.label("version"), (pod.ip, 3000).into())?;
        }
        self.start_pilothouse()?;
        for (pod, admin) in &self.pods {
            let bootstrap = house::bootstrap(&self.words(pod, admin.address))?;
            let mut envoy = self.house.envoy(&pod.name, &bootstrap)?;
            self.house.processes.start(&format!("envoy-{}", pod.name), &mut envoy)?;
        }
        until("every Envoy is ready", async || {
            self.house.complain_if_ended()?;
            Ok(all(&self.pods, Admin::is_ready).await)
        })
        .await?;
        until("all versions answer", async || Ok(self.some_answers().await.kinds.len() == 3)).await?;
        until("the gateway leads to them", async || {
            Ok(burst(&self.house.client, &self.gateway(), 10, 1).await.failed() == 0)
        })
        .await?;
        self.nothing_rejected().await
    }

    fn start_app(&mut self, service: &str, version: &str, at: SocketAddr) -> Result<()> {
        let service = service.parse().map_err(anyhow::Error::msg)?;
        let app = App { service, version: version.to_owned(), outbound: SocketAddr::new(at.ip(), 9080) };
        let listener = TcpListener::bind(at).with_context(|| format!("listening on {at}"))?;
        listener.set_nonblocking(true)?;
        self.apps.spawn(app.serve(tokio::net::TcpListener::from_std(listener)?));
        Ok(())
    }

    fn start_pilothouse(&mut self) -> Result<()> {
        let mut command = self.house.pilothouse(self.address(2, 15_010));
        self.house.processes.start(PILOTHOUSE, &mut command).context("starting Pilothouse")
    }

    fn words(&self, pod: &Pod, admin: SocketAddr) -> Vec<String> {
        let kind = if pod.is_gateway() { "router" } else { "sidecar" };
        let discovery = self.address(2, 15_010);
        let mut words = format!(
            "--type {kind} --name {} --namespace {} --ip {} --serviceAccount {} --discoveryAddress {discovery} \
             --adminAddress {admin}",
            pod.name, pod.namespace, pod.ip, pod.service_account
        );
        for (name, value) in &pod.labels {
            words += &format!(" --label {name}={value}");
        }
        if !pod.is_gateway() {
            words += " --meta INTERCEPTION_MODE=NONE";
        }
        if self.is_list {
            words += " --stateOfTheWorld";
        }
        words.split(' ').map(str::to_owned).collect()
    }

    /// 80/20, 50/50 and back, with the shares measured.
    async fn canary(&mut self) -> Result<()> {
        for (stays, goes) in [(80, 20), (50, 50), (80, 20)] {
            self.move_to(stays, goes).await?;
            let report = burst(&self.house.client, &self.reviews(), CALLS, 8).await;
            let shares = [report.share("v1"), report.share("v3")];
            println!("    {stays}/{goes}: {:.1}/{:.1}", shares[0], shares[1]);
            let off = (shares[1] - f64::from(goes)).abs();
            ensure!(report.failed() == 0, "calls failed: {:?}", report.failures);
            ensure!(off < OFF, "{stays}/{goes} was asked for, {:?} came", report.kinds);
        }
        Ok(())
    }

    async fn move_to(&self, stays: u32, goes: u32) -> Result<()> {
        let before = self.routes().await?;
        self.house.save(ROUTES, &canary(stays, goes))?;
        let took = until("new routes arrive", async || Ok(self.routes().await? > before)).await?;
        println!("    routes were there after {:.1} ms", took.as_secs_f64() * 1000.0);
        Ok(())
    }

    /// Updates of the outbound routes that the calling Envoy has accepted.
    async fn routes(&self) -> Result<u64> {
        Ok(self.admin("productpage-v1")?.sum(r"rds\.9080\.update_success$").await?)
    }

    /// One more endpoint of v1 comes and goes; nothing but endpoints moves.
    async fn endpoints(&mut self) -> Result<()> {
        let at = self.address(24, 8080);
        self.start_app("reviews", "v1b", at)?;
        let before = self.held(BUT_ENDPOINTS).await?;
        self.house.save("one-more.yaml", &one_more(at.ip()))?;
        let came = until("the new endpoint answers", async || {
            Ok(self.some_answers().await.kinds.contains_key("v1b"))
        });
        came.await?;
        std::fs::remove_file(self.house.path("config/one-more.yaml"))?;
        let went = until("the endpoint is left alone", async || {
            Ok(!self.some_answers().await.kinds.contains_key("v1b"))
        });
        went.await?;
        let after = self.held(BUT_ENDPOINTS).await?;
        ensure!(before == after, "an endpoint moved more than endpoints: {:?}", differences(&before, &after));
        Ok(())
    }

    /// A file that cannot be read is told and changes nothing.
    async fn broken_file(&self) -> Result<()> {
        let before = self.house.log(PILOTHOUSE).len();
        let counted = self.received().await?;
        let steps = crate::repository().join("examples/bookinfo/steps");
        self.house.save(ROUTES, &std::fs::read_to_string(steps.join("reviews-broken.yaml"))?)?;
        until("Pilothouse complains about the file", async || {
            Ok(self.house.log(PILOTHOUSE).get(before..).unwrap_or_default().contains(ROUTES))
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let report = self.some_answers().await;
        ensure!(report.failed() == 0 && !report.kinds.contains_key("v2"), "traffic moved: {report:?}");
        self.house.save(ROUTES, &canary(80, 20))?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let heard: u64 = differences(&counted, &self.received().await?).values().sum();
        ensure!(heard < SMALL_TALK, "the Envoys heard {heard} bytes of a file that says nothing new");
        Ok(())
    }

    /// Killed and started with nothing new, nothing is sent again; with one route changed, that one.
    async fn restart(&mut self) -> Result<()> {
        let first = self.received().await?;
        let held = self.taken().await?;
        self.killed().await?;
        self.start_pilothouse()?;
        self.until_connected().await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let heard = differences(&first, &self.received().await?);
        let most = heard.values().max().copied().unwrap_or_default();
        println!(
            "    at most {most} bytes after a restart, of {} before it",
            first.values().max().copied().unwrap_or_default()
        );
        ensure!(self.is_list || most < SMALL_TALK, "an Envoy that held everything was sent {most} bytes");
        let again = self.taken().await?;
        ensure!(held == again, "something was sent again: {:?}", differences(&held, &again));
        self.killed().await?;
        self.house.save(ROUTES, &canary(50, 50))?;
        self.start_pilothouse()?;
        self.until_connected().await?;
        until("the missed edit arrives", async || {
            Ok(differences(&held, &self.taken().await?).keys().any(|name| name.ends_with("config_reload")))
        })
        .await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let moved = differences(&held, &self.taken().await?);
        ensure!(
            moved.keys().all(|name| name.contains(".rds.9080.")),
            "more than the edit was sent: {moved:?}"
        );
        Ok(())
    }

    async fn killed(&mut self) -> Result<()> {
        self.house.processes.kill(PILOTHOUSE).await?;
        until("every Envoy notices", async || {
            for (_, admin) in &self.pods {
                if admin.is_connected().await {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await?;
        // Traffic goes on for a while without anybody in control.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    async fn until_connected(&mut self) -> Result<()> {
        until("every Envoy is back", async || {
            self.house.complain_if_ended()?;
            Ok(all(&self.pods, Admin::is_connected).await)
        })
        .await
        .map(drop)
    }

    /// Calls of reviews through the proxy of the page.
    fn reviews(&self) -> Target {
        Target {
            address: self.address(11, 9080),
            path: "/reviews/0".to_owned(),
            headers: headers("reviews:9080", None),
            kind,
        }
    }

    /// The same reviews from outside, through the gateway and the page.
    fn gateway(&self) -> Target {
        Target {
            address: self.address(1, 8080),
            path: "/api/v1/products/0/reviews".to_owned(),
            headers: headers("bookinfo.example", None),
            kind,
        }
    }

    async fn some_answers(&self) -> Report {
        burst(&self.house.client, &self.reviews(), 60, 4).await
    }

    /// Bytes from the control plane, by Pod.
    async fn received(&self) -> Result<BTreeMap<String, u64>> {
        self.held(r"^cluster\.xds-grpc\.upstream_cx_rx_bytes_total$").await
    }

    /// Counters of all Envoys, by Pod and name.
    async fn held(&self, names: &str) -> Result<BTreeMap<String, u64>> {
        let mut counters = BTreeMap::new();
        for (pod, admin) in &self.pods {
            let stats = admin.stats(names).await.context("reading Envoy's statistics")?;
            counters.extend(stats.into_iter().map(|(name, count)| (format!("{} {name}", pod.name), count)));
        }
        Ok(counters)
    }

    /// Counters of what the Envoys have taken.
    async fn taken(&self) -> Result<BTreeMap<String, u64>> {
        self.held(if self.is_list { TAKEN_OF_LISTS } else { TAKEN }).await
    }

    async fn nothing_rejected(&self) -> Result<()> {
        house::nothing_rejected(self.pods.iter().map(|(pod, admin)| (pod.name.as_str(), admin))).await
    }

    fn admin(&self, pod: &str) -> Result<&Admin> {
        let found = self.pods.iter().find(|(one, _)| one.name == pod);
        found.map(|(_, admin)| admin).with_context(|| format!("no Pod named {pod}"))
    }

    fn address(&self, last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, 19, self.range, last), port).into()
    }
}

/// Counters that move when an Envoy takes a cluster, a listener, routes or endpoints.
const TAKEN: &str = r"^cluster_manager\.cluster_(added|modified|removed)$|^listener_manager\.listener_(added|modified|removed)$|config_reload$|^cluster\.outbound.*\.update_success$";

/// The same without endpoints.
const BUT_ENDPOINTS: &str = r"^cluster_manager\.cluster_(added|modified|removed)$|^listener_manager\.listener_(added|modified|removed)$|config_reload$";

/// The same for state of the world, where a version proves that a client holds all clusters or all listeners; of
/// endpoints and routes it may hold some of those that it asks for, so they are sent again.
const TAKEN_OF_LISTS: &str =
    r"^cluster_manager\.cds\.update_success$|^listener_manager\.lds\.update_success$|config_reload$";

/// What is different, and by how much.
fn differences(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let old = |name: &String| before.get(name).copied().unwrap_or_default();
    let moved = after.iter().map(|(name, count)| (name.clone(), count.saturating_sub(old(name))));
    moved.filter(|(_, by)| *by > 0).collect()
}

async fn all(pods: &[(Pod, Admin)], is_so: impl AsyncFn(&Admin) -> bool) -> bool {
    for (_, admin) in pods {
        if !is_so(admin).await {
            return false;
        }
    }
    true
}

/// The version of reviews that answered.
fn kind(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body.get("version").and_then(Value::as_str).unwrap_or("no version").to_owned()
}
