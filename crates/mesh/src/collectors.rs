//! The services that providers of traces and logs name.

use std::collections::{BTreeMap, BTreeSet};

use model::mesh_config::MeshConfig;
use model::{Host, Text};

use crate::ServiceIndex;

/// Hosts of the services that extension providers name (`service`), by the name as it is written.
///
/// A name is `namespace/host`, or a host that just one namespace has a service for; who may see the service
/// does not matter (xds-semantics, access logging). What is named otherwise is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Collectors {
    found: BTreeMap<Text, Host>,
}

impl Collectors {
    /// The services that the mesh's providers name.
    pub(crate) fn new(mesh: &MeshConfig, services: &ServiceIndex) -> Self {
        let named = mesh.extension_providers.iter().filter_map(|provider| provider.kind.service_name());
        Self { found: named.filter_map(|name| Some((name.clone(), find(name, services)?))).collect() }
    }

    /// The host that a provider's `service` stands for.
    pub fn host(&self, service: &str) -> Option<&Host> {
        self.found.get(service)
    }
}

fn find(name: &str, services: &ServiceIndex) -> Option<Host> {
    let (namespace, host) = match name.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, name),
    };
    let host = Host::new(host);
    let namespaces: BTreeSet<&str> =
        services.of_host(&host).iter().map(|service| &*service.namespace).collect();
    let known = match namespace {
        Some(namespace) => namespaces.contains(namespace),
        None => namespaces.len() == 1,
    };
    known.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::builders::{With, entry, service};

    #[test]
    fn a_host_of_several_namespaces_needs_one() {
        let c = |id| entry(id, "c.com", &[80]);
        let config = Config::default().with(service("ns/zipkin", &[9411])).with(c("a/c")).with(c("b/c"));
        let services = ServiceIndex::default().next(&Config::default(), &config);
        let zipkin = "zipkin.ns.svc.cluster.local";
        let found = |name: &str| find(name, &services).is_some();
        assert!(found(zipkin) && found(&format!("ns/{zipkin}")));
        assert!(!found(&format!("other/{zipkin}")) && !found("nobody"));
        assert!(found("a/c.com") && !found("c.com"));
    }
}
