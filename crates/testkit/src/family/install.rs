//! Family `install-manifests`: what Istio's charts hand to a control plane, and what they let it do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    corpus::{self, Error},
    verdict::Verdict,
};

/// The control plane as a chart meets it. What it cannot do is said in a sentence.
pub trait Install: Sync {
    /// It starts with these arguments and variables, and then is ready at this path.
    fn start(&self, arguments: &[String], variables: &BTreeMap<String, String>, ready: &str) -> Vec<String>;

    /// A variable is read, or it is known why it need not be.
    fn variable(&self, name: &str, value: &str) -> Result<(), String>;

    /// The ports on which it listens if nothing else is said.
    fn ports(&self) -> BTreeSet<u64>;

    /// What is mounted at this path is found there, or it is known why it need not be.
    fn folder(&self, path: &str) -> Result<(), String>;

    /// A mesh's configuration can be used.
    fn mesh(&self, text: &str) -> Result<(), String>;

    /// An injector's configuration and values can be used.
    fn injection(&self, config: &str, values: &str) -> Result<(), String>;

    /// A webhook is served at this path.
    fn webhook(&self, path: &str) -> Result<(), String>;

    /// What these ClusterRoles, and these Roles of its own namespace, grant is enough.
    fn rights(&self, everywhere: &[&Value], home: &[&Value]) -> Vec<String>;
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    rendered: String,
}

/// Judges every case that has something for a control plane, or those of them whose id has `part` in it; says how many
/// have nothing.
pub fn judge(root: &Path, part: Option<&str>, install: &dyn Install) -> Result<(Vec<Verdict>, usize), Error> {
    let family = root.join("install-manifests");
    let manifest: Manifest = corpus::json(&family.join("manifest.json"))?;
    let (mut verdicts, mut left_out) = (Vec::new(), 0);
    for case in manifest.cases.into_iter().filter(|case| part.is_none_or(|part| case.id.contains(part))) {
        let objects = corpus::yaml(&family.join(&case.rendered))?;
        match complaints(&objects, install) {
            None => left_out += 1,
            Some(complaints) => verdicts.push(Verdict {
                id: case.id,
                failure: (!complaints.is_empty()).then(|| complaints.join("; ")),
            }),
        }
    }
    Ok((verdicts, left_out))
}

/// What is wrong with the objects; `None` if none is for a control plane.
fn complaints(objects: &[Value], install: &dyn Install) -> Option<Vec<String>> {
    let of_objects: Vec<_> = objects.iter().filter_map(|object| complaints_of(object, install)).collect();
    let roles = roles(objects);
    if of_objects.is_empty() && roles.is_none() {
        return None;
    }
    let rights = roles.map(|(everywhere, home)| install.rights(&everywhere, &home));
    Some(of_objects.into_iter().chain(rights).flatten().collect())
}

fn complaints_of(object: &Value, install: &dyn Install) -> Option<Vec<String>> {
    let data = |key| object["data"][key].as_str().unwrap_or_default();
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let one = |answer: Result<(), String>| Vec::from_iter(answer.err());
    match (object["kind"].as_str()?, name) {
        ("Deployment", _) => deployed(object, install),
        ("ConfigMap", "istio") => Some(one(install.mesh(data("mesh")))),
        ("ConfigMap", "istio-sidecar-injector") => {
            Some(one(install.injection(data("config"), data("values"))))
        }
        ("MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration", _) => {
            let webhooks =
                items(&object["webhooks"]).map(|webhook| &webhook["clientConfig"]["service"]["path"]);
            let paths: BTreeSet<&str> = webhooks.filter_map(Value::as_str).collect();
            Some(paths.into_iter().filter_map(|path| install.webhook(path).err()).collect())
        }
        ("Service", "istiod") => {
            let ports = items(&object["spec"]["ports"])
                .filter_map(|port| port["targetPort"].as_u64().or(port["port"].as_u64()));
            Some(unserved(ports, install))
        }
        _ => None,
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn unserved(ports: impl Iterator<Item = u64>, install: &dyn Install) -> Vec<String> {
    let served = install.ports();
    ports.filter(|port| !served.contains(port)).map(|port| format!("nobody listens on port {port}")).collect()
}

/// A container of the control plane, in a Deployment of one.
fn deployed(object: &Value, install: &dyn Install) -> Option<Vec<String>> {
    let container = items(&object["spec"]["template"]["spec"]["containers"])
        .find(|container| container["name"] == "discovery")?;
    let texts = |field| items(&container[field]).filter_map(Value::as_str).map(str::to_owned).collect();
    let arguments: Vec<String> = texts("args");
    let variables: BTreeMap<String, String> = items(&container["env"])
        .filter_map(|variable| Some((variable["name"].as_str()?.to_owned(), value_of(variable))))
        .collect();
    let probe = &container["readinessProbe"]["httpGet"];
    let declared = items(&container["ports"]).map(|port| &port["containerPort"]);
    let ports = declared.chain([&probe["port"]]).filter_map(Value::as_u64);
    let folders = items(&container["volumeMounts"]).filter_map(|mount| mount["mountPath"].as_str());
    let mut wrong = unserved(ports, install);
    wrong.extend(variables.iter().filter_map(|(name, value)| install.variable(name, value).err()));
    wrong.extend(folders.filter_map(|folder| install.folder(folder).err()));
    wrong.extend(install.start(&arguments, &variables, probe["path"].as_str().unwrap_or_default()));
    Some(wrong)
}

/// A variable's value; that of a field or resource as a kubelet could give it.
fn value_of(variable: &Value) -> String {
    let from = &variable["valueFrom"];
    let field = from.pointer("/fieldRef/fieldPath").and_then(Value::as_str);
    let resource = from.pointer("/resourceFieldRef/resource").and_then(Value::as_str);
    let value = match (field, resource) {
        (Some("metadata.name"), _) => "istiod-5f7d-x2x8z",
        (Some("metadata.namespace"), _) => "istio-system",
        (Some("spec.serviceAccountName"), _) => "istiod",
        (_, Some("limits.memory")) => "2147483648",
        (_, Some("limits.cpu")) => "2",
        _ => variable["value"].as_str().unwrap_or_default(),
    };
    value.to_owned()
}

/// The ClusterRoles and Roles of a control plane; none if there are none.
fn roles(objects: &[Value]) -> Option<(Vec<&Value>, Vec<&Value>)> {
    let of = |kind: &str| -> Vec<&Value> {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is = |object: &&Value| object["kind"] == kind && name(object).starts_with("istiod");
        objects.iter().filter(is).collect()
    };
    let everywhere = of("ClusterRole");
    (!everywhere.is_empty()).then(|| (everywhere, of("Role")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Takes one argument, one variable, one port and no more.
    struct Strict;

    fn only(known: &str, given: &str) -> Result<(), String> {
        if known == given { Ok(()) } else { Err(format!("no {given}")) }
    }

    impl Install for Strict {
        fn start(&self, arguments: &[String], _: &BTreeMap<String, String>, ready: &str) -> Vec<String> {
            arguments.iter().filter_map(|one| only("a", one).err()).chain(only("/r", ready).err()).collect()
        }
        fn variable(&self, name: &str, value: &str) -> Result<(), String> {
            only("A=istiod", &format!("{name}={value}"))
        }
        fn ports(&self) -> BTreeSet<u64> {
            [1].into()
        }
        fn folder(&self, path: &str) -> Result<(), String> {
            only("/f", path)
        }
        fn mesh(&self, text: &str) -> Result<(), String> {
            only("m", text)
        }
        fn injection(&self, config: &str, values: &str) -> Result<(), String> {
            only("c", config).and(only("v", values))
        }
        fn webhook(&self, path: &str) -> Result<(), String> {
            only("/w", path)
        }
        fn rights(&self, everywhere: &[&Value], _: &[&Value]) -> Vec<String> {
            everywhere.iter().map(|role| role["rules"].to_string()).collect()
        }
    }

    fn deployment(argument: &str, port: u16, folder: &str) -> Value {
        json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{
            "name": "discovery", "args": [argument], "ports": [{"containerPort": port}],
            "readinessProbe": {"httpGet": {"path": "/r", "port": 1}},
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}}],
            "volumeMounts": [{"mountPath": folder}],
        }]}}}})
    }

    #[test]
    fn each_part_of_an_installation_is_asked_about() {
        let complaints = |objects: &[Value]| complaints(objects, &Strict);
        assert_eq!(complaints(&[deployment("a", 1, "/f")]), Some(Vec::new()));
        let wrong = ["nobody listens on port 2", "no /g", "no b"].map(str::to_owned);
        assert_eq!(complaints(&[deployment("b", 2, "/g")]), Some(wrong.into()));
        let named = |kind: &str, name: &str, more: Value| {
            let mut object = json!({"kind": kind, "metadata": {"name": name}});
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            complaints(&[object])
        };
        let said = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(named("ConfigMap", "istio", json!({"data": {"mesh": "x"}})), said("no x"));
        let values = json!({"data": {"config": "c", "values": "x"}});
        assert_eq!(named("ConfigMap", "istio-sidecar-injector", values), said("no x"));
        let webhooks = json!({"webhooks": [{"clientConfig": {"service": {"path": "/x"}}}]});
        assert_eq!(named("ValidatingWebhookConfiguration", "w", webhooks), said("no /x"));
        let ports = json!({"spec": {"ports": [{"port": 443, "targetPort": 1}, {"port": 3}]}});
        assert_eq!(named("Service", "istiod", ports), said("nobody listens on port 3"));
        let rules = json!({"rules": 1});
        assert_eq!(named("ClusterRole", "istiod", rules.clone()), said("1"));
        assert_eq!(named("ClusterRole", "other", rules), None);
        assert_eq!(named("HorizontalPodAutoscaler", "istiod", json!({})), None);
    }
}
