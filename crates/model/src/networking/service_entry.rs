//! Services and workloads that Kubernetes does not know: ServiceEntry, WorkloadEntry.

use super::{ExportTo, Selector};
use crate::key::Meta;
use crate::service::Resolution;
use crate::{Host, Labels, Protocol, Text};

/// Hosts with ports, addresses and endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Identity and age.
    pub meta: Meta,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Virtual addresses: IPs or CIDRs (`/32` and `/128` already plain); what is neither is left out.
    pub addresses: Vec<Text>,
    /// The ports.
    pub ports: Vec<EntryPort>,
    /// Whether the hosts are outside the mesh (`MESH_EXTERNAL`, the default).
    pub external: bool,
    /// How endpoints are found.
    pub resolution: Resolution,
    /// Endpoints written into the object.
    pub endpoints: Vec<WorkloadSpec>,
    /// Labels of the workloads that are endpoints.
    pub selector: Selector,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Identities expected of the endpoints, verbatim.
    pub subject_alt_names: Vec<Text>,
    /// Addresses that the allocator wrote to the status: (host or empty, address).
    pub status_addresses: Vec<(Text, Text)>,
}

/// A port of a ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryPort {
    /// Its name.
    pub name: Text,
    /// Its number.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The endpoints' port; 0 if not said.
    pub target_port: u16,
}

/// A workload that is no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadEntry {
    /// Identity and age.
    pub meta: Meta,
    /// What it is; its labels are the object's labels under the spec's.
    pub spec: WorkloadSpec,
    /// Whether a health check is declared and has not succeeded: no endpoint then.
    pub unhealthy: bool,
}

/// Address, ports and place of a workload that is no pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkloadSpec {
    /// IP, DNS name, `unix://` path or empty.
    pub address: Text,
    /// Port name → number.
    pub ports: Vec<(Text, u16)>,
    /// Labels.
    pub labels: Labels,
    /// Network, may be empty.
    pub network: Text,
    /// `region/zone/subzone`, may be empty.
    pub locality: Text,
    /// Weight; 0 if not said.
    pub weight: u32,
    /// Service account, may be empty.
    pub service_account: Text,
}
