//! PeerAuthentication: the mode of mutual TLS of a mesh, namespace, workload and port.

use std::collections::BTreeMap;

use memo::Shared;
use model::networking::{MutualTlsMode, PeerAuthentication};
use model::{Labels, Text};

use crate::authn::refusals::RefusalIndex;
use crate::{Config, ServiceEndpoints};

pub use refusals::Refusals;

mod refusals;

/// All PeerAuthentications by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthnIndex {
    /// The oldest one of the root namespace without a selector.
    pub(crate) mesh: Option<MutualTlsMode>,
    /// The oldest one of each other namespace without a selector.
    pub(crate) namespaces: BTreeMap<Text, MutualTlsMode>,
    /// Those with a selector by namespace, oldest first.
    pub(crate) workloads: BTreeMap<Text, Vec<Shared<PeerAuthentication>>>,
    /// What clients read of all this.
    refusals: RefusalIndex,
}

/// The server's side of one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkloadAuthn {
    /// The mode of ports that are not named below; never `Unset`.
    pub mode: MutualTlsMode,
    /// Modes by the workload's port, sorted; never `Unset`.
    pub ports: Vec<(u16, MutualTlsMode)>,
}

impl Default for WorkloadAuthn {
    fn default() -> Self {
        Self { mode: MutualTlsMode::Permissive, ports: Vec::new() }
    }
}

impl WorkloadAuthn {
    /// What a workload serves that a policy selects, in a namespace of this mode.
    fn of(policy: &PeerAuthentication, inherited: MutualTlsMode) -> Self {
        let mode = or(policy.mode, inherited);
        let ports = policy.port_modes.iter().map(|(port, own)| (*port, or(*own, mode))).collect();
        Self { mode, ports }
    }

    /// The mode of a port of the workload.
    pub fn of_port(&self, port: u16) -> MutualTlsMode {
        self.ports.iter().find(|(number, _)| *number == port).map_or(self.mode, |(_, mode)| *mode)
    }
}

impl AuthnIndex {
    /// The index of `now`.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let root = &now.mesh.root_namespace;
        if was.mesh.root_namespace == *root && was.peer_authentications == now.peer_authentications {
            return self.clone();
        }
        let mut policies: Vec<_> = now.peer_authentications.values().cloned().collect();
        policies.sort_by(|one, two| one.meta.order().cmp(&two.meta.order()));
        let mut next = Self::default();
        for policy in policies {
            next.add(policy, root);
        }
        next.refusals = self.refusals.next(&next);
        next
    }

    /// Adds a policy younger than those that are there. One with a selector in the root namespace counts
    /// nowhere.
    fn add(&mut self, policy: Shared<PeerAuthentication>, root: &Text) {
        let namespace = policy.meta.key.namespace.clone();
        let selects = policy.selector.as_ref().is_some_and(|selector| !selector.is_empty());
        match (selects, namespace == *root) {
            (false, true) => {
                self.mesh.get_or_insert(policy.mode);
            }
            (false, false) => {
                self.namespaces.entry(namespace).or_insert(policy.mode);
            }
            (true, false) => self.workloads.entry(namespace).or_default().push(policy),
            (true, true) => {}
        }
    }

    /// What clients assume of a namespace for automatic mutual TLS; `None` if no policy says anything.
    ///
    /// Policies for workloads and ports do not count, since a client cannot tell workloads apart.
    pub fn client_mode(&self, namespace: &str) -> Option<MutualTlsMode> {
        let mesh = self.mesh.map(|mode| or(mode, MutualTlsMode::Permissive));
        match self.namespaces.get(namespace) {
            Some(mode) => Some(or(*mode, mesh.unwrap_or(MutualTlsMode::Permissive))),
            None => mesh,
        }
    }

    /// Which endpoints of a service of this namespace refuse mutual TLS; `None` if none does. The handle stays
    /// the same while nothing is said otherwise of that namespace.
    pub fn refusals_of(&self, namespace: &str, endpoints: &ServiceEndpoints) -> Option<Shared<Refusals>> {
        self.refusals.of(namespace, endpoints.foreign).cloned()
    }

    /// What a workload serves, by the full merge of mesh, namespace, workload and port.
    pub fn of_workload(&self, namespace: &str, labels: &Labels) -> WorkloadAuthn {
        let mode = self.mode(namespace);
        let candidates = self.workloads.get(namespace).map_or(&[][..], Vec::as_slice);
        let selects = |policy: &&Shared<PeerAuthentication>| {
            policy.selector.as_ref().is_some_and(|it| it.selects(labels))
        };
        match candidates.iter().find(selects) {
            Some(policy) => WorkloadAuthn::of(policy, mode),
            None => WorkloadAuthn { mode, ports: Vec::new() },
        }
    }

    /// The mode of workloads of a namespace that no policy selects.
    fn mode(&self, namespace: &str) -> MutualTlsMode {
        let mesh = or(self.mesh.unwrap_or_default(), MutualTlsMode::Permissive);
        or(self.namespaces.get(namespace).copied().unwrap_or_default(), mesh)
    }
}

/// The mode, or what it inherits.
fn or(mode: MutualTlsMode, inherited: MutualTlsMode) -> MutualTlsMode {
    if mode == MutualTlsMode::Unset { inherited } else { mode }
}

#[cfg(test)]
mod tests {
    use model::endpoint::EndpointWorkload;
    use model::key::{Created, Meta};
    use model::{Key, Kind};

    use super::*;
    use MutualTlsMode::{Disable, Permissive, Strict, Unset};

    fn policy(namespace: &str, age: i64, app: Option<&str>, mode: MutualTlsMode) -> PeerAuthentication {
        let key = Key {
            cluster: "Kubernetes".into(),
            kind: Kind::PeerAuthentication,
            namespace: namespace.into(),
            name: age.to_string().as_str().into(),
        };
        let meta = Meta {
            key,
            created: Created(age),
            labels: Labels::default(),
            annotations: Labels::default(),
            api_version: "security.istio.io/v1".into(),
        };
        let selector = app.map(|app| [("app", app)].into_iter().collect());
        PeerAuthentication { meta, selector, mode, port_modes: vec![(80, Disable), (90, Unset)] }
    }

    fn index(policies: Vec<PeerAuthentication>) -> AuthnIndex {
        let mut config = Config::default();
        for policy in policies {
            config.peer_authentications.put(policy.meta.key.clone(), policy);
        }
        AuthnIndex::default().next(&Config::default(), &config)
    }

    #[test]
    fn clients_know_mesh_and_namespace_only() {
        assert_eq!(AuthnIndex::default().client_mode("a"), None);
        let index = index(vec![
            policy("istio-system", 1, None, Unset),
            policy("istio-system", 0, Some("x"), Disable),
            policy("a", 3, None, Disable),
            policy("a", 2, None, Strict),
            policy("b", 2, None, Unset),
            policy("c", 2, Some("x"), Strict),
        ]);
        let modes = ["a", "b", "c", "istio-system"].map(|namespace| index.client_mode(namespace));
        assert_eq!(modes, [Some(Strict), Some(Permissive), Some(Permissive), Some(Permissive)]);
    }

    #[test]
    fn clients_read_nothing_but_who_refuses() {
        let empty = ServiceEndpoints::default();
        let before = index(vec![policy("a", 1, Some("x"), Disable)]);
        let held = before.refusals_of("a", &empty);
        assert!(held.is_some());
        assert_eq!(before.refusals_of("b", &empty), None);
        let with = |policies: Vec<PeerAuthentication>| {
            let mut config = Config::default();
            for policy in policies {
                config.peer_authentications.put(policy.meta.key.clone(), policy);
            }
            before.next(&Config::default(), &config)
        };
        // The policies say ports 80: DISABLE and 90: UNSET.
        let quiet = |namespace, age, mode| PeerAuthentication {
            port_modes: Vec::new(),
            ..policy(namespace, age, Some("y"), mode)
        };
        let strict = with(vec![
            policy("a", 1, Some("x"), Disable),
            policy("istio-system", 1, None, Strict),
            quiet("b", 1, Strict),
            policy("c", 1, None, Disable),
        ]);
        assert_eq!(strict.refusals_of("a", &empty), held);
        assert_eq!(strict.refusals_of("b", &empty), None);
        assert!(strict.refusals_of("c", &empty).is_some());
        assert_ne!(with(vec![policy("a", 1, Some("z"), Disable)]).refusals_of("a", &empty), held);
    }

    #[test]
    fn who_refuses_is_who_serves_no_mutual_tls() {
        for mesh in [Unset, Strict, Disable] {
            let index = index(vec![
                policy("istio-system", 1, None, mesh),
                policy("a", 1, None, Disable),
                policy("b", 2, Some("x"), Permissive),
                policy("b", 3, Some("y"), Disable),
                policy("c", 1, None, Strict),
            ]);
            for (namespace, app, port) in ["a", "b", "c", "d"]
                .iter()
                .flat_map(|namespace| ["x", "y", "z"].map(|app| (namespace, app)))
                .flat_map(|(namespace, app)| [80, 90, 70].map(|port| (*namespace, app, port)))
            {
                let labels: Labels = [("app", app)].into_iter().collect();
                let workload = EndpointWorkload {
                    namespace: namespace.into(),
                    labels: labels.clone(),
                    ..EndpointWorkload::default()
                };
                let expected = index.of_workload(namespace, &labels).of_port(port) == Disable;
                for foreign in [false, true] {
                    let endpoints = ServiceEndpoints { foreign, ..ServiceEndpoints::default() };
                    let found = index.refusals_of(namespace, &endpoints);
                    let refuses = found.is_some_and(|refusals| refusals.contain(&workload, port));
                    assert_eq!(refuses, expected, "{namespace} {app} {port} in a mesh {mesh:?}");
                }
            }
        }
    }

    #[test]
    fn workloads_inherit_upwards_and_ports_from_the_workload() {
        let index = index(vec![
            policy("istio-system", 1, None, Strict),
            policy("a", 2, None, Unset),
            policy("a", 3, Some("x"), Permissive),
            policy("a", 4, Some("x"), Disable),
            policy("a", 5, Some("y"), Unset),
        ]);
        let of = |app: &str| index.of_workload("a", &[("app", app)].into_iter().collect());
        assert_eq!(of("z"), WorkloadAuthn { mode: Strict, ports: Vec::new() });
        assert_eq!(of("x"), WorkloadAuthn { mode: Permissive, ports: vec![(80, Disable), (90, Permissive)] });
        assert_eq!(of("y").of_port(90), Strict);
        assert_eq!(of("y").of_port(80), Disable);
    }
}
