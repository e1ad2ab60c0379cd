//! Workloads by address: pods and WorkloadEntries, and the facts that their endpoints carry.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use memo::{Shared, Table};
use model::endpoint::{EndpointWorkload, TlsMode};
use model::labels;
use model::networking::{WorkloadEntry, WorkloadSpec};
use model::parse::proxy::join_locality;
use model::{Created, Key, Kind, Labels, Text, kube};

use crate::{Config, keys};

/// A workload that a proxy or an endpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The Pod or WorkloadEntry.
    pub key: Key,
    /// Its age.
    pub created: Created,
    /// Its own labels, without topology labels.
    pub labels: Labels,
    /// Its service account.
    pub service_account: Text,
    /// Named and numbered container ports: name, number, transport.
    pub ports: Vec<(Text, u16, Text)>,
    /// Its own addresses.
    pub ips: Vec<IpAddr>,
    /// All of its addresses, also those that it shares with its machine.
    pub all_ips: Vec<IpAddr>,
    /// Whether it takes traffic when selected by a ServiceEntry.
    pub ready: bool,
    /// What its endpoints carry (labels there have topology labels added).
    pub facts: Arc<EndpointWorkload>,
}

/// Several may have one address, for instance while one takes the place of another: oldest first, then
/// by key, whichever came to be known first.
type ByAddress = Table<(Text, IpAddr), Vec<Shared<Workload>>>;

/// Workloads by address and by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadIndex {
    /// Pods by cluster and address; those on the host's network are left out.
    pods: ByAddress,
    /// WorkloadEntries by cluster and address.
    entries: ByAddress,
    /// By Pod or WorkloadEntry.
    by_key: Table<Key, Workload>,
    /// Pods by their Node, since its labels say where they are.
    by_node: Table<Text, BTreeSet<Key>>,
}

impl WorkloadIndex {
    /// The index of `now`, patched from that of `was` by Pods, WorkloadEntries, Nodes, Namespaces.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        for key in self.touched(was, now) {
            next.put(&key, workload(&key, now));
        }
        next
    }

    /// The pods with this address, oldest first.
    pub fn pods_at(&self, cluster: &Text, ip: IpAddr) -> &[Shared<Workload>] {
        self.pods.get(&(cluster.clone(), ip)).map_or(&[], |list| list.as_slice())
    }

    /// The WorkloadEntries with this address, oldest first.
    pub fn entries_at(&self, cluster: &Text, ip: IpAddr) -> &[Shared<Workload>] {
        self.entries.get(&(cluster.clone(), ip)).map_or(&[], |list| list.as_slice())
    }

    /// The workload of a Pod or WorkloadEntry.
    pub fn by_key(&self, key: &Key) -> Option<&Shared<Workload>> {
        self.by_key.get(key)
    }

    /// The workloads of one kind and namespace, in the order of their names.
    pub fn in_namespace(
        &self,
        cluster: &Text,
        kind: Kind,
        namespace: &Text,
    ) -> impl Iterator<Item = &Shared<Workload>> {
        keys::beside(&self.by_key, Key::first_of(cluster, kind, namespace)).map(|(_, workload)| workload)
    }

    /// Pods and WorkloadEntries whose workload is another one than in `before`.
    pub fn changed(&self, before: &Self) -> Vec<Key> {
        self.by_key.changed(&before.by_key)
    }

    fn touched(&self, was: &Config, now: &Config) -> BTreeSet<Key> {
        let mut keys: BTreeSet<Key> = now.pods.changed(&was.pods).into_iter().collect();
        keys.extend(now.workload_entries.changed(&was.workload_entries));
        for node in now.nodes.changed(&was.nodes) {
            keys.extend(self.by_node.get(&node.name).into_iter().flat_map(|pods| pods.iter().cloned()));
        }
        if common(was) != common(now) {
            keys.extend(now.pods.iter().map(|(key, _)| key.clone()));
            keys.extend(now.workload_entries.iter().map(|(key, _)| key.clone()));
        }
        keys
    }

    fn put(&mut self, key: &Key, workload: Option<Workload>) {
        if let Some(old) = self.by_key.get(key).cloned() {
            self.forget(&old);
        }
        let Some(workload) = workload else {
            self.by_key.remove(key);
            return;
        };
        self.by_key.put(key.clone(), workload);
        let Some(shared) = self.by_key.get(key).cloned() else { return };
        let by_address = self.by_address(key.kind);
        for ip in &shared.ips {
            by_address.edit(&(key.cluster.clone(), *ip), |list| insert(list, &shared));
        }
        self.note_node(&shared, true);
    }

    fn forget(&mut self, old: &Workload) {
        let by_address = self.by_address(old.key.kind);
        for ip in &old.ips {
            by_address.edit(&(old.key.cluster.clone(), *ip), |list| {
                list.retain(|one| one.key != old.key);
                true
            });
        }
        self.note_node(old, false);
    }

    fn by_address(&mut self, kind: Kind) -> &mut ByAddress {
        if kind == Kind::Pod { &mut self.pods } else { &mut self.entries }
    }

    fn note_node(&mut self, workload: &Workload, there: bool) {
        let (node, key) = (&workload.facts.node, &workload.key);
        if !node.is_empty() {
            self.by_node.edit(node, |pods| if there { pods.insert(key.clone()) } else { pods.remove(key) });
        }
    }
}

/// Puts a workload in its place among those of one address.
fn insert(list: &mut Vec<Shared<Workload>>, workload: &Shared<Workload>) -> bool {
    let rank = |one: &Workload| (one.created, one.key.clone());
    let place = list.partition_point(|one| rank(one) < rank(workload));
    list.insert(place, workload.clone());
    true
}

/// What all workloads depend on: trust domain, cluster, the network of the control plane's namespace.
fn common(config: &Config) -> (&Text, &Text, Option<&str>) {
    (&config.mesh.trust_domain, &config.settings.cluster, system_network(config))
}

/// The network that the root namespace is labelled with.
fn system_network(config: &Config) -> Option<&str> {
    let key = Key {
        cluster: config.settings.cluster.clone(),
        kind: Kind::Namespace,
        namespace: "".into(),
        name: config.mesh.root_namespace.clone(),
    };
    config.namespaces.get(&key)?.meta.labels.get(labels::NETWORK)
}

fn workload(key: &Key, config: &Config) -> Option<Workload> {
    match key.kind {
        Kind::Pod => config.pods.get(key).filter(|pod| !pod.ended).map(|pod| of_pod(pod, config)),
        _ => config.workload_entries.get(key).map(|entry| of_entry(entry, config)),
    }
}

fn of_pod(pod: &kube::Pod, config: &Config) -> Workload {
    let key = &pod.meta.key;
    let labels = &pod.meta.labels;
    let network = labels.get(labels::NETWORK).or_else(|| system_network(config));
    let locality = pod_locality(pod, config);
    let facts = EndpointWorkload {
        labels: augmented(labels, &locality, &key.cluster, &pod.node, network.unwrap_or_default()),
        namespace: key.namespace.clone(),
        workload: pod.workload.clone(),
        identity: identity(config, &key.namespace, &pod.service_account),
        tls_mode: TlsMode::from_label(labels.get("security.istio.io/tlsMode")),
        network: network.unwrap_or_default().into(),
        cluster: key.cluster.clone(),
        locality,
        node: pod.node.clone(),
        hostname: pod.hostname.clone(),
        subdomain: pod.subdomain.clone(),
    };
    Workload {
        key: key.clone(),
        created: pod.meta.created,
        labels: labels.clone(),
        service_account: pod.service_account.clone(),
        ports: pod.ports.clone(),
        ips: if pod.host_network { Vec::new() } else { pod.ips.clone() },
        all_ips: pod.ips.clone(),
        ready: pod.ready && !pod.terminating,
        facts: Arc::new(facts),
    }
}

/// `istio-locality` of the pod, else by its Node's labels.
fn pod_locality(pod: &kube::Pod, config: &Config) -> Text {
    if let Some(label) = pod.meta.labels.get("istio-locality").filter(|label| !label.is_empty()) {
        return if label.contains('/') { label.into() } else { label.replace('.', "/").into() };
    }
    let cluster = pod.meta.key.cluster.clone();
    let key = Key { cluster, kind: Kind::Node, namespace: "".into(), name: pod.node.clone() };
    let Some(node) = config.nodes.get(&key) else { return "".into() };
    let label =
        |names: [&str; 2]| names.iter().find_map(|name| node.meta.labels.get(name)).unwrap_or_default();
    let region = label([labels::REGION, "failure-domain.beta.kubernetes.io/region"]);
    let zone = label([labels::ZONE, "failure-domain.beta.kubernetes.io/zone"]);
    let subzone = node.meta.labels.get(labels::SUBZONE).unwrap_or_default();
    join_locality(region, zone, subzone)
}

fn of_entry(entry: &WorkloadEntry, config: &Config) -> Workload {
    let key = &entry.meta.key;
    let spec = &entry.spec;
    Workload {
        key: key.clone(),
        created: entry.meta.created,
        labels: spec.labels.clone(),
        service_account: spec.service_account.clone(),
        ports: spec.ports.iter().map(|(name, port)| (name.clone(), *port, "TCP".into())).collect(),
        all_ips: spec.address.parse().into_iter().collect(),
        ips: spec.address.parse().into_iter().collect(),
        ready: !entry.unhealthy,
        facts: Arc::new(of_spec(spec, &key.name, &key.namespace, config)),
    }
}

/// What the endpoints of a WorkloadEntry (or an endpoint written into a ServiceEntry) carry.
pub(crate) fn of_spec(
    spec: &WorkloadSpec,
    name: &Text,
    namespace: &Text,
    config: &Config,
) -> EndpointWorkload {
    let label = spec.labels.get("istio-locality").unwrap_or_default();
    let locality = match (&*spec.locality, label) {
        ("", label) if label.contains('/') => label.into(),
        ("", label) => label.replace('.', "/").into(),
        _ => spec.locality.clone(),
    };
    let cluster = &config.settings.cluster;
    let tls_mode = match spec.labels.get("security.istio.io/tlsMode") {
        None if !spec.service_account.is_empty() => TlsMode::Istio,
        label => TlsMode::from_label(label),
    };
    EndpointWorkload {
        labels: augmented(&spec.labels, &locality, cluster, "", &spec.network),
        namespace: namespace.clone(),
        workload: name.clone(),
        identity: identity(config, namespace, &spec.service_account),
        tls_mode,
        network: spec.network.clone(),
        cluster: cluster.clone(),
        locality,
        ..EndpointWorkload::default()
    }
}

fn identity(config: &Config, namespace: &str, service_account: &str) -> Text {
    if service_account.is_empty() {
        return "".into();
    }
    format!("spiffe://{}/ns/{namespace}/sa/{service_account}", config.mesh.trust_domain).into()
}

/// Labels with those of the place added: region, zone, subzone, cluster, machine, network.
pub(crate) fn augmented(labels: &Labels, locality: &str, cluster: &str, node: &str, network: &str) -> Labels {
    let mut parts = locality.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let place = [
        (labels::REGION, part()),
        (labels::ZONE, part()),
        (labels::SUBZONE, part()),
        (labels::CLUSTER, cluster),
        (labels::HOSTNAME, node),
        (labels::NETWORK, network),
    ];
    labels.overlaid(&place.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

#[cfg(test)]
mod tests;
