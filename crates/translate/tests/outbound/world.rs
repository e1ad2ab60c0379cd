//! A mesh, the sidecar that calls into it, and the sidecar's outbound listeners as text.

use memo::Shared;
use mesh::{Config, ListenerProfile, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::listeners::{self, Inputs, Memos};

/// A mesh under edit.
pub(crate) struct World {
    pub(crate) config: Config,
    snapshot: Snapshot,
    pub(crate) memos: Memos,
}

impl World {
    pub(crate) fn new(objects: &[Value]) -> Self {
        let mut world =
            Self { config: Config::default(), snapshot: Snapshot::default(), memos: Memos::default() };
        world.apply(objects);
        world
    }

    /// Puts objects.
    pub(crate) fn apply(&mut self, objects: &[Value]) {
        for object in objects {
            let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
            let parsed = parse_object(object, &context).unwrap();
            assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
            self.config.apply(Change {
                key: parsed.key,
                value: parsed.value,
                origin: Default::default(),
                problems: Vec::new(),
            });
        }
        self.snapshot = self.snapshot.next(self.config.clone());
    }

    /// The listeners of a proxy.
    pub(crate) fn resources(&self, proxy: &Shared<Proxy>) -> Vec<Shared<envoy_api::Resource>> {
        let member = self.snapshot.member(proxy);
        let inputs = Inputs {
            profile: Shared::new(ListenerProfile::of(&member)),
            scope: member.scope.clone(),
            targets: Vec::new(),
            workload_authn: member.authn.clone(),
            gateway: None,
            facts: self.snapshot.endpoints.facts.clone(),
            collectors: self.snapshot.collectors.clone(),
            routes: Shared::default(),
            mesh: self.config.mesh.clone(),
            settings: self.config.settings.clone(),
        };
        listeners::sidecar(&inputs, &self.memos)
    }

    /// The listener of this name in JSON; `null` if there is none.
    pub(crate) fn listener(&self, name: &str) -> Value {
        let all = self.resources(&client("a", &json!({})));
        all.iter().find(|one| &*one.name == name).map_or(Value::Null, |one| decode(one))
    }

    /// The listeners of a client in namespace `a`, but for those that every sidecar has.
    pub(crate) fn told(&self) -> String {
        self.told_to(&client("a", &json!({})))
    }

    /// The listeners of a client, but for those that every sidecar has.
    pub(crate) fn told_to(&self, proxy: &Shared<Proxy>) -> String {
        let own = self.resources(proxy);
        own.iter().filter(|one| !one.name.starts_with("virtual")).map(|one| describe(&decode(one))).collect()
    }
}

/// A client at `10.0.0.1` with further metadata.
pub(crate) fn client(namespace: &str, metadata: &Value) -> Shared<Proxy> {
    let id = format!("sidecar~10.0.0.1~client.{namespace}~{namespace}.svc.cluster.local");
    let metadata = metadata.as_object().cloned().unwrap_or_default();
    Shared::new(parse_node(&Node { id, metadata, ..Node::default() }).unwrap())
}

fn decode(resource: &envoy_api::Resource) -> Value {
    envoy_api::json::resource(envoy_api::type_url::LISTENER, &resource.body.to_bytes())
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

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A Kubernetes Service; the names of ports tell their protocols.
pub(crate) fn service(name: &str, ip: &str, ports: &[(&str, u16)]) -> Value {
    let port = |(name, port): &(&str, u16)| json!({"name": name, "port": port});
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports}})
}

/// The endpoints of a Service.
pub(crate) fn slice(service: &str, port: (&str, u16), addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses.iter().map(|address| json!({"addresses": [address]})).collect();
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "a", "name": service, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints, "ports": [{"name": port.0, "port": port.1}]})
}

/// An object of Istio's networking API in namespace `a`.
pub(crate) fn istio(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "spec": spec,
        "metadata": {"namespace": "a", "name": name}})
}

/// A ServiceEntry that resolves nothing.
pub(crate) fn entry(name: &str, addresses: &[&str], port: (u16, &str)) -> Value {
    istio(
        "ServiceEntry",
        name,
        json!({"hosts": [format!("{name}.com")], "addresses": addresses, "resolution": "NONE",
            "ports": [{"number": port.0, "name": "p", "protocol": port.1}]}),
    )
}
