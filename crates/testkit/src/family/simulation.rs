//! Family `xds-simulation`: calls sent through our configuration arrive where istiod's would send them.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    corpus::{self, Error},
    offline::{self, Request, Translate},
    simulate::{Call, Configuration, Outcome, sanity, simulate},
    verdict::Verdict,
};

/// The verdicts of the family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Cases of Istio's own API.
    pub verdicts: Vec<Verdict>,
    /// Ids of the cases that need Gateway API or Ingress; not judged unless wanted.
    pub out_of_scope: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

/// A case of the family.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Unique in the family.
    pub id: String,
    config: Option<String>,
    kube: Option<String>,
    settings: Settings,
    #[serde(default)]
    calls: Vec<Expectation>,
    #[serde(default)]
    expected: Expected,
}

#[derive(Clone, Debug, Deserialize)]
struct Settings {
    proxy: Proxy,
    #[serde(default)]
    env: BTreeMap<String, String>,
    mesh: Option<Value>,
    route_name: Option<String>,
    #[serde(default)]
    skip_xds_validation: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Proxy {
    r#type: String,
    labels: Map<String, Value>,
    metadata: Map<String, Value>,
    config_namespace: String,
    ip_addresses: Vec<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            r#type: "sidecar".to_owned(),
            labels: Map::new(),
            metadata: Map::new(),
            config_namespace: "default".to_owned(),
            ip_addresses: vec!["1.1.1.1".to_owned()],
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Expectation {
    name: String,
    call: Call,
    result: Wanted,
}

#[derive(Clone, Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    strict: bool,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Expected {
    #[serde(default)]
    routes: BTreeMap<String, Option<Vec<String>>>,
}

/// Judges every case that needs nothing but Istio's own API; with `everything`, the others as well.
pub fn judge(root: &Path, everything: bool, translate: &Translate<'_>) -> Result<Judged, Error> {
    let family = root.join("xds-simulation");
    let mut judged = Judged::default();
    for case in cases(root)? {
        let documents = case.documents(&family)?;
        if !everything && documents.iter().any(|(_, documents)| documents.iter().any(is_out_of_scope)) {
            judged.out_of_scope.push(case.id);
            continue;
        }
        let failure = match offline::ask(translate, &case.request(documents)) {
            Err(message) => Some(message),
            Ok(answer) => case.failure(&Configuration::from(&answer)),
        };
        judged.verdicts.push(Verdict { id: case.id, failure });
    }
    Ok(judged)
}

/// All cases of the family.
pub fn cases(root: &Path) -> Result<Vec<Case>, Error> {
    let manifest: Manifest = corpus::json(&root.join("xds-simulation/manifest.json"))?;
    Ok(manifest.cases)
}

fn is_out_of_scope(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("gateway.networking.k8s.io/") || object["kind"] == "Ingress"
}

type Documents = Vec<(String, Vec<Value>)>;

impl Case {
    /// The case's objects by file, each with a namespace, short hosts in Istio's objects resolved.
    fn documents(&self, family: &Path) -> Result<Documents, Error> {
        let mut files = Vec::new();
        for (name, file) in [("config.yaml", &self.config), ("kube.yaml", &self.kube)] {
            let Some(file) = file else { continue };
            let mut documents = corpus::yaml(&family.join(file))?;
            documents.iter_mut().for_each(|object| prepare(object, name == "config.yaml"));
            files.push((name.to_owned(), documents));
        }
        Ok(files)
    }

    fn request(&self, documents: Documents) -> Request {
        // JSON is YAML, so each object is written as a document of one line.
        let text = |objects: Vec<Value>| objects.iter().map(|object| format!("---\n{object}\n")).collect();
        let names = self.settings.route_name.iter().map(|name| ("rds".to_owned(), vec![name.clone()]));
        Request {
            files: documents.into_iter().map(|(name, objects)| (name, text(objects))).collect(),
            mesh: self.settings.mesh.as_ref().map(Value::to_string),
            env: self.settings.env.clone(),
            node: self.settings.proxy.node(),
            types: ["cds", "lds", "rds"].map(str::to_owned).to_vec(),
            names: names.collect(),
            ..Request::default()
        }
    }

    /// What is wrong with a configuration by this case; `None`: nothing.
    pub fn failure(&self, configuration: &Configuration) -> Option<String> {
        let mut wrong = Vec::new();
        if !self.settings.skip_xds_validation {
            wrong.extend(sanity::problems(configuration));
        }
        for one in &self.calls {
            let outcome = simulate(configuration, &one.call);
            wrong.extend(
                one.result.failure(&outcome).map(|failure| format!("call {:?}: {failure}", one.name)),
            );
        }
        wrong.extend(self.route_failures(configuration));
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    fn route_failures(&self, configuration: &Configuration) -> Vec<String> {
        let name = self.settings.route_name.as_deref().unwrap_or_default();
        let config = configuration.route_config(name).unwrap_or(&Value::Null);
        let failure = |(domain, wanted): (&String, &Option<Vec<String>>)| {
            let actual = destinations(config, domain);
            (actual != *wanted)
                .then(|| format!("route {name} domain {domain}: expected {wanted:?}, got {actual:?}"))
        };
        self.expected.routes.iter().filter_map(failure).collect()
    }
}

/// Clusters of all routes of the virtual host that has a domain, in order; `None`: no virtual host has it.
fn destinations(config: &Value, domain: &str) -> Option<Vec<String>> {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let host = list(config, "virtualHosts")
        .into_iter()
        .find(|host| list(host, "domains").contains(&json!(domain)))?;
    let mut clusters = Vec::new();
    for route in list(&host, "routes") {
        let weighted = list(&route["route"]["weightedClusters"], "clusters");
        let names = weighted.iter().map(|one| &one["name"]).chain([&route["route"]["cluster"]]);
        clusters.extend(names.filter_map(Value::as_str).map(str::to_owned));
    }
    Some(clusters)
}

impl Wanted {
    /// Only the fields that are listed must match; with `strict`, the others must be empty. An absent `error`
    /// says that there is none.
    fn failure(&self, outcome: &Outcome) -> Option<String> {
        let Ok(Value::Object(mut actual)) = serde_json::to_value(outcome) else {
            return Some("outcome is no object".to_owned());
        };
        let empty = |field: &str| if field == "error" { Value::Null } else { Value::from("") };
        actual.retain(|field, _| self.strict || field == "error" || self.fields.contains_key(field));
        let wrong = actual.iter().filter_map(|(field, value)| {
            let wanted = self.fields.get(field).cloned().unwrap_or_else(|| empty(field));
            (*value != wanted).then(|| format!("{field}: expected {wanted}, got {value}"))
        });
        let wrong: Vec<String> = wrong.collect();
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }
}

impl Proxy {
    /// The node that stands for the case's proxy.
    fn node(&self) -> Value {
        let of_metadata = self.metadata.get("NAMESPACE").and_then(Value::as_str);
        let namespace = of_metadata.unwrap_or(&self.config_namespace);
        let addresses = self.ip_addresses.join(",");
        let first = self.ip_addresses.first().map_or("", String::as_str);
        let mut metadata = Map::new();
        metadata.insert("CLUSTER_ID".to_owned(), "Kubernetes".into());
        metadata.insert("INSTANCE_IPS".to_owned(), addresses.into());
        metadata.insert("ISTIO_VERSION".to_owned(), "1.23.0".into());
        metadata.insert("NAMESPACE".to_owned(), namespace.into());
        metadata.insert("LABELS".to_owned(), Value::Object(self.labels.clone()));
        // The labels of a case are those of the workload, also where it stands for an endpoint without any.
        metadata.insert("STATIC_LABELS".to_owned(), Value::Object(self.labels.clone()));
        metadata.extend(self.metadata.clone());
        let id = format!("{}~{first}~app.test~{namespace}.svc.cluster.local", self.r#type);
        json!({"id": id, "cluster": format!("app.{namespace}"), "metadata": metadata})
    }
}

/// Gives an object the namespace that upstream's loader gives it, and in Istio's objects resolves short hosts
/// as upstream does in this family: to `name.namespace`, without a domain.
fn prepare(object: &mut Value, resolve: bool) {
    const CLUSTER_WIDE: [&str; 4] = ["Namespace", "Node", "GatewayClass", "IngressClass"];
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if CLUSTER_WIDE.contains(&kind.as_str()) || !object.is_object() {
        return;
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
    object["metadata"]["namespace"] = namespace.as_str().into();
    if !resolve {
        return;
    }
    match kind.as_str() {
        "VirtualService" => {
            object["spec"]["hosts"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|host| qualify(host, &namespace));
            resolve_destinations(&mut object["spec"], &namespace);
        }
        "DestinationRule" => qualify(&mut object["spec"]["host"], &namespace),
        _ => {}
    }
}

/// Resolves the host of every destination and mirror below a value.
fn resolve_destinations(value: &mut Value, namespace: &str) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| resolve_destinations(element, namespace)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if matches!(name.as_str(), "destination" | "mirror")
                    && let Some(host) = field.get_mut("host")
                {
                    qualify(host, namespace);
                }
                resolve_destinations(field, namespace);
            }
        }
        _ => {}
    }
}

fn qualify(host: &mut Value, namespace: &str) {
    let short =
        host.as_str().filter(|host| !host.is_empty() && !host.contains(['.', '*'])).map(str::to_owned);
    if let Some(name) = short {
        *host = format!("{name}.{namespace}").into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Refusal;

    fn wanted(result: Value) -> Wanted {
        serde_json::from_value(result).expect("a result")
    }

    fn arrived() -> Outcome {
        Outcome { listener: "l".to_owned(), cluster: "c".to_owned(), ..Outcome::default() }
    }

    #[test]
    fn only_listed_fields_count_unless_strict() {
        assert_eq!(wanted(json!({"cluster": "c"})).failure(&arrived()), None);
        let wrong = wanted(json!({"cluster": "d"})).failure(&arrived());
        assert_eq!(wrong.as_deref(), Some("cluster: expected \"d\", got \"c\""));
        let strict = wanted(json!({"cluster": "c", "strict": true})).failure(&arrived());
        assert_eq!(strict.as_deref(), Some("listener: expected \"\", got \"l\""));
        assert_eq!(
            wanted(json!({"cluster": "c", "listener": "l", "strict": true})).failure(&arrived()),
            None
        );
    }

    #[test]
    fn an_error_that_is_not_listed_is_wrong_and_a_listed_one_must_occur() {
        let refused = Outcome { error: Some(Refusal::NoRoute), ..Outcome::default() };
        let wrong = wanted(json!({})).failure(&refused);
        assert_eq!(wrong.as_deref(), Some("error: expected null, got \"no_route\""));
        assert_eq!(wanted(json!({"error": "no_route"})).failure(&refused), None);
        assert!(wanted(json!({"error": "no_route"})).failure(&arrived()).is_some());
    }

    #[test]
    fn routes_lead_to_clusters_in_order() {
        let weighted = json!({"route": {"weightedClusters": {"clusters": [{"name": "a"}, {"name": "b"}]}}});
        let routes = json!([weighted, {"route": {"cluster": "c"}}, {"redirect": {}}]);
        let config = json!({"virtualHosts": [{"domains": ["x", "y"], "routes": routes}]});
        assert_eq!(destinations(&config, "y"), Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
        assert_eq!(destinations(&config, "z"), None);
    }

    #[test]
    fn short_hosts_of_istio_objects_get_their_namespace_only() {
        let route = json!([{"route": [{"destination": {"host": "a"}}], "mirror": {"host": "b.c"}}]);
        let mut object =
            json!({"kind": "VirtualService", "metadata": {}, "spec": {"hosts": ["*", "h"], "http": route}});
        prepare(&mut object, true);
        let route = json!([{"route": [{"destination": {"host": "a.default"}}], "mirror": {"host": "b.c"}}]);
        let spec = json!({"hosts": ["*", "h.default"], "http": route});
        let wanted = json!({"kind": "VirtualService", "metadata": {"namespace": "default"}, "spec": spec});
        assert_eq!(object, wanted);
    }

    #[test]
    fn a_proxy_has_the_defaults_of_the_family() {
        let node = Proxy::default().node();
        assert_eq!(node["id"], "sidecar~1.1.1.1~app.test~default.svc.cluster.local");
        assert_eq!(node["metadata"]["NAMESPACE"], "default");
        assert_eq!(node["metadata"]["ISTIO_VERSION"], "1.23.0");
        let router = json!({"type": "router", "metadata": {"NAMESPACE": "istio-system"}});
        let router: Proxy = serde_json::from_value(router).expect("a proxy");
        assert_eq!(router.node()["id"], "router~1.1.1.1~app.test~istio-system.svc.cluster.local");
    }
}
