//! The recorded sets and the request that each of their proxies makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    corpus::{self, Error},
    offline::Request,
};

/// A recorded set: configuration, and the proxies whose answers were recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct Set {
    /// Name of the set's folder.
    #[serde(skip)]
    pub name: String,
    /// The set's folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Number of its family, 1 to 15.
    pub family: u32,
    /// Who connected.
    pub proxies: Vec<Proxy>,
    /// `proxy/type: reason` of the files that differed between runs of istiod.
    #[serde(default)]
    unstable: Vec<String>,
}

/// A proxy of a set.
#[derive(Clone, Debug, Deserialize)]
pub struct Proxy {
    /// Name of its folder of answers.
    pub name: String,
    /// The node it announces.
    pub node: Value,
    /// The types whose answers were recorded.
    pub types: Vec<String>,
    /// Listeners that a gRPC client names.
    #[serde(default)]
    lds_names: Vec<String>,
    /// Names asked for by type, beside those that follow from other answers.
    #[serde(default)]
    subscribe: BTreeMap<String, Vec<String>>,
}

impl Proxy {
    /// Whether this is an Envoy, not ztunnel or a gRPC client.
    pub fn is_envoy(&self) -> bool {
        let is_other = self.node["id"].as_str().is_some_and(|id| id.starts_with("ztunnel~"));
        self.lds_names.is_empty() && !is_other
    }
}

/// A recorded resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// Its content in proto3 JSON.
    pub resource: Value,
}

/// Which files to judge. Empty: all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Numbers of families.
    pub families: BTreeSet<u32>,
    /// Types.
    pub types: BTreeSet<String>,
    /// A set's name, or a part of one where no set has just this name.
    pub case: Option<String>,
}

impl Filter {
    /// Whether a type is wanted.
    pub fn has_type(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.contains(kind)
    }
}

/// The sets that a filter lets through, sorted by name. `root` is the folder of all corpora.
pub fn sets(root: &Path, filter: &Filter) -> Result<Vec<Set>, Error> {
    let folder = root.join("xds-golden/cases");
    let mut names = corpus::entries(&folder)?;
    if let Some(case) = &filter.case {
        let exact = names.contains(case);
        names.retain(|name| if exact { name == case } else { name.contains(case.as_str()) });
    }
    let mut sets = names.iter().map(|name| Set::read(&folder, name)).collect::<Result<Vec<_>, _>>()?;
    sets.retain(|set| filter.families.is_empty() || filter.families.contains(&set.family));
    Ok(sets)
}

impl Set {
    fn read(cases: &Path, name: &str) -> Result<Self, Error> {
        let folder = cases.join(name);
        Ok(Self {
            name: name.to_owned(),
            ..Self { folder: folder.clone(), ..corpus::json(&folder.join("case.json"))? }
        })
    }

    /// What a proxy of this set asks, for the types that were recorded and that are wanted.
    pub fn request(&self, proxy: &Proxy, filter: &Filter) -> Result<Request, Error> {
        let mut names = proxy.subscribe.clone();
        if !proxy.lds_names.is_empty() {
            names.insert("lds".to_owned(), proxy.lds_names.clone());
        }
        let env = self.folder.join("env.json");
        Ok(Request {
            files: vec![("input.yaml".to_owned(), corpus::text(&self.folder.join("input.yaml"))?)],
            mesh: corpus::optional_text(&self.folder.join("mesh.yaml"))?,
            networks: corpus::optional_text(&self.folder.join("networks.yaml"))?,
            clusters: self.clusters()?,
            env: if env.exists() { corpus::json(&env)? } else { BTreeMap::new() },
            node: proxy.node.clone(),
            types: proxy.types.iter().filter(|kind| filter.has_type(kind)).cloned().collect(),
            names,
        })
    }

    /// The objects of further clusters: `input-<cluster>.yaml`.
    fn clusters(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut clusters = BTreeMap::new();
        for file in corpus::entries(&self.folder)? {
            let name = file.strip_prefix("input-").and_then(|rest| rest.strip_suffix(".yaml"));
            if let Some(name) = name {
                clusters.insert(name.to_owned(), corpus::text(&self.folder.join(&file))?);
            }
        }
        Ok(clusters)
    }

    /// The recorded answer for one type.
    pub fn recorded(&self, proxy: &str, kind: &str) -> Result<Vec<Recorded>, Error> {
        corpus::json(&self.folder.join("expected").join(proxy).join(format!("{kind}.json")))
    }

    /// Whether istiod's own answer differed between runs, so that nothing can be judged.
    pub fn is_unstable(&self, proxy: &str, kind: &str) -> bool {
        let file = format!("{proxy}/{kind}");
        self.unstable.iter().any(|line| line.split(':').next() == Some(file.as_str()))
    }
}
