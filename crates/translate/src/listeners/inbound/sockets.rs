//! The transport sockets of inbound chains: the mesh's mutual TLS for HTTP and for bytes.

use envoy_api::Any;
use memo::Shared;
use mesh::ListenerProfile;
use model::mesh_config::MeshConfig;
use model::networking::ServerTls;
use model::settings::Settings;

use super::Inputs;
use crate::listeners::Memos;
use crate::tls::{self, ServerTransport};

/// What transport sockets may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SocketInputs {
    profile: Shared<ListenerProfile>,
    mesh: Shared<MeshConfig>,
    settings: Shared<Settings>,
}

impl SocketInputs {
    pub(super) fn of(inputs: &Inputs) -> Self {
        Self { profile: inputs.profile.clone(), mesh: inputs.mesh.clone(), settings: inputs.settings.clone() }
    }
}

/// TLS contexts, the same handles for all workloads whose contexts are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sockets {
    key: SocketInputs,
    pub(super) http: Shared<Any>,
    pub(super) tcp: Shared<Any>,
}

impl Sockets {
    pub(super) fn new(key: &SocketInputs, memos: &Memos) -> Self {
        let context = |tcp| {
            let context = Any::pack(&tls::inbound(tcp, &key.profile, &key.mesh, &key.settings));
            memos.inbound.configs.get(&context, Any::clone)
        };
        Self { key: key.clone(), http: context(false), tcp: context(true) }
    }

    /// TLS by a Sidecar's wish.
    pub(super) fn own(&self, tls: &ServerTls) -> Any {
        let SocketInputs { profile, mesh, settings } = &self.key;
        Any::pack(&tls::server(tls, ServerTransport::Http, profile, mesh, settings))
    }
}
