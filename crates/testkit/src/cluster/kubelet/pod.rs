//! The life of one pod: bound, started, watched, restarted, ended.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;

use super::container::{Place, Running};
use super::spec::{self, is_sidecar};
use super::status::{self, Condition};
use super::volumes::Volumes;
use super::{NAME, Node, probe};
use crate::cluster::{Error, Result, io, run};

/// How often a pod is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long a native sidecar may take to start.
const START: Duration = Duration::from_secs(60);

/// A pod with all that was made for it.
pub(super) struct Life {
    node: Arc<Node>,
    /// As it was last read.
    pod: Pod,
    /// True once the pod is to go.
    end: watch::Receiver<bool>,
    network: String,
    address: Ipv4Addr,
    folder: PathBuf,
    running: Vec<Running>,
    conditions: BTreeMap<String, Condition>,
    /// As it was last written.
    status: Value,
}

impl Life {
    pub(super) fn new(node: Arc<Node>, pod: Arc<Pod>, end: watch::Receiver<bool>) -> Self {
        let (network, address) = node.place();
        let meta = &pod.metadata;
        let name = |text: &Option<String>| text.clone().unwrap_or_default();
        let folder = node.settings.folder.join(format!("{}_{}", name(&meta.namespace), name(&meta.name)));
        Self {
            node,
            pod: pod.as_ref().clone(),
            end,
            network,
            address,
            folder,
            running: Vec::new(),
            conditions: BTreeMap::new(),
            status: Value::Null,
        }
    }

    /// From the first to the last; whatever goes wrong is noted, and the pod stays unready.
    pub(super) async fn live(mut self) {
        let mut end = self.end.clone();
        let told = async move { end.wait_for(|told| *told).await.map(drop) };
        let mut told = std::pin::pin!(told);
        tokio::select! {
            result = self.run() => {
                if let Err(error) = result {
                    self.note(&format!("failed: {error}"));
                }
                let _ = told.as_mut().await;
            }
            _ = told.as_mut() => {}
        }
        if let Err(error) = self.end().await {
            self.note(&format!("not ended in order: {error}"));
        }
    }

    async fn run(&mut self) -> Result<()> {
        let begin = Instant::now();
        self.settle().await?;
        let spec = spec::of(&self.pod);
        for container in spec.init_containers.iter().flatten() {
            self.start(container).await?;
            if is_sidecar(container) {
                self.until_started(container).await?
            } else {
                self.until_done().await?
            }
        }
        for container in &spec.containers {
            self.start(container).await?;
        }
        let mut is_told = false;
        loop {
            self.restart().await?;
            self.look().await;
            let is_ready = self.tell().await?;
            if is_ready && !is_told {
                self.note(&format!("ready after {} ms", begin.elapsed().as_millis()));
                is_told = true;
            }
            tokio::time::sleep(if is_told { 5 * TICK } else { TICK }).await;
        }
    }

    /// Binds the pod, gives it a network and an address, and fills its volumes.
    async fn settle(&mut self) -> Result<()> {
        if spec::of(&self.pod).node_name.is_none() {
            let name = self.pod.metadata.name.clone();
            let target = json!({"apiVersion": "v1", "kind": "Node", "name": NAME});
            let binding =
                json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
            self.node.api.create(&self.path("/binding"), &binding).await?;
        }
        self.node.network.add(&self.network, self.address).await?;
        for one in spec::of(&self.pod).security_context.iter().flat_map(|one| one.sysctls.iter().flatten()) {
            let mut write = self.node.network.inside(&self.network);
            let file = format!("/proc/sys/{}", one.name.replace('.', "/"));
            run(write.args(["sh", "-c", "echo \"$1\" > \"$2\"", "sh", &one.value, &file])).await?;
        }
        self.tell().await?;
        let pod = self.node.api.get(&self.path("")).await?;
        self.pod = serde_json::from_value(pod).map_err(|error| Error::refused("reading a pod", error))?;
        io("making a pod's folder", std::fs::create_dir_all(&self.folder))?;
        let file = self.node.network.file(&self.network).display().to_string();
        io("noting a pod's network", std::fs::write(self.folder.join("netns"), file))?;
        self.fill_volumes().await;
        Ok(())
    }

    /// Fills the volumes; what a pod wants and nobody has made yet is waited for, as long as the pod is there.
    async fn fill_volumes(&self) {
        let volumes = Volumes { api: &self.node.api, pod: &self.pod };
        for volume in spec::of(&self.pod).volumes.iter().flatten() {
            let at = self.folder.join("volumes").join(&volume.name);
            let mut is_noted = false;
            while let Err(error) = volumes.fill(volume, &at).await {
                if !std::mem::replace(&mut is_noted, true) {
                    self.note(&format!("waits: {error}"));
                }
                tokio::time::sleep(TICK).await;
            }
        }
    }

    async fn start(&mut self, container: &Container) -> Result<()> {
        let place = Place { node: &self.node, pod: &self.pod, network: &self.network, folder: &self.folder };
        let running = place.start(container).await?;
        self.note(&format!("{} is process {}", container.name, running.pid));
        self.running.push(running);
        self.conditions.entry(container.name.clone()).or_default().is_running = true;
        Ok(())
    }

    /// Waits for the container that was started last.
    async fn until_done(&mut self) -> Result<()> {
        let Some(mut last) = self.running.pop() else { return Ok(()) };
        let status = last.wait().await?;
        let name = &last.container.name;
        if !status.success() {
            return Err(Error::refused(format!("init container {name}"), status));
        }
        self.conditions.insert(name.clone(), Condition { is_ready: true, ..Condition::default() });
        Ok(())
    }

    async fn until_started(&mut self, container: &Container) -> Result<()> {
        let begin = Instant::now();
        while !probe::has_started(&self.node.calls, self.address, container).await {
            if begin.elapsed() > START {
                return Err(Error::Late { what: format!("{} has started", container.name), limit: START });
            }
            self.restart().await?;
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Starts anew what ended by itself.
    async fn restart(&mut self) -> Result<()> {
        let Some(place) = self.running.iter_mut().position(|one| one.ended().is_some()) else {
            return Ok(());
        };
        let ended = self.running.swap_remove(place).container;
        self.note(&format!("{} ended by itself and is started again", ended.name));
        let condition = self.conditions.entry(ended.name.clone()).or_default();
        *condition = Condition { restarts: condition.restarts + 1, ..Condition::default() };
        self.tell().await?;
        tokio::time::sleep(2 * TICK).await;
        self.start(&ended).await
    }

    /// Probes what runs.
    async fn look(&mut self) {
        for one in &self.running {
            let is_ready = probe::is_ready(&self.node.calls, self.address, &one.container).await;
            self.conditions.entry(one.container.name.clone()).or_default().is_ready = is_ready;
        }
    }

    /// Writes the status if it is another one; says whether the pod is ready. An API server that is away is
    /// told later.
    async fn tell(&mut self) -> Result<bool> {
        let known = |name: &str| self.conditions.get(name).copied();
        let status = status::pod(&spec::of(&self.pod), self.address, known);
        let is_ready = status.pointer("/status/conditions/3/status") == Some(&Value::from("True"));
        if status != self.status && self.node.api.merge(&self.path("/status"), &status).await.is_ok() {
            self.status = status;
        }
        Ok(is_ready)
    }

    /// Ends what runs, within the pod's grace, then lets the pod go.
    async fn end(&mut self) -> Result<()> {
        let grace = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        let grace = Duration::from_secs(grace.and_then(|grace| u64::try_from(grace).ok()).unwrap_or(30));
        let (sidecars, main): (Vec<_>, Vec<_>) =
            self.running.drain(..).partition(|one| is_sidecar(&one.container));
        for mut group in [main, sidecars] {
            let pause = group.iter().map(|one| spec::pause(&one.container)).max().unwrap_or_default();
            tokio::time::sleep(pause.min(grace)).await;
            for one in &group {
                one.terminate().await;
            }
            let all = async {
                for one in &mut group {
                    // What cannot be waited for is killed below.
                    let _ = one.wait().await;
                }
            };
            let _ = tokio::time::timeout(grace, all).await;
        }
        self.kill_all().await?;
        self.node.network.remove(&self.network).await?;
        self.note("ended");
        // A pod of the same name may be in its place by now.
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        self.node.api.delete_if(&self.path(""), uid).await
    }

    /// Kills whatever is left in the pod's network, children of children too.
    async fn kill_all(&self) -> Result<()> {
        let pids = run(Command::new("ip").args(["netns", "pids", &self.network])).await?;
        for pid in String::from_utf8_lossy(&pids).split_whitespace() {
            // Gone already is as good.
            let _ = Command::new("kill").args(["-KILL", pid]).status().await;
        }
        Ok(())
    }

    fn path(&self, rest: &str) -> String {
        format!("{}{rest}", path(&self.pod))
    }

    fn note(&self, text: &str) {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        self.node.note(&format!("{name} ({}, {}): {text}", self.network, self.address));
    }
}

/// Lets a pod go that never ran.
pub(super) async fn let_go(node: Arc<Node>, pod: Arc<Pod>) {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    if let Err(error) = node.api.delete_if(&path(&pod), uid).await {
        node.note(&error.to_string());
    }
}

fn path(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("/api/v1/namespaces/{}/pods/{}", part(&meta.namespace), part(&meta.name))
}
