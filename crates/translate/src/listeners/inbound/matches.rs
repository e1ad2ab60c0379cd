//! How connections to a port may begin, by the mode of mutual TLS and by what the port speaks.

use model::Protocol;
use model::networking::MutualTlsMode;

use crate::listeners::virtual_outbound::plain_http;

/// One way in which connections to a port may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MatchOption {
    pub(super) transport: &'static str,
    pub(super) protocols: &'static [&'static str],
    /// Whether the chain is for HTTP, or for bytes.
    pub(super) http: bool,
    /// Whether TLS ends here.
    pub(super) terminates: bool,
}

impl MatchOption {
    /// TLS that ends here by the Sidecar's wish, whoever calls.
    pub(super) const fn own_tls(http: bool) -> Self {
        Self { transport: TLS, protocols: &[], http, terminates: true }
    }

    /// With HTTP/1.0 among the words that plain HTTP is told by, where that is served.
    pub(super) fn with_http10(self) -> Self {
        if self.inspects_http() { Self { protocols: plain_http(true), ..self } } else { self }
    }

    /// Whether TLS has to be recognised.
    pub(super) fn inspects_tls(&self) -> bool {
        self.transport == TLS
    }

    /// Whether HTTP has to be recognised by its first bytes.
    pub(super) fn inspects_http(&self) -> bool {
        self.protocols == PLAIN_HTTP || self.protocols == plain_http(true)
    }
}

const TLS: &str = "tls";
const RAW: &str = "raw_buffer";

const PLAIN_HTTP: &[&str] = &["http/1.1", "h2c"];
/// What Istio's proxies offer when they have found HTTP.
const MESH_HTTP: &[&str] = &["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What they offer when they have not.
const MESH_TCP: &[&str] = &["istio-peer-exchange", "istio"];
const MESH: &[&str] = &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

const fn tls_http(protocols: &'static [&'static str]) -> MatchOption {
    MatchOption { transport: TLS, protocols, http: true, terminates: true }
}

const fn tls_tcp(protocols: &'static [&'static str]) -> MatchOption {
    MatchOption { transport: TLS, protocols, http: false, terminates: true }
}

const fn raw_http(protocols: &'static [&'static str]) -> MatchOption {
    MatchOption { transport: RAW, protocols, http: true, terminates: false }
}

const RAW_TCP: MatchOption = MatchOption { transport: RAW, protocols: &[], http: false, terminates: false };
/// TLS that is the workload's own: not of the mesh, passed on as it is.
const PASSED_TLS: MatchOption = MatchOption { transport: TLS, ..RAW_TCP };

/// The ways in which connections to a port of this mode and protocol may begin.
pub(super) fn options(mode: MutualTlsMode, protocol: Protocol) -> Vec<MatchOption> {
    use MutualTlsMode::{Permissive, Strict};
    if protocol.is_http() {
        match mode {
            Permissive => vec![tls_http(MESH), raw_http(&[])],
            Strict => vec![tls_http(&[])],
            _ => vec![raw_http(&[])],
        }
    } else if is_auto(protocol) {
        match mode {
            Permissive => {
                vec![tls_http(MESH_HTTP), raw_http(PLAIN_HTTP), tls_tcp(MESH_TCP), RAW_TCP, PASSED_TLS]
            }
            Strict => vec![tls_http(MESH_HTTP), tls_tcp(&[])],
            _ => vec![raw_http(PLAIN_HTTP), RAW_TCP],
        }
    } else {
        match mode {
            Permissive => vec![tls_tcp(MESH), PASSED_TLS, RAW_TCP],
            Strict => vec![tls_tcp(&[])],
            _ => vec![RAW_TCP],
        }
    }
}

/// Protocols that are neither HTTP nor known to be bytes.
pub(super) fn is_auto(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Auto | Protocol::Hbone)
}
