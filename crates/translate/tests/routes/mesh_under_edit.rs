//! A mesh as a user edits it, and what a client is told.

use memo::Shared;
use mesh::{Config, RouteProfile, Snapshot};
use model::parse::proxy::{Node, parse_node};
use model::parse::{Context, parse_object};
use model::{Change, Proxy};
use serde_json::{Value, json};
use translate::routes::{self, Inputs, Memos};

/// A mesh under edit, seen by one client of namespace `a`.
pub(crate) struct Mesh {
    pub(crate) snapshot: Snapshot,
    client: Shared<Proxy>,
    pub(crate) memos: Memos,
}

impl Mesh {
    pub(crate) fn new(objects: &[Value]) -> Self {
        let node = Node { id: "sidecar~10.0.0.1~client.a~a.svc.cluster.local".into(), ..Node::default() };
        let client = Shared::new(parse_node(&node).unwrap());
        let mut mesh = Self { snapshot: Snapshot::default(), client, memos: Memos::default() };
        mesh.apply(objects);
        mesh
    }

    /// Puts objects.
    pub(crate) fn apply(&mut self, objects: &[Value]) {
        let mut config = self.snapshot.config.clone();
        objects.iter().for_each(|object| put(&mut config, object, true));
        self.snapshot = self.snapshot.next(config);
    }

    /// Puts one object or takes it away.
    pub(crate) fn edit(&mut self, object: &Value, present: bool) {
        let mut config = self.snapshot.config.clone();
        put(&mut config, object, present);
        self.snapshot = self.snapshot.next(config);
    }

    /// The same mesh, read at once by a process that knows nothing yet.
    pub(crate) fn afresh(&self) -> Self {
        let snapshot = Snapshot::default().next(self.snapshot.config.clone());
        Self { snapshot, client: self.client.clone(), memos: Memos::default() }
    }

    /// All names that the client's listeners could ask for, and some more.
    pub(crate) fn names(&self) -> Vec<envoy_api::Name> {
        let mut names = routes::names(&self.snapshot.member(&self.client).scope, true);
        names.extend(["80", "8080", "unknown"].map(Into::into));
        names
    }

    pub(crate) fn resource(&self, name: &str) -> Shared<envoy_api::Resource> {
        let member = self.snapshot.member(&self.client);
        let inputs = Inputs {
            scope: member.scope.clone(),
            profile: Shared::new(RouteProfile::of(&member)),
            gateway: None,
            routes: Shared::default(),
            mesh: self.snapshot.config.mesh.clone(),
            settings: self.snapshot.config.settings.clone(),
        };
        routes::sidecar(&inputs, name, &self.memos)
    }

    /// The virtual hosts of a table in JSON.
    fn virtual_hosts(&self, name: &str) -> Vec<Value> {
        let resource = self.resource(name);
        let json = envoy_api::json::resource(envoy_api::type_url::ROUTE, &resource.body.to_bytes());
        json["virtualHosts"].as_array().cloned().unwrap_or_default()
    }

    /// The first route of a table in JSON.
    pub(crate) fn first_route(&self, name: &str) -> Value {
        self.virtual_hosts(name)[0]["routes"][0].clone()
    }

    /// The domains of all virtual hosts of a table.
    pub(crate) fn domains(&self, name: &str) -> Vec<String> {
        let hosts = self.virtual_hosts(name);
        let domains = hosts.iter().flat_map(|host| host["domains"].as_array().unwrap());
        domains.map(|domain| text(domain).to_owned()).collect()
    }

    /// `virtual host [domains]: routes`, one a line.
    pub(crate) fn hosts(&self, name: &str) -> String {
        let hosts = self.virtual_hosts(name);
        let line = |host: &Value| {
            let domains: Vec<_> = host["domains"].as_array().unwrap().iter().map(text).collect();
            let routes: Vec<_> = host["routes"].as_array().unwrap().iter().map(route).collect();
            format!("{} [{}]: {}\n", text(&host["name"]), domains.join(" "), routes.join(", "))
        };
        hosts.iter().map(line).collect()
    }
}

fn put(config: &mut Config, object: &Value, present: bool) {
    let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
    let parsed = parse_object(object, &context).unwrap();
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    config.apply(Change {
        key: parsed.key,
        value: parsed.value.filter(|_| present),
        origin: Default::default(),
        problems: Vec::new(),
    });
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn route(route: &Value) -> String {
    let to = match route["directResponse"]["status"].as_u64() {
        Some(status) => status.to_string(),
        None => text(&route["route"]["cluster"]).to_owned(),
    };
    format!("{} -> {to}", text(&route["match"]["prefix"]))
}

fn meta(namespace: &str, name: &str) -> Value {
    json!({"namespace": namespace, "name": name})
}

pub(crate) fn service(namespace: &str, name: &str, ip: &str, ports: &[(&str, u16)]) -> Value {
    let port = |(name, port): &(&str, u16)| json!({"name": name, "port": port});
    let ports: Vec<_> = ports.iter().map(port).collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(namespace, name),
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports}})
}

pub(crate) fn entry(namespace: &str, host: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": meta(namespace, "entry"),
        "spec": {"hosts": [host], "resolution": "DNS",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}})
}

pub(crate) fn rules(namespace: &str, name: &str, hosts: &[&str], http: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": meta(namespace, name), "spec": {"hosts": hosts, "http": http}})
}

pub(crate) fn to(host: &str) -> Value {
    json!([{"destination": {"host": host}}])
}
