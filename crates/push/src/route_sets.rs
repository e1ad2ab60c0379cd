//! Route configurations: sets that grow by the names that proxies ask for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use envoy_api::{Name, Resource};
use memo::Shared;
use mesh::RouteProfile;
use translate::routes::Inputs;
use xds::{Change, Set};

use crate::family::Owner;

/// The sets by owner. Proxies of one owner share a set although each asks only for the names that its own
/// listeners mention.
#[derive(Default)]
pub(crate) struct RouteSets {
    sets: HashMap<Owner<RouteProfile>, Entry>,
}

struct Entry {
    inputs: Inputs,
    set: Set,
    /// Names in the set with the round in which they were last asked for.
    names: BTreeMap<Name, u64>,
}

impl RouteSets {
    /// A set that holds at least these names, made from these inputs.
    pub(crate) fn get<'a>(
        &mut self,
        owner: Owner<RouteProfile>,
        inputs: &Inputs,
        (names, round): (impl Iterator<Item = &'a Name>, u64),
        make: impl Fn(&Inputs, &Name) -> Option<Shared<Resource>>,
    ) -> Set {
        let entry = self.sets.entry(owner).or_insert_with(|| Entry {
            inputs: inputs.clone(),
            set: Set::default(),
            names: BTreeMap::new(),
        });
        let mut missing: BTreeSet<Name> = BTreeSet::new();
        for name in names {
            match entry.names.get_mut(name) {
                Some(used) => *used = round,
                None => drop(missing.insert(name.clone())),
            }
        }
        if entry.inputs != *inputs {
            entry.inputs = inputs.clone();
            missing.extend(entry.names.keys().cloned());
        }
        if !missing.is_empty() {
            let change = |name: &Name| match make(inputs, name) {
                Some(resource) => Change::Put(Arc::clone(resource.arc())),
                None => Change::Removed(name.clone()),
            };
            entry.set = entry.set.with(missing.iter().map(change));
            entry.names.extend(missing.into_iter().map(|name| (name, round)));
        }
        entry.set.clone()
    }

    /// Lets go of names, and sets, that no proxy has asked for in this round.
    pub(crate) fn retain(&mut self, round: u64) {
        self.sets.retain(|_, entry| {
            let gone = entry.names.iter().filter(|(_, used)| **used < round);
            let gone: Vec<Name> = gone.map(|(name, _)| name.clone()).collect();
            if !gone.is_empty() {
                entry.set = entry.set.with(gone.iter().cloned().map(Change::Removed));
                for name in &gone {
                    entry.names.remove(name);
                }
            }
            !entry.names.is_empty()
        });
    }

    /// The number of sets.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}
