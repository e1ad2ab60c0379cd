//! A view: what one proxy is served, from which sets, by type URL.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

use envoy_api::{Name, Resource, Version};

use crate::set::Set;

/// What one proxy is to hold, of every type, taken from one snapshot.
#[derive(Clone, Debug)]
pub struct View {
    /// The snapshot's place in the order of snapshots; a later one is greater.
    pub generation: u64,
    /// How logs and status call the snapshot.
    pub label: Arc<str>,
    /// How many of the stream's wishes are taken into account, as counted by [`Planned::From`](crate::Planned::From).
    pub wants: u64,
    /// When the oldest change that this view brings was received; convergence is measured from it.
    pub since: Instant,
    /// By type URL. A type that is absent is not planned yet, or unknown: it is not answered.
    pub types: BTreeMap<Arc<str>, TypeView>,
}

/// What one proxy is to hold of one type.
#[derive(Clone)]
pub struct TypeView {
    /// The sets it is served from. Where two have a name in common, the earlier one counts.
    pub layers: SmallVec<[Set; 2]>,
    /// What a request that names nothing means.
    pub kind: Kind,
    /// What a client gets that asks for a name that no set has.
    pub missing: Option<Missing>,
}

/// Makes the resource that stands for a name which no set has: an empty route configuration, an
/// assignment without endpoints. Equal names give equal resources.
pub type Missing = fn(&str) -> Option<Resource>;

/// How clients ask for a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that names nothing asks for everything: clusters, listeners, Istio's own types.
    Wildcard,
    /// A client gets what it names: endpoints, routes, secrets, extensions.
    Named,
}

impl TypeView {
    /// Everything in one set.
    pub fn new(kind: Kind, set: Set) -> Self {
        Self { layers: SmallVec::from_iter([set]), kind, missing: None }
    }

    /// The resource of this name as this proxy gets it, made up by [`missing`](Self::missing) if need be.
    pub fn get(&self, name: &str) -> Option<Arc<Resource>> {
        self.find(name).cloned().or_else(|| self.missing.and_then(|missing| missing(name)).map(Arc::new))
    }

    /// The resource of this name, if one of the sets has it.
    pub fn find(&self, name: &str) -> Option<&Arc<Resource>> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    /// Every resource of the sets that is not behind one of an earlier layer, layer by layer.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.layers.iter().enumerate().flat_map(move |(at, layer)| {
            let above = &self.layers[..at];
            layer.iter().filter(move |resource| above.iter().all(|set| set.get(&resource.name).is_none()))
        })
    }

    /// A hash of all that this type is served from; equal content gives an equal version everywhere.
    pub fn version(&self) -> Version {
        let mut hasher = Xxh3::new();
        self.layers.iter().for_each(|layer| hasher.update(&layer.version().0.to_le_bytes()));
        Version(hasher.digest())
    }

    /// Tells `take` the names whose resource may be another one than in `before`, in no order, some perhaps twice.
    pub(crate) fn changed_names(&self, before: &Self, take: &mut dyn FnMut(&Name)) {
        let empty = Set::empty();
        for at in 0..self.layers.len().max(before.layers.len()) {
            let [old, new] = [before, self].map(|view| view.layers.get(at).unwrap_or(empty));
            new.changes_since(old).iter().for_each(|change| take(change.name()));
        }
    }

    /// Whether both are served the same, judged by identity.
    pub fn same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.missing.is_some() == other.missing.is_some()
            && self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(one, two)| one.same(two))
    }
}

impl fmt::Debug for TypeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypeView")
            .field("layers", &self.layers)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
