//! Sidecar.

use std::collections::BTreeSet;

use istio_api::networking as api;

use super::Outcome;
use super::addresses::{check_bind, check_endpoint};
use super::gateway::server_tls;
use super::reader::{Reader, labels, text};
use super::traffic_policy::connection_pool;
use super::virtual_service::destination;
use crate::key::Meta;
use crate::networking::{
    CaptureMode, EgressHost, EgressListener, IngressListener, ListenerPort, OutboundMode,
    OutboundTrafficPolicy, Sidecar,
};
use crate::{Host, Protocol};

/// A Sidecar.
///
/// An egress host that is not `namespace/dnsName` is left out, as istiod does.
pub(super) fn parse_sidecar(meta: Meta, spec: &api::Sidecar, domain: &str) -> Outcome<Sidecar> {
    let mut reader = Reader::new(&meta, domain);
    let pool = spec.inbound_connection_pool.as_ref();
    unique_ports(&mut reader, &spec.ingress);
    let value = Sidecar {
        selector: spec.workload_selector.as_ref().map(|selector| labels(&selector.labels)),
        ingress: reader.each("ingress", &spec.ingress, ingress),
        egress: reader.each("egress", &spec.egress, egress),
        outbound_traffic_policy: reader.optional(
            "outboundTrafficPolicy",
            spec.outbound_traffic_policy.as_ref(),
            outbound_traffic_policy,
        ),
        inbound_connection_pool: reader.optional("inboundConnectionPool", pool, connection_pool),
        meta,
    };
    reader.finish(value)
}

/// Ingress listeners have a port each, whatever they bind to: istiod's validation turns others away.
fn unique_ports(reader: &mut Reader<'_>, listeners: &[api::IstioIngressListener]) {
    let mut ports = BTreeSet::new();
    for (at, listener) in listeners.iter().enumerate() {
        let Some(port) = listener.port.as_ref().map(|port| port.number).filter(|port| *port > 0) else {
            continue;
        };
        if !ports.insert(port) {
            let field = format!("ingress[{at}].port.number");
            reader.refuse(&field, "port-number-twice", format!("another ingress listener has port {port}"));
        }
    }
}

fn ingress(reader: &mut Reader<'_>, spec: &api::IstioIngressListener) -> IngressListener {
    let port = spec.port.clone().unwrap_or_default();
    reader.required_port("port.number", port.number);
    check_bind(reader, &spec.bind, false);
    check_endpoint(reader, &spec.default_endpoint);
    IngressListener {
        port: listener_port(reader, &port),
        bind: text(&spec.bind),
        capture_mode: capture_mode(spec.capture_mode),
        default_endpoint: text(&spec.default_endpoint),
        tls: reader.optional("tls", spec.tls.as_ref(), server_tls),
        connection_pool: reader.optional("connectionPool", spec.connection_pool.as_ref(), connection_pool),
    }
}

fn egress(reader: &mut Reader<'_>, spec: &api::IstioEgressListener) -> EgressListener {
    if spec.hosts.is_empty() {
        reader.warn("hosts", "hosts-missing", "without hosts nothing is visible through this listener");
    }
    check_bind(reader, &spec.bind, true);
    let hosts = reader.each("hosts", &spec.hosts, |reader, written| egress_host(reader, written));
    EgressListener {
        port: spec.port.as_ref().map(|port| listener_port(reader, port)),
        bind: text(&spec.bind),
        capture_mode: capture_mode(spec.capture_mode),
        hosts: hosts.into_iter().flatten().collect(),
    }
}

fn listener_port(reader: &mut Reader<'_>, spec: &api::SidecarPort) -> ListenerPort {
    let number = u16::try_from(spec.number).unwrap_or_else(|_| reader.port("port.number", spec.number));
    ListenerPort { number, protocol: Protocol::of_istio_port(&spec.protocol, number), name: text(&spec.name) }
}

/// `namespace/dnsName`; `~` before the namespace excludes, and alone excludes in all of them.
fn egress_host(reader: &mut Reader<'_>, written: &str) -> Option<EgressHost> {
    let Some((namespace, name)) = written.split_once('/').filter(|(_, name)| !name.contains('/')) else {
        reader.leave_out(
            "",
            "egress-host-invalid",
            format!("{written:?} is not of the form namespace/dnsName"),
        );
        return None;
    };
    let excluded = namespace.strip_prefix('~');
    let namespace = match excluded {
        Some("") => "*",
        Some(namespace) => namespace,
        None => namespace,
    };
    Some(EgressHost { namespace: text(namespace), host: Host::new(name), exclude: excluded.is_some() })
}

fn outbound_traffic_policy(
    reader: &mut Reader<'_>,
    spec: &api::OutboundTrafficPolicy,
) -> OutboundTrafficPolicy {
    OutboundTrafficPolicy {
        mode: match spec.mode {
            api::OutboundMode::RegistryOnly => OutboundMode::RegistryOnly,
            api::OutboundMode::AllowAny => OutboundMode::AllowAny,
        },
        egress_proxy: reader.optional("egressProxy", spec.egress_proxy.as_ref(), destination),
    }
}

fn capture_mode(written: api::CaptureMode) -> CaptureMode {
    match written {
        api::CaptureMode::Default => CaptureMode::Default,
        api::CaptureMode::Iptables => CaptureMode::Iptables,
        api::CaptureMode::None => CaptureMode::None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{DOMAIN, clean, meta, problems, spec};
    use super::*;
    use crate::Kind;

    fn parse(json: Value) -> Outcome<Sidecar> {
        parse_sidecar(meta(Kind::Sidecar), &spec(json), DOMAIN)
    }

    #[test]
    fn listeners() {
        let sidecar = clean(parse(json!({
            "workloadSelector": {"labels": {"app": "a"}},
            "ingress": [{
                "port": {"number": 9080, "protocol": "HTTP", "name": "in"}, "captureMode": "NONE",
                "defaultEndpoint": "unix:///x", "bind": "127.0.0.5", "tls": {"mode": "SIMPLE"},
                "connectionPool": {"tcp": {"maxConnections": 5}},
            }],
            "egress": [
                {"port": {"protocol": "HTTP"}, "bind": "unix:///out", "hosts": ["./*"]},
                {"hosts": ["*/*"]},
            ],
            "outboundTrafficPolicy": {"egressProxy": {"host": "proxy", "port": {"number": 8080}}},
        })));
        assert_eq!(sidecar.selector.unwrap().get("app"), Some("a"));
        let ingress = &sidecar.ingress[0];
        assert_eq!((ingress.port.number, ingress.port.protocol), (9080, Protocol::Http));
        assert_eq!((ingress.capture_mode, &*ingress.default_endpoint), (CaptureMode::None, "unix:///x"));
        assert_eq!(ingress.connection_pool.as_ref().unwrap().tcp.as_ref().unwrap().max_connections, Some(5));
        assert_eq!(sidecar.egress[0].port.as_ref().unwrap().number, 0);
        assert_eq!((&sidecar.egress[1].port, sidecar.egress[1].hosts.len()), (&None, 1));
        // An empty mode is the API's zero value, not the mesh's default.
        let policy = sidecar.outbound_traffic_policy.unwrap();
        assert_eq!(policy.mode, OutboundMode::RegistryOnly);
        assert_eq!(policy.egress_proxy.unwrap().host, Host::new("proxy.default.svc.cluster.local"));
    }

    #[test]
    fn egress_hosts() {
        let hosts = |list: Value| clean(parse(json!({"egress": [{"hosts": list}]}))).egress.remove(0).hosts;
        let read: Vec<_> = hosts(json!(["*/*", "./A.com", "ns/*.b", "~/c", "~ns/d", "~*/e"]))
            .iter()
            .map(|one| format!("{}{}/{}", if one.exclude { "not " } else { "" }, one.namespace, one.host))
            .collect();
        assert_eq!(read, ["*/*", "./a.com", "ns/*.b", "not */c", "not ns/d", "not */e"]);
    }

    #[test]
    fn mistakes() {
        let parsed = parse(json!({
            "ingress": [{"port": {"protocol": "HTTP"}}, {"port": {"number": 80, "protocol": "HTTP"}},
                        {"port": {"number": 80, "protocol": "TCP"}, "bind": "1.1.1.1"}],
            "egress": [{"hosts": ["a", "a/b/c", "*/x"]}, {}],
        }));
        assert_eq!(
            problems(&parsed),
            [
                "spec.ingress[2].port.number: another ingress listener has port 80 [port-number-twice]",
                "spec.ingress[0].port.number: a port from 1 to 65535 is due [port-missing]",
                "spec.egress[0].hosts[0]: \"a\" is not of the form namespace/dnsName [egress-host-invalid]",
                "spec.egress[0].hosts[1]: \"a/b/c\" is not of the form namespace/dnsName [egress-host-invalid]",
                "spec.egress[1].hosts: without hosts nothing is visible through this listener [hosts-missing]",
            ]
        );
        assert_eq!(parsed.0, None);
    }
}
