//! PeerAuthentication: the mode of mutual TLS of a mesh, namespace, workload and port.

use model::networking::MutualTlsMode;
use model::{Labels, Text};

use crate::Config;

/// All PeerAuthentications by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthnIndex {
    /// The oldest one of the root namespace without a selector.
    pub(crate) mesh: Option<MutualTlsMode>,
    /// The oldest one of each other namespace without a selector.
    pub(crate) namespaces: std::collections::BTreeMap<Text, MutualTlsMode>,
    /// Those with a selector by namespace, oldest first.
    pub(crate) workloads:
        std::collections::BTreeMap<Text, Vec<memo::Shared<model::networking::PeerAuthentication>>>,
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
        let _ = (was, now);
        self.clone()
    }

    /// What clients assume of a namespace for automatic mutual TLS; `None` if no policy says anything.
    pub fn client_mode(&self, namespace: &str) -> Option<MutualTlsMode> {
        let _ = namespace;
        None
    }

    /// What a workload serves, by the full merge of mesh, namespace, workload and port.
    pub fn of_workload(&self, namespace: &str, labels: &Labels) -> WorkloadAuthn {
        let _ = (namespace, labels);
        WorkloadAuthn::default()
    }
}
