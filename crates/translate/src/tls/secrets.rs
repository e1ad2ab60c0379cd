//! Where a proxy fetches certificates and roots from.

use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;

/// The cluster of the agent beside the proxy, which serves the workload's own certificate and files.
const AGENT: &str = "sds-grpc";
/// The cluster that serves files where the proxy says that it has one (`file-credential`).
const AGENT_FILES: &str = "sds-files-grpc";
/// The cluster of a local socket that serves `sds://` names where the proxy says that it has one.
pub(crate) const EXTERNAL: &str = "sds-external";

/// The workload's own certificate.
const DEFAULT: &str = "default";
/// The mesh's roots.
const ROOTS: &str = "ROOTCA";
/// Appended to a secret's name to name the roots in it.
const ROOTS_SUFFIX: &str = "-cacert";

/// Further sources of secrets that a proxy declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SecretSources {
    /// Names with `sds://` come from a local socket (metadata `credential`).
    pub(crate) external: bool,
    /// Files come from a cluster of their own (metadata `file-credential`).
    pub(crate) files: bool,
}

/// The workload's own certificate, from the agent.
pub(super) fn own_certificate() -> SdsSecretConfig {
    blocking(DEFAULT)
}

/// The mesh's roots, from the agent.
pub(super) fn mesh_roots() -> SdsSecretConfig {
    blocking(ROOTS)
}

impl SecretSources {
    /// A certificate and its key by file; the workload's own certificate if either is empty.
    pub(super) fn certificate_file(self, chain: &str, key: &str) -> SdsSecretConfig {
        if chain.is_empty() || key.is_empty() {
            return own_certificate();
        }
        self.file(format!("file-cert:{chain}~{key}"))
    }

    /// Roots by file; the mesh's roots if it is empty. `system` stands for the operating system's.
    pub(super) fn roots_file(self, path: &str) -> SdsSecretConfig {
        if path.is_empty() { mesh_roots() } else { self.file(format!("file-root:{path}")) }
    }

    fn file(self, name: String) -> SdsSecretConfig {
        agent(name, if self.files { AGENT_FILES } else { AGENT })
    }

    /// What a `credentialName` names (xds-semantics, TLS context).
    ///
    /// It comes by the proxy's own stream from us, without an unlimited wait, so that a secret which is
    /// not there stops only what needs it.
    pub(super) fn credential(self, name: &str) -> SdsSecretConfig {
        let scheme = name.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("builtin") if name == "builtin://-cacert" => return mesh_roots(),
            Some("builtin") if name == "builtin://" => return own_certificate(),
            Some("sds") if self.external => return agent(name.to_owned(), EXTERNAL),
            _ => {}
        }
        let name = name.strip_prefix("sds://").unwrap_or(name);
        let resource = match scheme {
            Some("builtin") => DEFAULT.to_owned(),
            Some("invalid") => "invalid://".to_owned(),
            Some("configmap" | "kubernetes" | "kubernetes-gateway") => name.to_owned(),
            _ => format!("kubernetes://{name}"),
        };
        let source = core::ConfigSource { initial_fetch_timeout: None, ..crate::wire::ads() };
        SdsSecretConfig { name: resource, sds_config: Some(source) }
    }

    /// The roots that belong to a `credentialName`.
    pub(super) fn credential_roots(self, name: &str) -> SdsSecretConfig {
        self.credential(&format!("{name}{ROOTS_SUFFIX}"))
    }
}

/// A secret without which nothing works: it is waited for without limit.
fn blocking(name: &str) -> SdsSecretConfig {
    let mut secret = agent(name.to_owned(), AGENT);
    if let Some(source) = &mut secret.sds_config {
        source.initial_fetch_timeout = Some(prost_types::Duration::default());
    }
    secret
}

fn agent(name: String, cluster: &str) -> SdsSecretConfig {
    let envoy_grpc = core::grpc_service::EnvoyGrpc { cluster_name: cluster.into(), ..Default::default() };
    let service = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(envoy_grpc)),
        ..Default::default()
    };
    let api = core::ApiConfigSource {
        api_type: core::api_config_source::ApiType::Grpc as i32,
        transport_api_version: core::ApiVersion::V3 as i32,
        set_node_on_first_message_only: true,
        grpc_services: vec![service],
        ..Default::default()
    };
    let source = core::ConfigSource {
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::ApiConfigSource(api)),
        resource_api_version: core::ApiVersion::V3 as i32,
        ..Default::default()
    };
    SdsSecretConfig { name, sds_config: Some(source) }
}
