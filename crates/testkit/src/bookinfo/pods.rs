//! The Pods of a folder, as much of them as is needed to play them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

/// A Pod to be played by processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name, by which its processes are named too.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The account that it runs as.
    pub service_account: String,
    /// The address that its proxy and its application listen on.
    pub ip: IpAddr,
}

impl Pod {
    /// A label's value, empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Whether it is only a proxy, without an application behind it.
    pub fn is_gateway(&self) -> bool {
        self.labels.contains_key("istio")
    }
}

/// Reads every Pod of the YAML files right in a folder, ordered by address.
pub fn read_pods(folder: &Path) -> io::Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            pods.extend(parse_pods(&fs::read_to_string(&path)?).map_err(|cause| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", path.display()))
            })?);
        }
    }
    pods.sort_by_key(|pod| pod.ip);
    Ok(pods)
}

fn parse_pods(text: &str) -> Result<Vec<Pod>, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let is_pod = |document: &Value| document.get("kind").is_some_and(|kind| kind == "Pod");
    documents.into_iter().filter(is_pod).map(parse_pod).collect()
}

fn parse_pod(document: Value) -> Result<Pod, String> {
    let object: Object = serde_json::from_value(document).map_err(|error| error.to_string())?;
    Ok(Pod {
        name: object.metadata.name,
        namespace: object.metadata.namespace,
        labels: object.metadata.labels,
        service_account: object.spec.service_account_name,
        ip: object.status.pod_ip,
    })
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "serviceAccountName", default)]
    service_account_name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_found_among_other_objects() {
        let text = "kind: Service\n---\nkind: Pod\nmetadata: {name: a, namespace: books, labels: {app: x}}\n\
                    spec: {serviceAccountName: s}\nstatus: {podIP: 127.18.0.9}\n";
        let pods = parse_pods(text).unwrap();
        assert_eq!(pods.len(), 1);
        assert_eq!((pods[0].label("app"), pods[0].label("none"), pods[0].is_gateway()), ("x", "", false));
        assert!(parse_pods("kind: Pod\nmetadata: {name: a}\n").is_err());
    }
}
