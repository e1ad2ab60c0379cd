//! Objects of the API as Go structs, which is how templates see them: other names, and zero values for what
//! is not given.

use std::collections::HashMap;

use gtmpl_ng::Value;
use serde_json::{Map, Value as Json};

use crate::engine::{from_json, to_json};

/// Fields whose Go name is not the JSON name with a capital.
const NAMES: [(&str, &str); 36] = [
    ("apiVersion", "APIVersion"),
    ("uid", "UID"),
    ("ip", "IP"),
    ("tty", "TTY"),
    ("os", "OS"),
    ("dnsPolicy", "DNSPolicy"),
    ("dnsConfig", "DNSConfig"),
    ("fsGroup", "FSGroup"),
    ("fsGroupChangePolicy", "FSGroupChangePolicy"),
    ("fsType", "FSType"),
    ("httpGet", "HTTPGet"),
    ("httpHeaders", "HTTPHeaders"),
    ("tcpSocket", "TCPSocket"),
    ("grpc", "GRPC"),
    ("uri", "URI"),
    ("url", "URL"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("seLinuxMount", "SELinuxMount"),
    ("seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("csi", "CSI"),
    ("nfs", "NFS"),
    ("rbd", "RBD"),
    ("fc", "FC"),
    ("iscsi", "ISCSI"),
    ("iscsiInterface", "ISCSIInterface"),
    ("iqn", "IQN"),
    ("pdID", "PDID"),
    ("pdName", "PDName"),
    ("wwids", "WWIDs"),
    ("targetWWNs", "TargetWWNs"),
    ("cephfs", "CephFS"),
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("gmsaCredentialSpec", "GMSACredentialSpec"),
    ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
    ("serviceAccount", "DeprecatedServiceAccount"),
];

/// Fields that are maps of a user's own keys.
const MAPS: [&str; 14] = [
    "labels",
    "annotations",
    "nodeSelector",
    "matchLabels",
    "limits",
    "requests",
    "overhead",
    "volumeAttributes",
    "proxyMetadata",
    "runtimeValues",
    "capacity",
    "options",
    "includeAdditionalHeadersInCheck",
    "customTags",
];

/// What is there though it is not given.
#[derive(Clone, Copy)]
enum Zero {
    Text,
    Number,
    False,
    List,
    Map,
}

const META: &[(&str, Zero)] = &[
    ("Name", Zero::Text),
    ("GenerateName", Zero::Text),
    ("Namespace", Zero::Text),
    ("Labels", Zero::Map),
    ("Annotations", Zero::Map),
    ("OwnerReferences", Zero::List),
];
const SPEC: &[(&str, Zero)] = &[
    ("Volumes", Zero::List),
    ("InitContainers", Zero::List),
    ("Containers", Zero::List),
    ("EphemeralContainers", Zero::List),
    ("RestartPolicy", Zero::Text),
    ("DNSPolicy", Zero::Text),
    ("NodeSelector", Zero::Map),
    ("ServiceAccountName", Zero::Text),
    ("DeprecatedServiceAccount", Zero::Text),
    ("NodeName", Zero::Text),
    ("HostNetwork", Zero::False),
    ("HostPID", Zero::False),
    ("HostIPC", Zero::False),
    ("ImagePullSecrets", Zero::List),
    ("Hostname", Zero::Text),
    ("Subdomain", Zero::Text),
    ("SchedulerName", Zero::Text),
    ("Tolerations", Zero::List),
    ("HostAliases", Zero::List),
    ("PriorityClassName", Zero::Text),
];
const CONTAINER: &[(&str, Zero)] = &[
    ("Name", Zero::Text),
    ("Image", Zero::Text),
    ("Command", Zero::List),
    ("Args", Zero::List),
    ("WorkingDir", Zero::Text),
    ("Ports", Zero::List),
    ("EnvFrom", Zero::List),
    ("Env", Zero::List),
    ("VolumeMounts", Zero::List),
    ("ImagePullPolicy", Zero::Text),
];
const PORT: &[(&str, Zero)] = &[
    ("Name", Zero::Text),
    ("HostPort", Zero::Number),
    ("ContainerPort", Zero::Number),
    ("Protocol", Zero::Text),
    ("HostIP", Zero::Text),
];
const ENV: &[(&str, Zero)] = &[("Name", Zero::Text), ("Value", Zero::Text)];
const NOTHING: &[(&str, Zero)] = &[];

/// The metadata of a pod.
pub(crate) fn metadata(json: &Json) -> Value {
    structure(json, META)
}

/// The specification of a pod.
pub(crate) fn pod_spec(json: &Json) -> Value {
    structure(json, SPEC)
}

/// A message of Istio's API: besides `Field` there is `GetField`, and wrapped values answer `GetValue`.
pub(crate) fn message(json: &Json, wrapped: &[&str]) -> HashMap<String, Value> {
    let mut fields = HashMap::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let value = match value {
            _ if MAPS.contains(&name.as_str()) => from_json(value),
            Json::Object(_) => Value::Map(message(value, &[])),
            Json::Array(items) => Value::Array(items.iter().map(item).collect()),
            plain if wrapped.contains(&name.as_str()) => {
                let plain = from_json(plain);
                Value::Map([("Value".into(), plain.clone()), ("GetValue".into(), plain)].into())
            }
            plain => from_json(plain),
        };
        let go = capital(name);
        fields.insert(format!("Get{go}"), value.clone());
        fields.insert(go, value);
    }
    fields
}

fn item(json: &Json) -> Value {
    if json.is_object() { Value::Map(message(json, &[])) } else { from_json(json) }
}

fn structure(json: &Json, zeros: &[(&str, Zero)]) -> Value {
    let mut fields: HashMap<String, Value> = json
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (go_name(name), field(name, value)))
        .collect();
    for (name, zero) in zeros {
        let empty = || match zero {
            Zero::Text => Value::from(""),
            Zero::Number => Value::from(0i64),
            Zero::False => Value::Bool(false),
            Zero::List => Value::Array(Vec::new()),
            Zero::Map => Value::Map(HashMap::new()),
        };
        fields.entry((*name).to_owned()).or_insert_with(empty);
    }
    Value::Map(fields)
}

fn field(name: &str, value: &Json) -> Value {
    let zeros = match name {
        "containers" | "initContainers" | "ephemeralContainers" => CONTAINER,
        "ports" => PORT,
        "env" => ENV,
        _ => NOTHING,
    };
    match value {
        Json::Object(_) if !MAPS.contains(&name) => structure(value, zeros),
        Json::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| if item.is_object() { structure(item, zeros) } else { from_json(item) })
                .collect(),
        ),
        plain => from_json(plain),
    }
}

fn go_name(json: &str) -> String {
    let special = NAMES.iter().find(|(name, _)| *name == json);
    special.map_or_else(|| capital(json), |(_, go)| (*go).to_owned())
}

fn capital(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

fn api_name(go: &str) -> String {
    if let Some((name, _)) = NAMES.iter().find(|(_, name)| *name == go) {
        return (*name).to_owned();
    }
    let mut characters = go.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}

/// A value as the API writes it: a struct gets its JSON names back and loses its zero values.
pub(crate) fn to_api(value: &Value) -> Json {
    match value {
        Value::Map(fields) | Value::Object(fields) if is_structure(fields) => {
            let given = fields.iter().filter(|(name, value)| !name.starts_with("Get") && !is_zero(value));
            Json::Object(given.map(|(name, value)| (api_name(name), to_api(value))).collect::<Map<_, _>>())
        }
        Value::Map(fields) if !fields.contains_key(crate::engine::ORIGIN) => Json::Object(
            fields.iter().map(|(name, value)| (name.clone(), to_api(value))).collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Json::Array(items.iter().map(to_api).collect()),
        other => to_json(other),
    }
}

/// The fields of Go structs begin with a capital; the keys of Istio's values do not.
fn is_structure(fields: &HashMap<String, Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|name| name.starts_with(|first: char| first.is_ascii_uppercase()))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Map(fields) => fields.is_empty(),
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_i64() == Some(0),
        other => matches!(other, Value::Nil | Value::NoValue),
    }
}

/// The JSON text of a value as the API writes it, a container's port in the order of Go's struct.
pub(crate) fn api_text(value: &Value) -> String {
    if let Value::Map(fields) | Value::Object(fields) = value
        && let Some(Value::String(origin)) = fields.get(crate::engine::ORIGIN)
    {
        return origin.clone();
    }
    let json = to_api(value);
    match json.as_object() {
        Some(port) if port.contains_key("containerPort") => {
            let order = ["name", "hostPort", "containerPort", "protocol", "hostIP"];
            let fields = order.iter().filter_map(|name| Some(format!("\"{name}\":{}", port.get(*name)?)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        _ => json.to_string(),
    }
}
