//! PeerAuthentication: the mode of mutual TLS of a mesh, namespace, workload and port.

use std::collections::BTreeMap;

use memo::Shared;
use model::networking::{MutualTlsMode, PeerAuthentication};
use model::{Labels, Text};

use crate::Config;

/// All PeerAuthentications by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthnIndex {
    /// The oldest one of the root namespace without a selector.
    pub(crate) mesh: Option<MutualTlsMode>,
    /// The oldest one of each other namespace without a selector.
    pub(crate) namespaces: BTreeMap<Text, MutualTlsMode>,
    /// Those with a selector by namespace, oldest first.
    pub(crate) workloads: BTreeMap<Text, Vec<Shared<PeerAuthentication>>>,
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

    /// What a workload serves, by the full merge of mesh, namespace, workload and port.
    pub fn of_workload(&self, namespace: &str, labels: &Labels) -> WorkloadAuthn {
        let mesh = or(self.mesh.unwrap_or_default(), MutualTlsMode::Permissive);
        let mode = or(self.namespaces.get(namespace).copied().unwrap_or_default(), mesh);
        let candidates = self.workloads.get(namespace).map_or(&[][..], Vec::as_slice);
        let selects = |policy: &&Shared<PeerAuthentication>| {
            policy.selector.as_ref().is_some_and(|it| it.selects(labels))
        };
        let Some(policy) = candidates.iter().find(selects) else {
            return WorkloadAuthn { mode, ports: Vec::new() };
        };
        let mode = or(policy.mode, mode);
        let ports = policy.port_modes.iter().map(|(port, own)| (*port, or(*own, mode))).collect();
        WorkloadAuthn { mode, ports }
    }
}

/// The mode, or what it inherits.
fn or(mode: MutualTlsMode, inherited: MutualTlsMode) -> MutualTlsMode {
    if mode == MutualTlsMode::Unset { inherited } else { mode }
}

#[cfg(test)]
mod tests {
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
