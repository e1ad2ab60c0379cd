//! Where traffic enters (or leaves) the mesh: Gateway.

use crate::key::Meta;
use crate::{Labels, Protocol, Text};

/// Servers that the selected gateway workloads open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Identity and age.
    pub meta: Meta,
    /// Labels of the gateway workloads; empty applies to every one.
    pub selector: Labels,
    /// Servers in order.
    pub servers: Vec<Server>,
}

/// A port with hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// The server's own name, may be empty.
    pub name: Text,
    /// The port's number.
    pub number: u16,
    /// The port's protocol.
    pub protocol: Protocol,
    /// The protocol word as written, part of the key by which servers are merged.
    pub protocol_word: Text,
    /// The port's name.
    pub port_name: Text,
    /// Address to bind to, may be empty.
    pub bind: Text,
    /// Hosts as written, `<namespace>/<host>` or `<host>`; `.` not yet replaced.
    pub hosts: Vec<Text>,
    /// TLS.
    pub tls: Option<ServerTls>,
}

/// TLS of a server (also of a Sidecar's ingress listener).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServerTls {
    /// Whether plaintext requests are redirected to HTTPS.
    pub https_redirect: bool,
    /// The mode.
    pub mode: ServerTlsMode,
    /// File of the certificate, may be empty (so are the next three).
    pub server_certificate: Text,
    /// File of its key.
    pub private_key: Text,
    /// File of the roots for clients.
    pub ca_certificates: Text,
    /// File of revoked certificates.
    pub ca_crl: Text,
    /// Further pairs of files (certificate, key, roots).
    pub certificates: Vec<(Text, Text, Text)>,
    /// Secret instead of files, may be empty.
    pub credential_name: Text,
    /// Several secrets (RSA and ECDSA).
    pub credential_names: Vec<Text>,
    /// Secret of the roots for clients, may be empty.
    pub ca_credential_name: Text,
    /// Names accepted of clients.
    pub subject_alt_names: Vec<Text>,
    /// Hashes of accepted keys, base64.
    pub certificate_spki: Vec<Text>,
    /// Hashes of accepted certificates, hex.
    pub certificate_hash: Vec<Text>,
    /// Lowest version; `None` for the default.
    pub min_version: Option<TlsVersion>,
    /// Highest version; `None` for the default.
    pub max_version: Option<TlsVersion>,
    /// Cipher suites as written.
    pub cipher_suites: Vec<Text>,
    /// Curves as written.
    pub ecdh_curves: Vec<Text>,
    /// Whether clients' certificates are not verified.
    pub insecure_skip_verify: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the protocol's own version names")]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

/// Mode of TLS of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the API's own names")]
pub enum ServerTlsMode {
    #[default]
    Passthrough,
    Simple,
    Mutual,
    AutoPassthrough,
    IstioMutual,
    OptionalMutual,
}
