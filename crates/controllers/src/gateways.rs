//! The mesh's configuration in the namespaces of gateways: a pod that mounts the revision's ConfigMap finds it wherever it is, and
//! nobody has to copy it. One that somebody made by hand is theirs, and told of if it says something else.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::store::{Key, Resource, label};
use crate::watching::Seen;
use crate::work::{Controller, Edit, Write};

pub(crate) use places::{Owner, places};

/// By this label a ConfigMap is known to be made here; its value is the namespace that it is from.
const COPY_OF: &str = "pilothouse.io/mesh-config-of";

/// What may happen.
#[derive(Debug)]
pub(crate) enum News {
    /// The namespaces of gateways, with the Deployments that are gateways there.
    Gateways(BTreeMap<String, BTreeSet<Owner>>),
    /// What ConfigMaps of the name there are.
    Seen(Seen),
}

/// What is known.
pub(crate) struct Gateways {
    /// The ConfigMap of the control plane's namespace.
    source: Key,
    data: Option<Arc<Value>>,
    gateways: BTreeMap<String, BTreeSet<Owner>>,
    /// By namespace; nothing before they have been listed.
    there: Option<BTreeMap<String, There>>,
    /// Namespaces with a ConfigMap of somebody else's that says something else.
    told: BTreeSet<String>,
}

/// What matters of a ConfigMap that is there.
#[derive(Clone, Debug, PartialEq)]
struct There {
    is_ours: bool,
    /// What its data hash to.
    data: u64,
    /// The uids of those that own it.
    owners: BTreeSet<String>,
}

impl Gateways {
    /// Keeps a ConfigMap, which is in this namespace, in those of gateways too.
    pub(crate) fn new(name: &str, namespace: &str) -> Self {
        Self {
            source: Key::new(Resource::CONFIG_MAP, namespace, name),
            data: None,
            gateways: BTreeMap::new(),
            there: None,
            told: BTreeSet::new(),
        }
    }

    fn put(&mut self, key: &Key, object: Option<&Value>) {
        if *key == self.source {
            // A mesh without its ConfigMap goes on with what it said, and so do gateways.
            self.data = object.map(|object| Arc::new(object["data"].clone())).or(self.data.take());
            return;
        }
        let there = object.map(|object| self.look(object));
        let Some(all) = &mut self.there else { return };
        match there {
            Some(there) => all.insert(key.namespace.clone(), there),
            None => all.remove(&key.namespace),
        };
    }

    fn look(&self, object: &Value) -> There {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        There {
            is_ours: label(object, COPY_OF) == Some(&self.source.namespace),
            data: hash(&object["data"]),
            owners: owners.filter_map(|owner| owner["uid"].as_str().map(str::to_owned)).collect(),
        }
    }

    /// Tells of each ConfigMap of somebody else's that says something else, once, and when that is over.
    fn tell(&mut self) {
        let (Some(data), Some(there)) = (&self.data, &self.there) else { return };
        let wanted = hash(data);
        let differs = |namespace: &&String| {
            there.get(&**namespace).is_some_and(|there| !there.is_ours && there.data != wanted)
        };
        let now: BTreeSet<String> = self.gateways.keys().filter(differs).cloned().collect();
        let (name, from) = (&self.source.name, &self.source.namespace);
        for namespace in now.difference(&self.told) {
            tracing::warn!(
                "ConfigMap {namespace}/{name} was made by somebody else and does not say what {from}/{name} says; it is left as it is. Delete it, and it is made here"
            );
        }
        for namespace in self.told.difference(&now) {
            tracing::info!("ConfigMap {namespace}/{name} says what {from}/{name} says, or is gone");
        }
        self.told = now;
    }
}

impl Controller for Gateways {
    type News = News;
    type Edit = Copy;
    const WORK: &'static str = "the mesh's configuration beside gateways";

    fn take(&mut self, news: News) {
        match news {
            News::Gateways(gateways) => self.gateways = gateways,
            News::Seen(Seen::All(all)) => {
                self.there = Some(BTreeMap::new());
                all.iter().for_each(|(key, object)| self.put(key, Some(object)));
            }
            News::Seen(Seen::One(key, object)) => self.put(&key, object.as_ref()),
        }
        self.tell();
    }

    fn writes(&self) -> Vec<Write<Copy>> {
        let (Some(data), Some(there)) = (&self.data, &self.there) else { return Vec::new() };
        let wanted = hash(data);
        let is_right = |namespace: &str, owners: &BTreeSet<Owner>| {
            there.get(namespace).is_some_and(|there| {
                let is_owned = owners.iter().all(|owner| there.owners.contains(&owner.uid));
                !there.is_ours || (there.data == wanted && is_owned)
            })
        };
        let elsewhere = self.gateways.iter().filter(|(namespace, _)| **namespace != self.source.namespace);
        let write = |(namespace, owners): (&String, &BTreeSet<Owner>)| {
            let key = Key { namespace: namespace.clone(), ..self.source.clone() };
            let (from, data) = (self.source.namespace.clone(), Arc::clone(data));
            Write { edit: Copy { at: key.clone(), from, data, owners: owners.clone() }, key }
        };
        elsewhere.filter(|(namespace, owners)| !is_right(namespace, owners)).map(write).collect()
    }

    fn found(&mut self, key: &Key, object: Option<&Value>) {
        self.put(key, object);
    }
}

/// A ConfigMap as it is in the control plane's namespace, owned by gateways.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Copy {
    at: Key,
    from: String,
    data: Arc<Value>,
    owners: BTreeSet<Owner>,
}

impl Edit for Copy {
    fn of(&self, current: Option<&Value>) -> Option<Value> {
        let mut object = match current {
            Some(current) if label(current, COPY_OF) != Some(&self.from) => return None,
            Some(current) => current.clone(),
            None => json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "namespace": self.at.namespace,
                    "name": self.at.name,
                    "labels": {COPY_OF: self.from},
                },
            }),
        };
        object["data"] = Value::clone(&self.data);
        let mut owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        for owner in &self.owners {
            if !owners.iter().any(|one| one["uid"] == *owner.uid) {
                owners.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name, "uid": owner.uid}));
            }
        }
        if !owners.is_empty() {
            object["metadata"]["ownerReferences"] = owners.into();
        }
        (current != Some(&object)).then_some(object)
    }
}

/// Objects of `serde_json` are ordered by key.
fn hash(data: &Value) -> u64 {
    xxh3_64(data.to_string().as_bytes())
}

#[cfg(test)]
mod tests;
