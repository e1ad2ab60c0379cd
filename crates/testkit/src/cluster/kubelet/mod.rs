//! A small kubelet: it runs whatever pods the API server holds, each in a network namespace, and says how they do.
//!
//! It is the scheduler too: a pod without a node gets this one. Pods of another scheduler are left alone.

mod container;
mod pod;
mod probe;
mod spec;
mod status;
mod volumes;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::pod::Life;
use super::api::Api;
use super::network::{NODE, Network};
use super::table::{Objects, follow};
use super::{Result, io};
use crate::calls::Client;

/// The node's name.
pub const NAME: &str = "node-1";

/// What stands for a container image on this machine.
#[derive(Clone, Debug)]
pub struct Image {
    /// A part of the image's name.
    pub part: String,
    /// What runs if the container names no command of its own; the first word replaces the command's otherwise.
    pub command: Vec<String>,
    /// The user that the image names.
    pub user: i64,
    /// Programs that are found in `/usr/local/bin`.
    pub programs: Vec<PathBuf>,
    /// Files of the image by their place in it.
    pub files: Vec<(String, PathBuf)>,
}

/// What a kubelet is given.
pub struct Settings {
    /// Everything of the pods is below, as `kubestream` expects it. Every user must be able to reach it.
    pub folder: PathBuf,
    /// Images that can be run.
    pub images: Vec<Image>,
    /// Bound to `/etc/hosts`.
    pub hosts: PathBuf,
    /// The version that the node claims; Istio injects native sidecars by it.
    pub version: String,
}

/// A running kubelet; its pods end with [`Kubelet::end`].
pub struct Kubelet {
    told: watch::Sender<bool>,
    task: JoinHandle<()>,
    node: Arc<Node>,
}

/// What all pods of the node share.
struct Node {
    settings: Settings,
    api: Api,
    network: Network,
    calls: Client,
    journal: Mutex<File>,
    /// How many addresses were given away.
    pods: AtomicU32,
}

impl Kubelet {
    /// Makes the node's object and begins to run pods.
    pub async fn start(settings: Settings, api: Api, network: Network) -> Result<Self> {
        io("making the folder of pods", fs::create_dir_all(&settings.folder))?;
        let journal = io("making the kubelet's log", File::create(settings.folder.join("kubelet.log")))?;
        register(&api, &settings.version).await?;
        let node = Arc::new(Node {
            settings,
            api,
            network,
            calls: Client::new(probe::LIMIT),
            journal: Mutex::new(journal),
            pods: AtomicU32::new(0),
        });
        let (told, end) = watch::channel(false);
        let task = tokio::spawn(keep(node.clone(), end));
        Ok(Self { told, task, node })
    }

    /// Where a container writes.
    pub fn log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.node.settings.folder.join(format!("{namespace}_{pod}")).join(container).join("log")
    }

    /// The file that stands for a pod's network namespace.
    pub fn network(&self, namespace: &str, pod: &str) -> Result<String> {
        let file = self.node.settings.folder.join(format!("{namespace}_{pod}")).join("netns");
        io(format!("looking for the network of {pod} in {namespace}"), fs::read_to_string(file))
    }

    /// Kills what runs in all pods; their objects stay.
    pub async fn end(self) {
        self.told.send_replace(true);
        // It only fails by a panic, which has been printed.
        let _ = self.task.await;
    }
}

impl Node {
    /// Notes what a kubelet would tell in events.
    fn note(&self, text: &str) {
        if let Ok(mut journal) = self.journal.lock() {
            // A full disk must not end pods.
            let _ = writeln!(journal, "{text}");
        }
    }

    /// An address that no pod had, and the name of its interface.
    fn place(&self) -> (String, Ipv4Addr) {
        let number = self.pods.fetch_add(1, Ordering::Relaxed) + 1;
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
        (format!("pod-{number}"), Ipv4Addr::from(first + number))
    }

    fn image(&self, name: &str) -> Option<&Image> {
        self.settings.images.iter().find(|image| name.contains(&image.part))
    }
}

/// A life that goes on, and how it is told that its pod is to go.
struct Lived {
    told: watch::Sender<bool>,
    uid: String,
}

/// Starts and ends lives as the API server's pods come and go.
async fn keep(node: Arc<Node>, mut end: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let mut pods = follow(&mut tasks, kube::Api::<Pod>::all(node.api.client()));
    let mut lives = JoinSet::new();
    let mut lived: BTreeMap<String, Lived> = BTreeMap::new();
    loop {
        let now = pods.borrow_and_update().clone();
        reconcile(&node, &now, &mut lived, &mut lives);
        tokio::select! {
            _ = pods.changed() => {}
            _ = end.changed() => break,
            Some(_) = lives.join_next() => {}
        }
    }
    // Dropped lives kill their processes; the namespaces are the kernel's to take away.
    lives.shutdown().await;
}

fn reconcile(
    node: &Arc<Node>,
    pods: &Objects<Pod>,
    lived: &mut BTreeMap<String, Lived>,
    lives: &mut JoinSet<()>,
) {
    for (key, pod) in pods {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let is_known = lived.get(key).is_some_and(|one| one.uid == uid);
        if pod.metadata.deletion_timestamp.is_some() {
            if let Some(one) = lived.get(key).filter(|_| is_known) {
                one.told.send_if_modified(|told| !std::mem::replace(told, true));
            } else if is_ours(pod) {
                // Deleted before it was run: nobody else lets it go.
                lives.spawn(pod::let_go(node.clone(), pod.clone()));
            }
        } else if !is_known && is_ours(pod) {
            let (told, end) = watch::channel(false);
            if let Some(before) = lived.insert(key.clone(), Lived { told, uid }) {
                before.told.send_replace(true);
            }
            lives.spawn(Life::new(node.clone(), pod.clone(), end).live());
        }
    }
    lived.retain(|key, one| {
        let is_there = pods.contains_key(key);
        if !is_there {
            one.told.send_replace(true);
        }
        is_there
    });
}

fn is_ours(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or("default-scheduler");
    let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or(NAME);
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    scheduler == "default-scheduler" && node == NAME && !["Succeeded", "Failed"].contains(&phase)
}

/// Makes the object of the node: ready, in a zone of a region.
async fn register(api: &Api, version: &str) -> Result<()> {
    let labels = json!({
        "kubernetes.io/hostname": NAME,
        "topology.kubernetes.io/region": "region-1",
        "topology.kubernetes.io/zone": "zone-1",
    });
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME, "labels": labels}});
    api.create("/api/v1/nodes", &node).await?;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": NODE}],
        "conditions": [status::condition("Ready", true)],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": version, "machineID": "", "operatingSystem": "linux",
            "osImage": "", "systemUUID": "",
        },
    }});
    api.merge(&format!("/api/v1/nodes/{NAME}/status"), &status).await.map(drop)
}
