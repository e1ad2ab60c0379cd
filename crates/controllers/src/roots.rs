//! The certificates that everybody is to trust, in a ConfigMap of every namespace, where agents and gateways mount them
//! (istiod-surface 2.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Text;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::store::{Key, Resource};
use crate::watching::Seen;
use crate::work::{Controller, Edit, Write};

/// The key under which the certificates are.
const ENTRY: &str = "root-cert.pem";
/// By this label whoever looks after ConfigMaps of users leaves them alone.
const LABEL: &str = "istio.io/config";
/// Namespaces of Kubernetes itself without workloads of a mesh; kube-system is none of them, since a node's proxy may be there.
const NOT_THESE: [&str; 3] = ["kube-public", "kube-node-lease", "local-path-storage"];

/// What may happen.
#[derive(Debug)]
pub(crate) enum News {
    /// Whether we are the one who does it.
    Leads(bool),
    /// The certificates, in PEM.
    Roots(Arc<str>),
    /// The namespaces that count.
    Namespaces(BTreeSet<Text>),
    /// What ConfigMaps of the name there are.
    Seen(Seen),
}

/// What is known.
#[derive(Default)]
pub(crate) struct Roots {
    name: String,
    /// The one namespace that is looked after; empty for all.
    only: String,
    leads: bool,
    roots: Option<Arc<str>>,
    namespaces: BTreeSet<Text>,
    /// By namespace, what the certificates there hash to; nothing before they have been listed.
    there: Option<BTreeMap<String, u64>>,
}

impl Roots {
    /// Keeps ConfigMaps of this name; in one namespace, or in all if that is empty.
    pub(crate) fn new(name: &str, only: &str) -> Self {
        Self { name: name.to_owned(), only: only.to_owned(), ..Self::default() }
    }

    fn is_one_of_ours(&self, namespace: &str) -> bool {
        !NOT_THESE.contains(&namespace) && (self.only.is_empty() || self.only == namespace)
    }

    fn put(&mut self, key: &Key, object: Option<&Value>) {
        let Some(there) = &mut self.there else { return };
        match object {
            Some(object) => there.insert(key.namespace.clone(), hash(object)),
            None => there.remove(&key.namespace),
        };
    }
}

impl Controller for Roots {
    type News = News;
    type Edit = Certificates;
    const WORK: &'static str = "the root certificates in namespaces";

    fn take(&mut self, news: News) {
        match news {
            News::Leads(leads) => self.leads = leads,
            News::Roots(roots) => self.roots = Some(roots),
            News::Namespaces(namespaces) => self.namespaces = namespaces,
            News::Seen(Seen::All(all)) => {
                let all = all.iter().map(|(key, object)| (key.namespace.clone(), hash(object)));
                self.there = Some(all.collect());
            }
            News::Seen(Seen::One(key, object)) => self.put(&key, object.as_ref()),
        }
    }

    fn writes(&self) -> Vec<Write<Certificates>> {
        let (Some(roots), Some(there), true) = (&self.roots, &self.there, self.leads) else {
            return Vec::new();
        };
        let wanted = xxh3_64(roots.as_bytes());
        let ours = self.namespaces.iter().filter(|namespace| self.is_one_of_ours(namespace));
        let wrong = ours.filter(|namespace| there.get(&***namespace) != Some(&wanted));
        let write = |namespace: &Text| {
            let key = Key::new(Resource::CONFIG_MAP, namespace, &self.name);
            Write { edit: Certificates { at: key.clone(), roots: roots.clone() }, key }
        };
        wrong.map(write).collect()
    }

    fn found(&mut self, key: &Key, object: Option<&Value>) {
        self.put(key, object);
    }
}

/// The certificates in a ConfigMap; whatever else is in it stays.
#[derive(Clone, PartialEq)]
pub(crate) struct Certificates {
    at: Key,
    roots: Arc<str>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of certificates", self.roots.len())
    }
}

impl Edit for Certificates {
    fn of(&self, current: Option<&Value>) -> Option<Value> {
        let mut object = match current {
            Some(current) if current["data"][ENTRY] == *self.roots => return None,
            Some(current) => current.clone(),
            None => json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "namespace": self.at.namespace,
                    "name": self.at.name,
                    "labels": {LABEL: "true"},
                },
            }),
        };
        object["data"][ENTRY] = (*self.roots).into();
        Some(object)
    }
}

fn hash(object: &Value) -> u64 {
    xxh3_64(object["data"][ENTRY].as_str().unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests;
