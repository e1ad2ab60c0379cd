//! MeshNetworks: the networks of a mesh and the gateways between them.

#![allow(missing_docs, reason = "fields have the names of the published API, whose reference explains them")]

use std::collections::BTreeMap;

use crate::leniency::messages;

messages! {
    /// A network: which endpoints are in it, and its gateways.
    pub struct Network {
        pub endpoints: Vec<NetworkEndpoints>,
        pub gateways: Vec<NetworkGateway>,
    }

    /// Endpoints of a network.
    pub struct NetworkEndpoints {
        /// Excludes `from_registry`.
        pub from_cidr: Option<String>,
        pub from_registry: Option<String>,
    }

    /// A gateway into a network.
    pub struct NetworkGateway {
        /// Excludes `address`.
        pub registry_service_name: Option<String>,
        pub address: Option<String>,
        pub port: u32,
        pub locality: String,
    }

    /// All networks by name.
    pub struct MeshNetworks {
        pub networks: BTreeMap<String, Network>,
    }
}
