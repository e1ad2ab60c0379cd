//! ServiceEntry: services that no registry knows.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use super::{WorkloadEntry, WorkloadSelector};
use crate::leniency::{enumerations, messages};

messages! {
    /// The spec of a ServiceEntry.
    pub struct ServiceEntry {
        pub hosts: Vec<String>,
        pub addresses: Vec<String>,
        pub ports: Vec<ServicePort>,
        pub location: Location,
        pub resolution: Resolution,
        pub endpoints: Vec<WorkloadEntry>,
        pub workload_selector: Option<WorkloadSelector>,
        pub export_to: Vec<String>,
        pub subject_alt_names: Vec<String>,
    }

    /// A port of a service.
    pub struct ServicePort {
        pub number: u32,
        pub protocol: String,
        pub name: String,
        pub target_port: u32,
    }

    /// What a control plane wrote about a ServiceEntry, as far as a control plane reads it.
    pub struct ServiceEntryStatus {
        pub addresses: Vec<ServiceEntryAddress>,
    }

    /// An address that the control plane assigned to a host.
    pub struct ServiceEntryAddress {
        pub value: String,
        pub host: String,
    }
}

enumerations! {
    /// Whether a service belongs to the mesh.
    pub enum Location {
        MeshExternal "MESH_EXTERNAL" = 0,
        MeshInternal "MESH_INTERNAL" = 1,
    }

    /// How the endpoints of a service are found.
    pub enum Resolution {
        None "NONE" = 0,
        Static "STATIC" = 1,
        Dns "DNS" = 2,
        DnsRoundRobin "DNS_ROUND_ROBIN" = 3,
        DynamicDns "DYNAMIC_DNS" = 4,
    }
}
