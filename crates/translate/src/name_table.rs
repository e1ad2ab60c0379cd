//! The name table: the addresses with which an agent answers its workload's DNS questions (xds-semantics 11.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use envoy_api::istio::networking::nds::v1::NameTable;
use envoy_api::istio::networking::nds::v1::name_table::NameInfo;
use envoy_api::{Needs, Part, Resource};
use memo::{Memo, Shared};
use mesh::{EndpointFacts, NameProfile, Scope, ScopedService, ServiceEndpoints};
use model::service::UNSPECIFIED;
use model::settings::Settings;
use model::{Endpoint, Health, Registry, Resolution, Service, Text};

use crate::Count;
use crate::addresses::AddressView;

/// The memos of name tables: what each service contributes, and the encoded names.
#[derive(Default)]
pub struct Memos {
    planned: Memo<ServiceInputs, Names>,
    encoded: Memo<Entry, Part>,
}

impl Memos {
    /// See [`crate::Memos::sweep`].
    pub fn sweep(&self) {
        self.planned.sweep();
        self.encoded.sweep();
    }

    pub(crate) fn counts(&self) -> [Count; 2] {
        [
            Count::planned("names", "service", self.planned.counts()),
            Count::encoded("names", "name", self.encoded.counts()),
        ]
    }
}

/// Everything that the name table of a scope and profile may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each handle is described at its type")]
pub struct Inputs {
    pub scope: Shared<Scope>,
    pub profile: Shared<NameProfile>,
    /// Of endpoints, those of services that have no address of their own.
    pub facts: Shared<EndpointFacts>,
    pub settings: Shared<Settings>,
}

/// Everything that the names of one service may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ServiceInputs {
    service: Shared<Service>,
    /// Those that answer for it, where it has no address; `None` where they do not matter.
    endpoints: Option<Shared<ServiceEndpoints>>,
    profile: Shared<NameProfile>,
    settings: Shared<Settings>,
}

/// What one service contributes.
#[derive(Debug, Default)]
struct Names {
    /// The names of its pods (StatefulSets).
    pods: Vec<Encoded>,
    /// Its own name, if there is an address for it.
    own: Option<Encoded>,
}

/// A name as it is sent.
#[derive(Clone, Debug)]
struct Encoded {
    entry: Entry,
    part: Shared<Part>,
}

/// The plan of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    host: Text,
    /// In the registry's order.
    addresses: Vec<Text>,
    registry: Registry,
    /// Short name and namespace, from which the agent makes the other forms of a Kubernetes name.
    short: Option<(Text, Text)>,
}

/// The one resource of the type; it has no name.
pub fn table(inputs: &Inputs, memos: &Memos) -> Shared<Resource> {
    let mut table = BTreeMap::new();
    for scoped in inputs.scope.egress.iter().flat_map(|listener| &listener.services) {
        let key = ServiceInputs::of(inputs, scoped);
        let names = memos.planned.get(&key, |key| key.plan(memos));
        for pod in &names.pods {
            table.insert(pod.entry.host.clone(), pod.clone());
        }
        if let Some(own) = &names.own {
            join(&mut table, own, memos);
        }
    }
    let parts = table.into_values().map(|name| (*name.part).clone());
    Shared::new(Resource::from_parts("".into(), parts, Needs::default()))
}

/// Kubernetes has the first say about a name, and the first of its services; ServiceEntries join addresses.
fn join(table: &mut BTreeMap<Text, Encoded>, own: &Encoded, memos: &Memos) {
    let Some(known) = table.get_mut(&own.entry.host) else {
        table.insert(own.entry.host.clone(), own.clone());
        return;
    };
    match (known.entry.registry, own.entry.registry) {
        (Registry::Kubernetes, _) => {}
        (Registry::External, Registry::Kubernetes) => *known = own.clone(),
        (Registry::External, Registry::External) => {
            let mut entry = known.entry.clone();
            entry.addresses.extend(own.entry.addresses.iter().cloned());
            *known = Encoded::new(entry, memos);
        }
    }
}

impl ServiceInputs {
    fn of(inputs: &Inputs, scoped: &ScopedService) -> Self {
        let service = &scoped.service;
        let follows = service.resolution == Resolution::Passthrough && !scoped.port_list().is_empty();
        let endpoints = || inputs.facts.embedded(&service.host, &service.namespace).cloned();
        Self {
            service: service.clone(),
            endpoints: follows.then(endpoints).flatten(),
            profile: inputs.profile.clone(),
            settings: inputs.settings.clone(),
        }
    }

    fn plan(&self, memos: &Memos) -> Names {
        let profile = &self.profile;
        let view =
            AddressView::new(&profile.cluster, profile.ip_mode, profile.auto_addresses, &self.settings);
        let all = view.all(&self.service);
        let is_none = |address: &Text| **address == *UNSPECIFIED;
        let fixed = all.iter().take_while(|address| !is_none(address));
        let mut addresses: Vec<Text> =
            fixed.filter(|one| is_address(one)).map(|one| (*one).clone()).collect();
        let mut pods = BTreeMap::new();
        if all.iter().any(|address| is_none(address)) {
            for endpoint in self.answering() {
                let is_near = same(&profile.cluster, &endpoint.workload.cluster);
                if let Some(host) = self.pod_name(endpoint) {
                    let pod: &mut Pod = pods.entry(host).or_default();
                    pod.add(endpoint, is_near);
                }
                if is_near || self.settings.multicluster_headless {
                    addresses.extend(endpoint.addresses.iter().cloned());
                }
            }
        }
        let short = (self.service.registry == Registry::Kubernetes)
            .then(|| (self.service.name.clone(), self.service.namespace.clone()));
        let own = (!addresses.is_empty())
            .then(|| Encoded::new(self.entry(self.service.host.text().clone(), addresses, short), memos));
        let pods = pods.into_iter().map(|(host, pod)| {
            let short = (pod.short.clone(), self.service.namespace.clone());
            Encoded::new(self.entry(host.into(), pod.addresses(), Some(short)), memos)
        });
        Names { pods: pods.collect(), own }
    }

    fn entry(&self, host: Text, addresses: Vec<Text>, short: Option<(Text, Text)>) -> Entry {
        Entry { host, addresses, registry: self.service.registry, short }
    }

    /// The endpoints whose addresses are given out: in the proxy's network, each address once.
    fn answering(&self) -> impl Iterator<Item = &Endpoint> {
        let endpoints = self.endpoints.iter().flat_map(|endpoints| &endpoints.endpoints);
        let mut seen = BTreeSet::new();
        endpoints.map(|endpoint| &**endpoint).filter(move |endpoint| {
            let answers = self.service.publish_not_ready || endpoint.health == Health::Healthy;
            let is_known =
                !endpoint.addresses.is_empty() && endpoint.addresses.iter().all(|one| is_address(one));
            is_known
                && answers
                && seen.insert(endpoint.address())
                && same(&self.profile.network, &endpoint.workload.network)
        })
    }

    /// `<hostname>.<subdomain>.<namespace>.svc.<domain>`, as Kubernetes names pods of a StatefulSet.
    fn pod_name(&self, endpoint: &Endpoint) -> Option<String> {
        let workload = &endpoint.workload;
        let (_, domain) = self.service.host.as_str().split_once('.')?;
        (!workload.subdomain.is_empty())
            .then(|| format!("{}.{}.{domain}", workload.hostname, workload.subdomain))
    }
}

/// A pod with a name of its own. Where several clusters have one, that of the proxy's cluster counts.
#[derive(Default)]
struct Pod {
    short: Text,
    near: Vec<Text>,
    far: Vec<Text>,
}

impl Pod {
    fn add(&mut self, endpoint: &Endpoint, is_near: bool) {
        let workload = &endpoint.workload;
        self.short = Arc::from(format!("{}.{}", workload.hostname, workload.subdomain));
        let list = if is_near { &mut self.near } else { &mut self.far };
        list.extend(endpoint.addresses.iter().cloned());
    }

    fn addresses(self) -> Vec<Text> {
        if self.near.is_empty() { self.far } else { self.near }
    }
}

impl Encoded {
    fn new(entry: Entry, memos: &Memos) -> Self {
        Self { part: memos.encoded.get(&entry, Entry::build), entry }
    }
}

impl Entry {
    /// A table of this name alone: many of them, one after the other, are the table of all.
    fn build(&self) -> Part {
        let registry = match self.registry {
            Registry::Kubernetes => "Kubernetes",
            Registry::External => "External",
        };
        let (shortname, namespace) = self.short.clone().unwrap_or_default();
        let info = NameInfo {
            ips: self.addresses.iter().map(|address| address.to_string()).collect(),
            registry: registry.to_owned(),
            shortname: shortname.to_string(),
            namespace: namespace.to_string(),
            alt_hosts: Vec::new(),
        };
        Part::of(&NameTable { table: BTreeMap::from([(self.host.to_string(), info)]) })
    }
}

/// Whether it is an address and no CIDR or path.
fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Equal, or one of them not said.
fn same(one: &str, two: &str) -> bool {
    one.is_empty() || two.is_empty() || one == two
}
