//! TLS of clusters: what a rule asks for, or mutual TLS where both sides can (xds-semantics, TLS on
//! outbound clusters).

use std::sync::{Arc, LazyLock};

use envoy_api::Any;
use envoy_api::envoy::config::cluster::v3 as api;
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use envoy_api::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use mesh::{ClusterProfile, EffectivePolicy};
use model::mesh_config::TlsSettings;
use model::networking::{ClientTls, ClientTlsMode, ProxyProtocol};
use model::proxy::Capabilities;
use model::settings::{Compliance, Settings};
use model::{ProxyKind, Registry, Resolution, Text};

use super::accounts::accounts;
use super::outbound::ClusterInputs;
use crate::cluster_mesh::ClusterMesh;
use crate::tls::{self, Credentials, Origination, PEER_EXCHANGE, SecretSources};
use crate::wire;

/// How a cluster's connections are secured and introduced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    socket: Socket,
    /// Whether TLS is spoken only to endpoints that say that they take it.
    where_offered: bool,
    /// The PROXY protocol around it.
    proxy_protocol: Option<ProxyProtocol>,
    /// The regulation that TLS has to keep.
    compliance: Compliance,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Socket {
    /// Plaintext.
    Plain,
    /// Istio's mutual TLS.
    Mutual {
        /// Identities accepted of endpoints.
        names: Vec<Text>,
        /// The server name sent.
        sni: Text,
        /// Protocols offered.
        offered: &'static [&'static str],
    },
    /// TLS of a rule, with the mesh's curves and cipher suites.
    Originated(Origination, TlsSettings),
}

/// What is known of the cluster that TLS is decided for.
pub(super) struct Context<'a> {
    /// Inputs of the cluster.
    pub(super) inputs: &'a ClusterInputs,
    /// The policy of its port and subset.
    pub(super) policy: EffectivePolicy<'a>,
    /// Its default server name under Istio's mutual TLS; empty for none.
    pub(super) sni: Text,
    /// Whether endpoints are spoken HTTP/2 to.
    pub(super) http2: bool,
    /// Whether traffic goes to the address that was called, so that endpoints cannot say what they take.
    pub(super) original_destination: bool,
    /// Whether the policy of the host (or subset) asks for that.
    pub(super) passthrough: bool,
    /// Whether the name that was called is resolved.
    pub(super) dynamic: bool,
}

/// What TLS means for the rest of the cluster.
#[derive(Default)]
pub(super) struct Outcome {
    /// The plan; `None` for plaintext with nothing around it.
    pub(super) tls: Option<Arc<Tls>>,
    /// Whether the server name is that of the request.
    pub(super) auto_sni: bool,
    /// Whether the certificate must have it.
    pub(super) auto_san_validation: bool,
    /// Whether a cluster that resolves names has to be told that it is meant to be without either.
    pub(super) insecure: bool,
}

/// Decides TLS and PROXY protocol of a cluster.
pub(super) fn plan(context: &Context<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let auto = context.policy.tls.is_none();
    let socket = match context.policy.tls {
        Some(rule) => by_rule(context, rule, &mut outcome),
        None if is_mutual_by_default(context) => by_default(context, &mut outcome),
        None => Socket::Plain,
    };
    let proxy_protocol = context.policy.proxy_protocol;
    let where_offered = auto && !context.original_destination && matches!(socket, Socket::Mutual { .. });
    if socket != Socket::Plain || proxy_protocol.is_some() {
        let compliance = context.inputs.settings.compliance;
        outcome.tls = Some(Arc::new(Tls { socket, where_offered, proxy_protocol, compliance }));
    }
    outcome
}

/// TLS of the cluster for names that no service has, as the mesh asks for it. Secrets are for rules with
/// selected workloads, so that there is none where it names one.
pub(super) fn plan_any(
    rule: &ClientTls,
    profile: &ClusterProfile,
    mesh: &ClusterMesh,
    settings: &Settings,
) -> Outcome {
    let mut outcome = Outcome { insecure: true, ..Outcome::default() };
    let foreign = matches!(rule.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    if rule.mode == ClientTlsMode::Disable || foreign && names_secret(rule) {
        return outcome;
    }
    follow_request(rule, rule.sni.is_empty(), true, &mut outcome);
    let names = rule.subject_alt_names.clone().unwrap_or_default();
    let socket = if foreign {
        let Some(origination) = origination(rule, names, false, profile) else { return outcome };
        Socket::Originated(origination, mesh.tls_defaults.clone())
    } else {
        let offered = offered(true, false, profile.capabilities, settings);
        Socket::Mutual { names, sni: rule.sni.clone(), offered }
    };
    let (where_offered, proxy_protocol, compliance) = (false, None, settings.compliance);
    outcome.tls = Some(Arc::new(Tls { socket, where_offered, proxy_protocol, compliance }));
    outcome
}

/// Whether clients use mutual TLS without being told: inside the mesh, where namespace and mesh do not
/// forbid it and, if traffic goes to the address that was called, every endpoint takes it.
fn is_mutual_by_default(context: &Context<'_>) -> bool {
    let inputs = context.inputs;
    if inputs.service.external || !inputs.mesh.enable_auto_mtls {
        return false;
    }
    let to_original = inputs.service.resolution == Resolution::Passthrough || context.passthrough;
    (!to_original || inputs.takes_mutual_tls) && !inputs.refuses
}

fn by_rule(context: &Context<'_>, rule: &ClientTls, outcome: &mut Outcome) -> Socket {
    let inputs = context.inputs;
    let files = &inputs.profile.client_files;
    let keeps_rule = inputs.settings.prefer_rule_tls_for_external && inputs.service.external;
    let mutual = matches!(rule.mode, ClientTlsMode::Mutual | ClientTlsMode::IstioMutual);
    if mutual && !files.chain.is_empty() && !keeps_rule {
        let names = rule.subject_alt_names.clone().unwrap_or_default();
        let own = by_files(context, names, rule.sni.clone());
        let own = ClientTls { insecure_skip_verify: rule.insecure_skip_verify, ..own };
        return originate(context, &own, outcome);
    }
    match rule.mode {
        ClientTlsMode::Disable => Socket::Plain,
        ClientTlsMode::Simple | ClientTlsMode::Mutual => originate(context, rule, outcome),
        ClientTlsMode::IstioMutual => {
            let names = rule.subject_alt_names.clone().unwrap_or_else(|| identities(context));
            let sni = if rule.sni.is_empty() { context.sni.clone() } else { rule.sni.clone() };
            if context.dynamic {
                follow_request(rule, sni.is_empty(), true, outcome);
            }
            mutual_tls(context, names, sni)
        }
    }
}

fn by_default(context: &Context<'_>, outcome: &mut Outcome) -> Socket {
    let names = identities(context);
    if !context.inputs.profile.client_files.chain.is_empty() {
        let own = by_files(context, names, context.sni.clone());
        return originate(context, &own, outcome);
    }
    if context.dynamic {
        follow_request(&ClientTls::default(), true, true, outcome);
    }
    mutual_tls(context, names, context.sni.clone())
}

/// Identities that endpoints may have; those of names that are resolved as they are called are unknown.
fn identities(context: &Context<'_>) -> Vec<Text> {
    if context.dynamic { Vec::new() } else { accounts(context.inputs) }
}

fn mutual_tls(context: &Context<'_>, names: Vec<Text>, sni: Text) -> Socket {
    let inputs = context.inputs;
    let http = context.http2 || inputs.port.protocol.is_http();
    let offered = offered(http, context.http2, inputs.profile.capabilities, &inputs.settings);
    Socket::Mutual { names, sni, offered }
}

/// Mutual TLS with the files that the proxy was given instead of secrets.
fn by_files(context: &Context<'_>, names: Vec<Text>, sni: Text) -> ClientTls {
    let files = &context.inputs.profile.client_files;
    ClientTls {
        mode: ClientTlsMode::Mutual,
        client_certificate: files.chain.clone(),
        private_key: files.key.clone(),
        ca_certificates: files.root.clone(),
        subject_alt_names: Some(names),
        sni,
        ..ClientTls::default()
    }
}

/// Protocols offered under Istio's mutual TLS. Where a proxy has no filter that names the request's
/// protocol, HTTP clusters name it themselves.
fn offered(
    http: bool,
    http2: bool,
    capabilities: Capabilities,
    settings: &Settings,
) -> &'static [&'static str] {
    if http && !capabilities.alpn {
        return if http2 { &["istio-h2", "istio", "h2"] } else { &["istio-http/1.1", "istio", "http/1.1"] };
    }
    let exchange = settings.metadata_exchange && !settings.disable_mx_alpn && capabilities.metadata_exchange;
    match (exchange, http2) {
        (true, true) => &[PEER_EXCHANGE, "istio", "h2"],
        (true, false) => &[PEER_EXCHANGE, "istio"],
        (false, true) => &["istio", "h2"],
        (false, false) => &["istio"],
    }
}

/// TLS as the rule says; plaintext where what it asks for cannot be given.
fn originate(context: &Context<'_>, rule: &ClientTls, outcome: &mut Outcome) -> Socket {
    let inputs = context.inputs;
    if is_withheld(inputs, rule) {
        return Socket::Plain;
    }
    follow_request(rule, rule.sni.is_empty(), context.dynamic, outcome);
    let mut names = rule.subject_alt_names.clone().unwrap_or_default();
    if names.is_empty() && inputs.service.registry == Registry::External {
        names = identities(context);
    }
    match origination(rule, names, context.http2, &inputs.profile) {
        Some(origination) => Socket::Originated(origination, inputs.mesh.tls_defaults.clone()),
        None => Socket::Plain,
    }
}

/// TLS with a rule's credentials; `None` if it wants to show a certificate that it does not say.
fn origination(
    rule: &ClientTls,
    names: Vec<Text>,
    http2: bool,
    profile: &ClusterProfile,
) -> Option<Origination> {
    let shows = rule.mode == ClientTlsMode::Mutual;
    let credentials = if !rule.credential_name.is_empty() {
        Credentials::Secret(rule.credential_name.clone(), shows)
    } else {
        if shows && (rule.client_certificate.is_empty() || rule.private_key.is_empty()) {
            return None;
        }
        Credentials::Files {
            own: shows.then(|| (rule.client_certificate.clone(), rule.private_key.clone())),
            roots: rule.ca_certificates.clone(),
            revoked: rule.ca_crl.clone(),
        }
    };
    Some(Origination {
        sni: rule.sni.clone(),
        names,
        credentials,
        insecure: rule.insecure_skip_verify,
        http2,
        sources: SecretSources { external: profile.external_sds, files: profile.file_credentials },
    })
}

/// Whether a rule's secret is not for this proxy: a sidecar gets secrets only by rules for selected
/// workloads, or every sidecar that sees the rule would wait for a secret that it may not have.
fn is_withheld(inputs: &ClusterInputs, rule: &ClientTls) -> bool {
    let selects = inputs.rule.as_ref().is_some_and(|merged| merged.rule.selector.is_some());
    names_secret(rule) && inputs.profile.kind == ProxyKind::Sidecar && !selects
}

fn names_secret(rule: &ClientTls) -> bool {
    !rule.credential_name.is_empty() && !rule.credential_name.starts_with("configmap://")
}

/// Without a server name of its own the rule means that of the request, and a certificate for it.
fn follow_request(rule: &ClientTls, auto_sni: bool, dynamic: bool, outcome: &mut Outcome) {
    let any = rule.subject_alt_names.as_ref().is_none_or(Vec::is_empty);
    outcome.auto_sni = auto_sni;
    outcome.auto_san_validation = (dynamic || auto_sni && any) && !rule.insecure_skip_verify;
    outcome.insecure = dynamic && !(outcome.auto_sni && outcome.auto_san_validation);
}

impl Tls {
    /// Puts sockets into the cluster.
    pub(super) fn apply(&self, cluster: &mut api::Cluster) {
        let socket = self.socket.build(self.compliance).map(|socket| self.introduced(socket));
        if !self.where_offered {
            let plain = || self.proxy_protocol.map(|_| self.introduced(RAW_BUFFER.clone()));
            cluster.transport_socket = socket.or_else(plain);
            return;
        }
        let offers = wire::fields([("tlsMode", wire::text_value("istio"))]);
        cluster.transport_socket_matches = vec![
            socket_match("tlsMode-istio", offers, socket),
            socket_match(
                "tlsMode-disabled",
                prost_types::Struct::default(),
                Some(self.introduced(RAW_BUFFER.clone())),
            ),
        ];
    }

    /// The socket inside the PROXY protocol, if that is asked for.
    fn introduced(&self, socket: core::TransportSocket) -> core::TransportSocket {
        use core::proxy_protocol_config::Version;
        let version = match self.proxy_protocol {
            None => return socket,
            Some(ProxyProtocol::V1) => Version::V1,
            Some(ProxyProtocol::V2) => Version::V2,
        };
        let config = core::ProxyProtocolConfig { version: version as i32, ..Default::default() };
        let outer = ProxyProtocolUpstreamTransport {
            config: Some(config),
            transport_socket: Some(socket),
            ..Default::default()
        };
        wire::transport_socket("envoy.transport_sockets.upstream_proxy_protocol", &outer)
    }
}

impl Socket {
    fn build(&self, policy: Compliance) -> Option<core::TransportSocket> {
        let context = match self {
            Self::Plain => return None,
            Self::Mutual { names, sni, offered } => tls::istio_mutual(names, sni, offered, policy),
            Self::Originated(origination, defaults) => {
                Any::pack(&tls::originate(origination, defaults, policy))
            }
        };
        Some(wire::packed_socket(tls::TRANSPORT_SOCKET, context))
    }
}

/// Plaintext, packed once.
static RAW_BUFFER: LazyLock<core::TransportSocket> =
    LazyLock::new(|| wire::transport_socket("envoy.transport_sockets.raw_buffer", &RawBuffer::default()));

fn socket_match(
    name: &str,
    criteria: prost_types::Struct,
    socket: Option<core::TransportSocket>,
) -> api::cluster::TransportSocketMatch {
    api::cluster::TransportSocketMatch {
        name: name.into(),
        r#match: Some(criteria),
        transport_socket: socket,
    }
}
