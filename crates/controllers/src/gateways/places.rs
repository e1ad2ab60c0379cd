//! Where gateways of a revision run, and which Deployments they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use mesh::Snapshot;
use model::kube::Pod;
use model::revision::{REVISION, Revision};

use crate::error::Error;
use crate::pace::wait;
use crate::store::{Key, Resource, Store};
use crate::trouble::Trouble;

/// By these labels the pods of gateways are known: those of Istio's charts, of its operator, and of the Gateway API's own.
const COMPONENT: &str = "operator.istio.io/component";
const COMPONENTS: [&str; 2] = ["IngressGateways", "EgressGateways"];
const OF_GATEWAY_API: [&str; 2] = ["gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name"];
const KIND: &str = "istio";

/// A Deployment that is a gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Pods of gateways by namespace and workload.
type Pods = BTreeMap<(String, String), BTreeSet<String>>;

/// The namespaces of gateways with their Deployments, whenever they are others.
pub(crate) fn places(
    store: Store,
    revision: Revision,
    snapshots: impl Stream<Item = Arc<Snapshot>> + Send + Unpin + 'static,
) -> impl Stream<Item = BTreeMap<String, BTreeSet<Owner>>> + Send + Unpin {
    let mut before: Option<Arc<Snapshot>> = None;
    let pods = snapshots.filter_map(move |now| {
        let is_same = |before: &Arc<Snapshot>| before.config.pods.changed(&now.config.pods).is_empty();
        let pods = (!before.as_ref().is_some_and(is_same)).then(|| pods(&now, &revision));
        before = Some(now);
        std::future::ready(pods)
    });
    let known = Known {
        store,
        pods: Pods::new(),
        owners: BTreeMap::new(),
        trouble: Trouble::new("gateways' Deployments"),
    };
    stream::unfold((known, pods.boxed()), |(mut known, mut pods)| async {
        loop {
            let next = pods.next().await?;
            if next != known.pods {
                known.take(next).await;
                return Some((known.places(), (known, pods)));
            }
        }
    })
    .boxed()
}

/// The pods of gateways in a state of the mesh.
fn pods(snapshot: &Snapshot, revision: &Revision) -> Pods {
    let map = revision.named("istio");
    let cluster = &snapshot.config.settings.cluster;
    let mut pods = Pods::new();
    for (key, pod) in snapshot.config.pods.iter() {
        if key.cluster == *cluster && !pod.ended && !pod.terminating && is_gateway(pod, revision, &map) {
            let workload = (key.namespace.to_string(), pod.workload.to_string());
            pods.entry(workload).or_default().insert(key.name.to_string());
        }
    }
    pods
}

/// Whether a pod is a gateway of the revision: it mounts the revision's mesh configuration, or its labels say so.
fn is_gateway(pod: &Pod, revision: &Revision, map: &str) -> bool {
    let labels = &pod.meta.labels;
    let is_of_revision = labels.get(REVISION) == Some(revision.name());
    let is_labelled = || {
        labels.get(COMPONENT).is_some_and(|component| COMPONENTS.contains(&component))
            || labels.get(KIND).is_some_and(|kind| kind.ends_with("gateway"))
            || OF_GATEWAY_API.iter().any(|label| labels.get(label).is_some())
    };
    &*pod.mesh_map == map || (is_of_revision && is_labelled())
}

struct Known {
    store: Store,
    pods: Pods,
    owners: BTreeMap<(String, String), Option<Owner>>,
    trouble: Trouble,
}

impl Known {
    /// Finds the Deployments of workloads that are new, or have other pods: a Deployment may have been made anew.
    async fn take(&mut self, pods: Pods) {
        self.owners.retain(|workload, _| pods.contains_key(workload));
        for (workload, names) in &pods {
            if self.pods.get(workload) != Some(names) {
                let owner = self.owner(workload).await;
                self.owners.insert(workload.clone(), owner);
            }
        }
        self.pods = pods;
    }

    /// The Deployment of this name; `None` if the workload is something else, or we may not look.
    async fn owner(&mut self, (namespace, name): &(String, String)) -> Option<Owner> {
        let key = Key::new(Resource::DEPLOYMENT, namespace, name);
        let mut failures = 0;
        loop {
            match self.store.get(&key).await {
                Ok(found) => {
                    self.trouble.is_well();
                    let uid = found?["metadata"]["uid"].as_str()?.to_owned();
                    return Some(Owner { name: name.clone(), uid });
                }
                Err(error) => {
                    self.trouble.failed(&error.reason(), &error);
                    if is_final(&error) {
                        return None;
                    }
                }
            }
            failures += 1;
            tokio::time::sleep(wait(failures)).await;
        }
    }

    fn places(&self) -> BTreeMap<String, BTreeSet<Owner>> {
        let mut places = BTreeMap::<String, BTreeSet<Owner>>::new();
        for ((namespace, _), owner) in &self.owners {
            places.entry(namespace.clone()).or_default().extend(owner.clone());
        }
        places
    }
}

/// Whether it is of no use to ask again.
fn is_final(error: &Error) -> bool {
    error.code() == Some(403)
}

#[cfg(test)]
mod tests {
    use model::key::{Created, Meta};
    use model::settings::Settings;
    use model::{Change, Key as ModelKey, Kind, Labels, Value};
    use serde_json::json;

    use super::*;
    use crate::testing::Cluster;

    fn pod(name: &str, mesh_map: &str, labels: &[(&str, &str)]) -> Pod {
        let key =
            ModelKey { cluster: "c".into(), kind: Kind::Pod, namespace: "team".into(), name: name.into() };
        Pod {
            meta: Meta {
                key,
                created: Created::default(),
                labels: labels.iter().copied().collect::<Labels>(),
                annotations: Labels::default(),
                api_version: "v1".into(),
            },
            ips: Vec::new(),
            service_account: "".into(),
            node: "".into(),
            workload: "gateway".into(),
            ports: Vec::new(),
            hostname: "".into(),
            subdomain: "".into(),
            mesh_map: mesh_map.into(),
            ready: false,
            ended: false,
            terminating: false,
            host_network: false,
        }
    }

    #[test]
    fn a_gateway_is_known_by_its_mount_or_its_labels() {
        let rev = (REVISION, "1-9-1");
        for (mesh_map, labels, is) in [
            ("istio-1-9-1", &[][..], true),
            ("istio-1-9-2", &[], false),
            ("", &[rev], false),
            ("", &[rev, ("istio", "ingressgateway")], true),
            ("", &[rev, ("istio", "pilot")], false),
            ("", &[("istio", "ingressgateway")], false),
            ("", &[(REVISION, "1-9-2"), ("istio", "ingressgateway")], false),
            ("", &[rev, (COMPONENT, "EgressGateways")], true),
            ("", &[rev, ("gateway.networking.k8s.io/gateway-name", "a")], true),
        ] {
            let pod = pod("a", mesh_map, labels);
            assert_eq!(is_gateway(&pod, &Revision::new("1-9-1"), "istio-1-9-1"), is, "{mesh_map} {labels:?}");
        }
    }

    fn with(snapshot: &Snapshot, pods: &[Pod]) -> Arc<Snapshot> {
        let mut config = snapshot.config.clone();
        let settings = Settings { cluster: "c".into(), ..Settings::default() };
        config.settings = Arc::new(settings).into();
        for pod in pods {
            let (key, value) = (pod.meta.key.clone(), Some(Value::Pod(pod.clone().into())));
            config.apply(Change { key, value, origin: Arc::default(), problems: Vec::new() });
        }
        Arc::new(snapshot.next(config))
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_is_looked_up_anew_when_its_pods_are_others() {
        let cluster = Cluster::new();
        let deployment =
            |uid: &str| json!({"metadata": {"namespace": "team", "name": "gateway", "uid": uid}});
        cluster.put(Resource::DEPLOYMENT, deployment("1"));
        cluster.refuse(http::Method::GET, "deployments", 500, "InternalError");
        let (sender, receiver) = futures::channel::mpsc::channel(8);
        let mut places = places(cluster.store(), Revision::new("1-9-1"), receiver);
        let mut sender: futures::channel::mpsc::Sender<Arc<Snapshot>> = sender;
        let first = with(&Snapshot::default(), &[pod("a", "istio-1-9-1", &[]), pod("x", "", &[])]);
        sender.try_send(Arc::clone(&first)).unwrap();
        let owners = |uid: &str| BTreeSet::from([Owner { name: "gateway".into(), uid: uid.into() }]);
        assert_eq!(places.next().await.unwrap(), BTreeMap::from([("team".to_owned(), owners("1"))]));
        // Another pod that is no gateway says nothing new.
        sender.try_send(with(&first, &[pod("y", "", &[])])).unwrap();
        cluster.delete(&Key::new(Resource::DEPLOYMENT, "team", "gateway"));
        cluster.put(Resource::DEPLOYMENT, deployment("2"));
        sender.try_send(with(&first, &[pod("b", "istio-1-9-1", &[])])).unwrap();
        assert_eq!(places.next().await.unwrap(), BTreeMap::from([("team".to_owned(), owners("2"))]));
        let ended = |name: &str| Pod { ended: true, ..pod(name, "istio-1-9-1", &[]) };
        sender.try_send(with(&first, &[ended("a"), ended("b")])).unwrap();
        assert_eq!(places.next().await.unwrap(), BTreeMap::new());
    }
}
