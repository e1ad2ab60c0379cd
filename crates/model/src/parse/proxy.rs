//! A proxy from the node that it announces (istiod-surface, node).

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::proxy_config::parse_proxy_config;
use crate::proxy::{Capabilities, CertFiles, Interception, IstioVersion, Proxy, ProxyKind};
use crate::{Labels, Text, labels};

/// The node of a first request, free of its wire format.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// `<type>~<ip>~<workload id>~<domain>`.
    pub id: String,
    /// The service cluster.
    pub cluster: String,
    /// Metadata by key.
    pub metadata: Map<String, Json>,
    /// The locality that the node itself declares: region, zone, subzone.
    pub locality: (String, String, String),
    /// Type URLs of the extensions that it lists; `None` if it lists none.
    pub type_urls: Option<Vec<String>>,
}

/// Versions of proxies that declare none: newer than all.
const NEWEST: IstioVersion = IstioVersion(65535, 65535, 65535);

/// A proxy from its node; an error is one sentence that names the part that is out of shape.
pub fn parse_node(node: &Node) -> Result<Proxy, String> {
    let shown: String = node.id.chars().take(128).collect();
    let parts: Vec<&str> = node.id.split('~').collect();
    let [kind, ip, workload_id, domain] = parts.as_slice() else {
        return Err(format!("node id '{shown}' is not of the form type~ip~id~domain"));
    };
    let kind = match *kind {
        "sidecar" => ProxyKind::Sidecar,
        "router" => ProxyKind::Router,
        other => return Err(format!("node id '{shown}': proxies of type '{other}' are not served")),
    };
    let facts = Facts(&node.metadata);
    let ips = addresses(facts.text("INSTANCE_IPS"), ip);
    if ips.is_empty() {
        return Err(format!("node id '{shown}': no valid IP address"));
    }
    Ok(proxy(node, &facts, Identity { kind, ips, workload_id, domain }))
}

struct Identity<'a> {
    kind: ProxyKind,
    ips: Vec<IpAddr>,
    workload_id: &'a str,
    domain: &'a str,
}

fn proxy(node: &Node, facts: &Facts<'_>, id: Identity<'_>) -> Proxy {
    let static_labels = facts.labels("STATIC_LABELS");
    let labels = facts.labels("LABELS").overlaid(&static_labels);
    Proxy {
        id: node.id.as_str().into(),
        kind: id.kind,
        workload_id: id.workload_id.into(),
        dns_domain: id.domain.into(),
        ips: id.ips,
        namespace: namespace(facts.text("NAMESPACE"), id.domain),
        service_account: facts.text("SERVICE_ACCOUNT").into(),
        locality: locality(&labels, &node.locality),
        labels,
        static_labels,
        annotations: facts.labels("ANNOTATIONS"),
        cluster: facts.text("CLUSTER_ID").into(),
        network: facts.text("NETWORK").into(),
        network_view: facts.list("REQUESTED_NETWORK_VIEW"),
        node_name: facts.text("NODE_NAME").into(),
        workload_name: facts.text("WORKLOAD_NAME").into(),
        service_cluster: node.cluster.as_str().into(),
        mesh_id: facts.text("MESH_ID").into(),
        version: version(facts.text("ISTIO_VERSION")),
        capabilities: capabilities(node.type_urls.as_deref(), !facts.text("ISTIO_VERSION").is_empty()),
        interception: interception(facts.text("INTERCEPTION_MODE")),
        config: facts.0.get("PROXY_CONFIG").filter(|config| config.is_object()).map(parse_proxy_config),
        pod_ports: pod_ports(facts.text("POD_PORTS")),
        http_proxy_port: facts.port("HTTP_PROXY_PORT"),
        idle_timeout: duration(facts.text("IDLE_TIMEOUT")),
        http10: facts.text("HTTP10") == "1",
        dns_capture: facts.flag("DNS_CAPTURE"),
        dns_auto_allocate: facts.flag("DNS_AUTO_ALLOCATE"),
        unprivileged: facts.flag("UNPRIVILEGED_POD"),
        reserved_ports: reserved_ports(facts),
        server_files: facts.files("TLS_SERVER"),
        client_files: facts.files("TLS_CLIENT"),
        inbound_exact_balance: facts.flag("INBOUND_LISTENER_EXACT_BALANCE"),
        outbound_exact_balance: facts.flag("OUTBOUND_LISTENER_EXACT_BALANCE"),
        external_sds: facts.flag("credential"),
        file_credentials: facts.flag("file-credential"),
        generator: facts.text("GENERATOR").into(),
    }
}

/// Metadata by key, read with the leniency of istiod: booleans and numbers may be text.
struct Facts<'a>(&'a Map<String, Json>);

impl Facts<'_> {
    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Json::as_str).unwrap_or_default()
    }

    fn flag(&self, key: &str) -> bool {
        match self.0.get(key) {
            Some(Json::Bool(flag)) => *flag,
            Some(Json::String(text)) => text == "true",
            _ => false,
        }
    }

    fn port(&self, key: &str) -> u16 {
        let number = match self.0.get(key) {
            Some(Json::Number(number)) => number.as_f64().map(whole),
            Some(Json::String(text)) => text.parse().ok(),
            _ => None,
        };
        number.and_then(|number: i64| u16::try_from(number).ok()).unwrap_or_default()
    }

    fn list(&self, key: &str) -> Vec<Text> {
        self.text(key).split(',').map(str::trim).filter(|one| !one.is_empty()).map(Text::from).collect()
    }

    fn labels(&self, key: &str) -> Labels {
        let pairs = self.0.get(key).and_then(Json::as_object).into_iter().flatten();
        pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    fn files(&self, prefix: &str) -> CertFiles {
        let file = |name: &str| Text::from(self.text(&format!("{prefix}_{name}")));
        CertFiles { chain: file("CERT_CHAIN"), key: file("KEY"), root: file("ROOT_CERT") }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "floats beyond the range saturate, and no port is there")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// The addresses in the list if all of them are valid, else the id's own.
fn addresses(list: &str, own: &str) -> Vec<IpAddr> {
    let all: Option<Vec<IpAddr>> = list.split(',').map(|ip| ip.trim().parse().ok()).collect();
    match all {
        Some(ips) if !ips.is_empty() => ips,
        _ => own.parse().into_iter().collect(),
    }
}

fn namespace(declared: &str, domain: &str) -> Text {
    match domain.split_once('.') {
        _ if !declared.is_empty() => declared.into(),
        Some((namespace, _)) => namespace.into(),
        None => "".into(),
    }
}

/// `region/zone/subzone` by topology labels, else by `istio-locality` (dots for slashes), else as declared.
fn locality(labels: &Labels, declared: &(String, String, String)) -> Text {
    let label = |key: &str| labels.get(key).unwrap_or_default();
    let region = label(labels::REGION);
    if !region.is_empty() {
        return join_locality(region, label(labels::ZONE), label(labels::SUBZONE));
    }
    match label("istio-locality") {
        "" => join_locality(&declared.0, &declared.1, &declared.2),
        text if text.contains('/') => text.into(),
        text => text.replace('.', "/").into(),
    }
}

/// `region/zone/subzone` without empty ends.
pub fn join_locality(region: &str, zone: &str, subzone: &str) -> Text {
    match (region, zone, subzone) {
        ("", "", "") => "".into(),
        (region, "", "") => region.into(),
        (region, zone, "") => format!("{region}/{zone}").into(),
        (region, zone, subzone) => format!("{region}/{zone}/{subzone}").into(),
    }
}

/// `1.29.2-alpha` as numbers; what is no version counts as the newest.
fn version(text: &str) -> IstioVersion {
    let mut numbers = text.split(['.', '-']).map_while(|part| part.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => IstioVersion(major, minor, numbers.next().unwrap_or(0)),
        _ => NEWEST,
    }
}

/// What a proxy can do: by the types it lists; one that lists none is Istio's own if it says a version.
fn capabilities(type_urls: Option<&[String]>, declares_version: bool) -> Capabilities {
    let Some(list) = type_urls else {
        let all = declares_version;
        return Capabilities { metadata_exchange: all, alpn: all, stats: all, mysql: all };
    };
    let knows = |message: &str| list.iter().any(|url| url.rsplit('/').next() == Some(message));
    Capabilities {
        metadata_exchange: knows("io.istio.http.peer_metadata.Config")
            && knows("envoy.tcp.metadataexchange.config.MetadataExchange"),
        alpn: knows("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
        stats: knows("stats.PluginConfig"),
        mysql: knows("envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy"),
    }
}

fn interception(mode: &str) -> Interception {
    match mode {
        "TPROXY" => Interception::Tproxy,
        "NONE" => Interception::None,
        _ => Interception::Redirect,
    }
}

/// Container ports, written as JSON within the metadata; what is no such list is none.
fn pod_ports(text: &str) -> Vec<(Text, u16, Text)> {
    let Ok(Json::Array(list)) = serde_json::from_str(text) else { return Vec::new() };
    let port = |one: &Json| {
        let field = |key| one.get(key).and_then(Json::as_str).unwrap_or_default();
        let number = u16::try_from(one.get("containerPort")?.as_u64()?).ok()?;
        Some((field("name").into(), number, field("protocol").into()))
    };
    list.iter().filter_map(port).collect()
}

/// Ports that the proxy or its agent itself binds.
fn reserved_ports(facts: &Facts<'_>) -> Vec<u16> {
    let keys = [
        "ENVOY_STATUS_PORT",
        "ENVOY_PROMETHEUS_PORT",
        "ENVOY_SECURE_METRICS_PORT",
        "ENVOY_SECURE_MERGED_METRICS_PORT",
    ];
    keys.into_iter().map(|key| facts.port(key)).filter(|port| *port != 0).collect()
}

/// A duration in Go's form (`1m30s`); `None` if it is none or negative.
pub fn duration(text: &str) -> Option<Duration> {
    text.parse::<istio_api::leniency::Duration>().ok()?.to_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, metadata: Json) -> Node {
        let Json::Object(metadata) = metadata else { panic!("an object") };
        Node { id: id.into(), metadata, ..Node::default() }
    }

    #[test]
    fn an_id_out_of_shape_is_told() {
        for (id, part) in [
            ("", "form type~ip"),
            ("sidecar~1.1.1.1~a", "form type~ip"),
            ("waypoint~1.1.1.1~a.b~c", "type 'waypoint'"),
            ("sidecar~one~a.b~c", "no valid IP"),
        ] {
            let error = parse_node(&node(id, serde_json::json!({}))).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn metadata_is_read_as_istiod_reads_it() {
        let metadata = serde_json::json!({
            "INSTANCE_IPS": "10.0.0.1,fe80::1", "ISTIO_VERSION": "1.29.2-rc.0", "UNPRIVILEGED_POD": "true",
            "ENVOY_STATUS_PORT": 15021, "POD_PORTS": "[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":\"TCP\"}]",
            "LABELS": {"a": "1", "istio-locality": "r.z.s"}, "STATIC_LABELS": {"a": "2"}, "IDLE_TIMEOUT": "1m"});
        let proxy = parse_node(&node("sidecar~9.9.9.9~p.ns~ns.svc.cluster.local", metadata)).unwrap();
        assert_eq!(proxy.ips.len(), 2);
        assert_eq!(&*proxy.namespace, "ns");
        assert_eq!(proxy.labels.get("a"), Some("2"));
        assert_eq!(&*proxy.locality, "r/z/s");
        assert_eq!(proxy.version, IstioVersion(1, 29, 2));
        assert_eq!(proxy.pod_ports, [("http".into(), 8080, "TCP".into())]);
        assert_eq!(proxy.reserved_ports, [15021]);
        assert_eq!(proxy.idle_timeout, Some(Duration::from_secs(60)));
        assert!(proxy.unprivileged && proxy.capabilities.alpn);
    }

    #[test]
    fn capabilities_follow_the_listed_types() {
        let stock = vec!["type.googleapis.com/envoy.extensions.filters.http.router.v3.Router".to_owned()];
        assert!(!capabilities(Some(&stock), true).alpn);
        let stats = vec!["type.googleapis.com/stats.PluginConfig".to_owned()];
        assert!(capabilities(Some(&stats), false).stats);
        assert!(!capabilities(None, false).metadata_exchange);
    }
}
