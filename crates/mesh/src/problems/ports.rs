//! Ports of Services that lead to nothing: a target by a name that no pod has.

use memo::Shared;
use model::service::TargetPort;
use model::{Host, Kind, Problem, kube};

use crate::Snapshot;

/// Named targets that none of the pods has that the Service selects. Pods are looked at only where the port has no
/// endpoints, so that a mesh in good health costs nothing.
pub(super) fn targets(snapshot: &Snapshot, found: &mut Vec<Problem>) {
    for service in snapshot.config.kube_services.values().filter(|service| service.selector.is_some()) {
        for (at, port) in service.ports.iter().enumerate() {
            let TargetPort::Name(name) = &port.target else { continue };
            if !has_endpoints(snapshot, service, port.number) && is_unknown(snapshot, service, name) {
                let detail = format!("none of the pods that are selected has a port called {name}");
                let field = format!("spec.ports[{at}].targetPort");
                let problem = Problem::warning(&service.meta.key, "unknown-target-port", field, detail);
                found.push(problem.with_outcome(format!("port {} has no endpoints", port.number)));
            }
        }
    }
}

fn has_endpoints(snapshot: &Snapshot, service: &kube::Service, port: u16) -> bool {
    let key = &service.meta.key;
    let host = Host::new(&format!("{}.{}.svc.{}", key.name, key.namespace, snapshot.config.settings.domain));
    let endpoints = snapshot.endpoints.of(&host, &key.namespace);
    endpoints.is_some_and(|all| all.endpoints.iter().any(|endpoint| endpoint.service_port == port))
}

/// Whether there are pods, and none of them has a port of this name.
fn is_unknown(snapshot: &Snapshot, service: &Shared<kube::Service>, name: &str) -> bool {
    let key = &service.meta.key;
    let Some(selector) = &service.selector else { return false };
    let pods = snapshot.workloads.in_namespace(&key.cluster, Kind::Pod, &key.namespace);
    let mut pods = pods.filter(|pod| selector.selects(&pod.labels)).peekable();
    pods.peek().is_some() && pods.all(|pod| pod.ports.iter().all(|(known, ..)| &**known != name))
}
