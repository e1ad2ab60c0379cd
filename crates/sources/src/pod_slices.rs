//! EndpointSlices for Services that the folder gives none, made from its Pods as the EndpointSlice
//! controller would make them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::key::Meta;
use model::kube::{EndpointSlice, Pod, Service, ServiceType, SliceEndpoint};
use model::parse::Context;
use model::service::TargetPort;
use model::{Change, Created, Key, Kind, Labels, Text, Value};

/// What is known of Services, Pods and EndpointSlices, and the slices made last.
#[derive(Default)]
pub(crate) struct PodSlices {
    services: BTreeMap<Key, Arc<Service>>,
    pods: BTreeMap<Text, BTreeMap<Text, Arc<Pod>>>,
    /// Given slices: (namespace, service) → names.
    given: BTreeMap<(Text, Text), BTreeSet<Text>>,
    /// The service of each given slice.
    service_of: BTreeMap<Key, (Text, Text)>,
    /// Made slices by their service's key.
    made: BTreeMap<Key, BTreeMap<Key, Arc<EndpointSlice>>>,
}

impl PodSlices {
    /// Takes changes and answers with those of made slices.
    pub(crate) fn update(&mut self, changes: &[Change], context: &Context) -> Vec<Change> {
        let mut namespaces = BTreeSet::new();
        for change in changes.iter().filter(|change| self.take(change)) {
            namespaces.insert(change.key.namespace.clone());
        }
        namespaces.iter().flat_map(|namespace| self.make_all(namespace, context)).collect()
    }

    /// Notes a change; answers whether it matters.
    fn take(&mut self, change: &Change) -> bool {
        let key = &change.key;
        match (key.kind, &change.value) {
            (Kind::Service, Some(Value::Service(service))) => {
                self.services.insert(key.clone(), service.clone());
            }
            (Kind::Service, _) => drop(self.services.remove(key)),
            (Kind::Pod, Some(Value::Pod(pod))) => {
                let pods = self.pods.entry(key.namespace.clone()).or_default();
                pods.insert(key.name.clone(), pod.clone());
            }
            (Kind::Pod, _) => {
                if let Some(pods) = self.pods.get_mut(&key.namespace) {
                    pods.remove(&key.name);
                }
                self.pods.retain(|_, pods| !pods.is_empty());
            }
            (Kind::EndpointSlice, value) => self.take_slice(key, value.as_ref()),
            _ => return false,
        }
        true
    }

    fn take_slice(&mut self, key: &Key, value: Option<&Value>) {
        if let Some(service) = self.service_of.remove(key)
            && let Some(names) = self.given.get_mut(&service)
        {
            names.remove(&key.name);
            if names.is_empty() {
                self.given.remove(&service);
            }
        }
        if let Some(Value::EndpointSlice(slice)) = value {
            let service = (key.namespace.clone(), slice.service.clone());
            self.given.entry(service.clone()).or_default().insert(key.name.clone());
            self.service_of.insert(key.clone(), service);
        }
    }

    /// The slices of all Services of a namespace, with removals of those made before.
    fn make_all(&mut self, namespace: &Text, context: &Context) -> Vec<Change> {
        let first = Key {
            cluster: context.cluster.clone(),
            kind: Kind::Service,
            namespace: namespace.clone(),
            name: "".into(),
        };
        let pods = by_label(self.pods.get(namespace));
        let in_namespace = |key: &&Key| key.kind == Kind::Service && key.namespace == *namespace;
        let known = self.services.range(first..).map(|(key, _)| key).take_while(in_namespace);
        let former = self.made.keys().filter(in_namespace);
        let keys: BTreeSet<Key> = known.chain(former).cloned().collect();
        let make = |key: Key| {
            let service = self.services.get(&key).filter(|_| !self.is_given(&key));
            let slices = service.map(|service| make(&key, service, &pods)).unwrap_or_default();
            (key, slices)
        };
        let made: Vec<_> = keys.into_iter().map(make).collect();
        let mut changes = Vec::new();
        for (key, slices) in made {
            self.replace(&key, slices, &mut changes);
        }
        changes
    }

    fn is_given(&self, service: &Key) -> bool {
        let key = (service.namespace.clone(), service.name.clone());
        self.given.contains_key(&key)
    }

    /// Puts a service's slices in the place of those made before, and notes what that changes.
    fn replace(&mut self, service: &Key, slices: Vec<EndpointSlice>, changes: &mut Vec<Change>) {
        let change = |key: &Key, value: Option<&Arc<EndpointSlice>>| Change {
            key: key.clone(),
            value: value.cloned().map(Value::EndpointSlice),
            origin: Arc::default(),
            problems: Vec::new(),
        };
        let slices: BTreeMap<_, _> =
            slices.into_iter().map(|slice| (slice.meta.key.clone(), Arc::new(slice))).collect();
        let before = self.made.remove(service).unwrap_or_default();
        changes.extend(before.keys().filter(|key| !slices.contains_key(*key)).map(|gone| change(gone, None)));
        let others = slices.iter().filter(|(key, slice)| before.get(*key) != Some(*slice));
        changes.extend(others.map(|(key, slice)| change(key, Some(slice))));
        if !slices.is_empty() {
            self.made.insert(service.clone(), slices);
        }
    }
}

type ByLabel<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Pod>>;

/// Pods under each of their labels, so that a selector looks only at those that have its first label.
fn by_label(pods: Option<&BTreeMap<Text, Arc<Pod>>>) -> ByLabel<'_> {
    let mut index = ByLabel::new();
    for pod in pods.into_iter().flat_map(BTreeMap::values) {
        for (key, value) in pod.meta.labels.iter() {
            index.entry((key, value)).or_default().push(pod);
        }
    }
    index
}

/// Endpoints that stand in one slice: whether they are IPv6, and the ports that they serve.
type Group = (bool, Vec<(Text, u16)>);

fn make(key: &Key, service: &Service, pods: &ByLabel<'_>) -> Vec<EndpointSlice> {
    let Some(selector) = service.selector.as_ref().filter(|_| service.kind != ServiceType::ExternalName)
    else {
        return Vec::new();
    };
    let first = selector.iter().next().map(|(key, value)| (&**key, &**value));
    let candidates = first.and_then(|first| pods.get(&first)).into_iter().flatten();
    let mut groups: BTreeMap<Group, Vec<SliceEndpoint>> = BTreeMap::new();
    for pod in candidates.filter(|pod| selector.selects(&pod.meta.labels) && !pod.ended) {
        for ip in addresses(service, pod) {
            let group = groups.entry((ip.is_ipv6(), ports(service, pod))).or_default();
            group.push(endpoint(service, pod, ip));
        }
    }
    groups.into_iter().enumerate().map(|(at, (group, list))| slice(key, at, group.1, list)).collect()
}

/// The pod's address of each family that the service has; the first one for a headless service.
fn addresses(service: &Service, pod: &Pod) -> Vec<IpAddr> {
    let families: Vec<bool> =
        service.cluster_ips.iter().filter_map(|ip| Some(ip.parse::<IpAddr>().ok()?.is_ipv6())).collect();
    if families.is_empty() {
        return pod.ips.first().copied().into_iter().collect();
    }
    families.iter().filter_map(|v6| pod.ips.iter().find(|ip| ip.is_ipv6() == *v6).copied()).collect()
}

/// The ports that this pod serves the service on; one whose name the pod does not have is left out.
fn ports(service: &Service, pod: &Pod) -> Vec<(Text, u16)> {
    let number = |target: &TargetPort, transport: &str| match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let mut ports = pod.ports.iter();
            ports.find(|(port, _, of)| port == name && &**of == transport).map(|(_, number, _)| *number)
        }
    };
    let list = service.ports.iter();
    list.filter_map(|port| Some((port.name.clone(), number(&port.target, &port.transport)?))).collect()
}

fn endpoint(service: &Service, pod: &Pod, ip: IpAddr) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![ip.to_string().into()],
        ready: Some(service.publish_not_ready || (pod.ready && !pod.terminating)),
        serving: Some(pod.ready),
        terminating: Some(pod.terminating),
        pod: Some((pod.meta.key.namespace.clone(), pod.meta.key.name.clone())),
        node: pod.node.clone(),
    }
}

fn slice(service: &Key, at: usize, ports: Vec<(Text, u16)>, endpoints: Vec<SliceEndpoint>) -> EndpointSlice {
    let key = Key {
        kind: Kind::EndpointSlice,
        name: format!("{}-from-pods-{at}", service.name).into(),
        ..service.clone()
    };
    let labels: Labels = [("kubernetes.io/service-name", &*service.name)].into_iter().collect();
    let meta = Meta {
        key,
        created: Created::default(),
        labels,
        annotations: Labels::default(),
        api_version: "discovery.k8s.io/v1".into(),
    };
    EndpointSlice { meta, service: service.name.clone(), fqdn: false, ports, endpoints }
}

#[cfg(test)]
mod tests {
    use crate::{File, Folder};

    use super::*;

    fn object(kind: &str, name: &str, rest: &str) -> String {
        format!(
            "apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\n{rest}\n---\n"
        )
    }

    fn service(name: &str) -> String {
        object("Service", name, &format!("spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}"))
    }

    fn pod(name: &str, ip: &str) -> String {
        let ready = "conditions: [{type: Ready, status: \"True\"}]";
        object("Pod", name, &format!("status: {{podIP: {ip}, podIPs: [{{ip: {ip}}}], {ready}}}"))
    }

    #[test]
    fn only_slices_that_are_others_are_reported_and_nothing_stays_behind() {
        let mut folder = Folder::new(Context { cluster: "c".into(), domain: "cluster.local".into() });
        let mut save = |path: &str, text: Option<String>| {
            let changes = folder.update([File { path: path.into(), text }]);
            let slices = changes.iter().filter(|change| change.key.kind == Kind::EndpointSlice);
            slices.map(|change| change.key.name.to_string()).collect::<Vec<_>>()
        };
        save("services.yaml", Some(service("a") + &service("b")));
        let both = save("pods.yaml", Some(pod("a", "10.0.0.1") + &pod("b", "10.0.0.2")));
        assert_eq!(both, ["a-from-pods-0", "b-from-pods-0"]);
        assert_eq!(
            save("pods.yaml", Some(pod("a", "10.0.0.1") + &pod("b", "10.0.0.3"))),
            ["b-from-pods-0"],
            "the other one is as it was"
        );
        save("pods.yaml", None);
        save("services.yaml", None);
        let PodSlices { services, pods, given, service_of, made } = &folder.slices;
        assert!(services.is_empty() && pods.is_empty() && given.is_empty());
        assert!(service_of.is_empty() && made.is_empty());
    }
}
