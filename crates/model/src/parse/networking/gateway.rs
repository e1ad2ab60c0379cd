//! Gateway, and the TLS of servers, which Sidecar shares.

use istio_api::networking as api;

use super::Outcome;
use super::addresses::{check_bind, check_server_name};
use super::reader::{Reader, labels, text, texts};
use crate::Protocol;
use crate::key::Meta;
use crate::networking::{Gateway, Server, ServerTls, ServerTlsMode, TlsVersion};

/// A Gateway.
///
/// A server without port or hosts serves nothing and is refused. Hosts stay as written.
pub(super) fn parse_gateway(meta: Meta, spec: &api::Gateway) -> Outcome<Gateway> {
    let mut reader = Reader::new(&meta, "");
    let servers = reader.each("servers", &spec.servers, server);
    if servers.is_empty() {
        reader.warn("servers", "servers-missing", "without servers a Gateway opens nothing");
    }
    reader.finish(Gateway { meta, selector: labels(&spec.selector), servers })
}

fn server(reader: &mut Reader<'_>, spec: &api::Server) -> Server {
    let port = spec.port.clone().unwrap_or_default();
    let number = reader.required_port("port.number", port.number);
    let protocol = Protocol::of_istio_port(&port.protocol, number);
    let terminates = matches!(protocol, Protocol::Https | Protocol::Tls);
    if terminates && spec.tls.is_none() {
        let detail = format!("a server for {} needs TLS settings", port.protocol);
        reader.warn("tls", "server-tls-missing", detail);
    }
    if spec.hosts.is_empty() {
        reader.refuse("hosts", "hosts-missing", "a server needs at least one host");
    }
    for (at, host) in spec.hosts.iter().enumerate() {
        let name = host.split_once('/').map_or(host.as_str(), |(_, name)| name);
        check_server_name(reader, &format!("hosts[{at}]"), name);
    }
    check_bind(reader, &spec.bind, false);
    Server {
        name: text(&spec.name),
        number,
        protocol,
        protocol_word: text(&port.protocol),
        port_name: text(&port.name),
        bind: text(&spec.bind),
        hosts: texts(&spec.hosts),
        tls: reader.optional("tls", spec.tls.as_ref(), server_tls),
    }
}

/// TLS that ends at a proxy, or passes through it.
pub(super) fn server_tls(reader: &mut Reader<'_>, spec: &api::ServerTlsSettings) -> ServerTls {
    let (min_version, max_version) =
        (tls_version(spec.min_protocol_version), tls_version(spec.max_protocol_version));
    if let (Some(least), Some(most)) = (min_version, max_version)
        && least > most
    {
        reader.refuse(
            "minProtocolVersion",
            "tls-versions-crossed",
            "the lowest version is above the highest",
        );
    }
    let certificates = spec.tls_certificates.iter();
    ServerTls {
        https_redirect: spec.https_redirect,
        mode: server_mode(spec.mode),
        server_certificate: text(&spec.server_certificate),
        private_key: text(&spec.private_key),
        ca_certificates: text(&spec.ca_certificates),
        ca_crl: text(&spec.ca_crl),
        certificates: certificates
            .map(|one| (text(&one.server_certificate), text(&one.private_key), text(&one.ca_certificates)))
            .collect(),
        credential_name: text(&spec.credential_name),
        credential_names: texts(&spec.credential_names),
        ca_credential_name: text(&spec.ca_cert_credential_name),
        subject_alt_names: texts(&spec.subject_alt_names),
        certificate_spki: texts(&spec.verify_certificate_spki),
        certificate_hash: texts(&spec.verify_certificate_hash),
        min_version,
        max_version,
        cipher_suites: texts(&spec.cipher_suites),
        ecdh_curves: Vec::new(),
        insecure_skip_verify: spec.insecure_skip_verify.unwrap_or_default(),
    }
}

fn server_mode(written: api::ServerTlsMode) -> ServerTlsMode {
    match written {
        api::ServerTlsMode::Passthrough => ServerTlsMode::Passthrough,
        api::ServerTlsMode::Simple => ServerTlsMode::Simple,
        api::ServerTlsMode::Mutual => ServerTlsMode::Mutual,
        api::ServerTlsMode::AutoPassthrough => ServerTlsMode::AutoPassthrough,
        api::ServerTlsMode::IstioMutual => ServerTlsMode::IstioMutual,
        api::ServerTlsMode::OptionalMutual => ServerTlsMode::OptionalMutual,
    }
}

fn tls_version(written: api::TlsProtocol) -> Option<TlsVersion> {
    match written {
        api::TlsProtocol::TlsAuto => None,
        api::TlsProtocol::Tlsv10 => Some(TlsVersion::V1_0),
        api::TlsProtocol::Tlsv11 => Some(TlsVersion::V1_1),
        api::TlsProtocol::Tlsv12 => Some(TlsVersion::V1_2),
        api::TlsProtocol::Tlsv13 => Some(TlsVersion::V1_3),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{clean, meta, problems, spec};
    use super::*;
    use crate::Kind;

    fn parse(json: Value) -> Outcome<Gateway> {
        parse_gateway(meta(Kind::Gateway), &spec(json))
    }

    #[test]
    fn servers_keep_what_is_written() {
        let gateway = clean(parse(json!({
            "selector": {"istio": "ingressgateway"},
            "servers": [{
                "name": "web", "bind": "1.2.3.4", "hosts": ["./*", "a.com"],
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "tls": {
                    "mode": "OPTIONAL_MUTUAL", "credentialName": "cert", "minProtocolVersion": "TLSV1_2",
                    "tlsCertificates": [{"serverCertificate": "c", "privateKey": "k"}],
                },
            }],
        })));
        assert_eq!(gateway.selector.get("istio"), Some("ingressgateway"));
        let server = &gateway.servers[0];
        assert_eq!((server.number, server.protocol, &*server.protocol_word), (443, Protocol::Https, "HTTPS"));
        assert_eq!(server.hosts, ["./*".into(), "a.com".into()]);
        let tls = server.tls.as_ref().unwrap();
        assert_eq!((tls.mode, &*tls.credential_name), (ServerTlsMode::OptionalMutual, "cert"));
        assert_eq!((tls.min_version, tls.max_version), (Some(TlsVersion::V1_2), None));
        assert_eq!(tls.certificates, [("c".into(), "k".into(), "".into())]);
    }

    #[test]
    fn a_server_needs_port_and_hosts() {
        let parsed = parse(json!({"servers": [
            {"hosts": ["*"], "port": {"number": 80, "protocol": "HTTP"}},
            {"port": {"protocol": "HTTP"}},
            {"hosts": ["*"], "port": {"number": 443, "protocol": "TLS"}},
            {"hosts": ["*"], "port": {"number": 1, "protocol": "TLS"},
             "tls": {"minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_2"}},
        ]}));
        assert_eq!(
            problems(&parsed),
            [
                "spec.servers[1].port.number: a port from 1 to 65535 is due [port-missing]",
                "spec.servers[1].hosts: a server needs at least one host [hosts-missing]",
                "spec.servers[2].tls: a server for TLS needs TLS settings [server-tls-missing]",
                "spec.servers[3].tls.minProtocolVersion: the lowest version is above the highest \
                 [tls-versions-crossed]",
            ]
        );
        assert_eq!(parsed.0, None);
    }
}
