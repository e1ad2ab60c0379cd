//! Outbound listeners as text.

use memo::Shared;
use model::Proxy;
use serde_json::{Value, json};

use crate::common::{World, decode, list, proxy, text};

impl World {
    /// A mesh of these objects, seen by a client in namespace `a`.
    pub(crate) fn new(objects: &[Value]) -> Self {
        Self::seen_by(client("a", &json!({})), objects)
    }

    /// The client's listeners, but for those that every sidecar has.
    pub(crate) fn told(&self) -> String {
        self.told_to(&self.proxy)
    }

    /// The listeners of a client, but for those that every sidecar has.
    pub(crate) fn told_to(&self, proxy: &Shared<Proxy>) -> String {
        let all = self.listeners(proxy);
        let own = all.iter().filter(|one| !one.name.starts_with("virtual"));
        own.map(|one| describe(&decode(envoy_api::type_url::LISTENER, one))).collect()
    }
}

/// A client at `10.0.0.1` with further metadata.
pub(crate) fn client(namespace: &str, metadata: &Value) -> Shared<Proxy> {
    proxy("sidecar", namespace, metadata)
}

/// `name [other addresses] bound (inspectors)`, then one chain a line; `else` stands before the default one.
pub(crate) fn describe(listener: &Value) -> String {
    let mut told = text(&listener["name"]).to_owned();
    for other in list(&listener["additionalAddresses"]) {
        told += &format!(" + {}", text(&other["address"]["socketAddress"]["address"]));
    }
    if let Some(path) = listener["address"]["pipe"]["path"].as_str() {
        told += &format!(" at {path}");
    }
    if listener["bindToPort"] != json!(false) {
        told += " bound";
    }
    for filter in list(&listener["listenerFilters"]) {
        told += &format!(" ({})", last(&filter["name"]));
    }
    told.push('\n');
    for chain in list(&listener["filterChains"]) {
        told += &format!("  {}\n", describe_chain(chain));
    }
    if listener["defaultFilterChain"].is_object() {
        told += &format!("  else {}\n", describe_chain(&listener["defaultFilterChain"]));
    }
    told
}

fn describe_chain(chain: &Value) -> String {
    let condition = &chain["filterChainMatch"];
    let ranges = list(&condition["prefixRanges"])
        .map(|range| format!("{}/{}", text(&range["addressPrefix"]), range["prefixLen"]));
    let words = [&condition["applicationProtocols"], &condition["serverNames"]].into_iter().flat_map(list);
    let words: Vec<String> = words.map(|word| text(word).to_owned()).chain(ranges).collect();
    let filters: Vec<String> = list(&chain["filters"]).map(describe_filter).collect();
    let rule = text(&chain["metadata"]["filterMetadata"]["istio"]["config"]);
    let rule = rule.rsplit('/').next().filter(|rule| !rule.is_empty());
    let rule = rule.map_or_else(String::new, |rule| format!(" by {rule}"));
    format!("[{}] {}{rule}", words.join(" "), filters.join(" "))
}

fn describe_filter(filter: &Value) -> String {
    let config = &filter["typedConfig"];
    match last(&filter["name"]) {
        "http_connection_manager" if config["routeConfig"].is_object() => {
            format!("http inline {}", text(&config["routeConfig"]["name"]))
        }
        "http_connection_manager" => format!("http {}", text(&config["rds"]["routeConfigName"])),
        "tcp_proxy" if config["cluster"].is_string() => format!("tcp {}", text(&config["cluster"])),
        "tcp_proxy" => {
            let clusters = list(&config["weightedClusters"]["clusters"]);
            let clusters: Vec<_> =
                clusters.map(|one| format!("{} of {}", one["weight"], text(&one["name"]))).collect();
            format!("tcp {{{}}}", clusters.join(", "))
        }
        other => other.to_owned(),
    }
}

fn last(name: &Value) -> &str {
    text(name).rsplit('.').next().unwrap_or_default()
}

/// A ServiceEntry that resolves nothing.
pub(crate) fn entry(name: &str, addresses: &[&str], port: (u16, &str)) -> Value {
    let ports = json!([{"number": port.0, "name": "p", "protocol": port.1}]);
    crate::common::entry(name, &json!({"addresses": addresses, "resolution": "NONE", "ports": ports}))
}
