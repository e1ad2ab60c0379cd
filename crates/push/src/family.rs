//! Sets of one family of resources: one per scope and profile, made again only when an input is another.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use envoy_api::{Name, Resource};
use memo::Shared;
use mesh::Member;
use model::{Key, Labels, Text};
use xds::{Change, Set};

/// What stays the same while its content changes: whose set it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner<P> {
    namespace: Text,
    sidecar: Option<Key>,
    rule_labels: Labels,
    profile: Shared<P>,
}

impl<P> Owner<P> {
    /// The owner of the sets for a scope and profile.
    pub(crate) fn new(member: &Member, profile: &Shared<P>) -> Self {
        let sidecar = member.scope.sidecar.as_ref().map(|sidecar| sidecar.meta.key.clone());
        Self {
            namespace: member.scope.namespace.clone(),
            sidecar,
            rule_labels: member.scope.rule_labels.clone(),
            profile: profile.clone(),
        }
    }
}

/// The sets of a family by owner. `I` is everything that a set depends on.
pub(crate) struct Family<P, I> {
    sets: HashMap<Owner<P>, Entry<I>>,
}

struct Entry<I> {
    inputs: I,
    set: Set,
    used: u64,
}

impl<P, I> Default for Family<P, I> {
    fn default() -> Self {
        Self { sets: HashMap::new() }
    }
}

impl<P, I: PartialEq> Family<P, I>
where
    Owner<P>: Eq + Hash,
{
    /// The set for these inputs: the one there is if they are the same, else the former one changed.
    pub(crate) fn get(
        &mut self,
        owner: Owner<P>,
        inputs: I,
        round: u64,
        make: impl FnOnce(&I, Option<(&I, &Set)>) -> Set,
    ) -> Set {
        if let Some(entry) = self.sets.get_mut(&owner) {
            entry.used = round;
            if entry.inputs == inputs {
                return entry.set.clone();
            }
            entry.set = make(&inputs, Some((&entry.inputs, &entry.set)));
            entry.inputs = inputs;
            return entry.set.clone();
        }
        let set = make(&inputs, None);
        self.sets.insert(owner, Entry { inputs, set: set.clone(), used: round });
        set
    }

    /// Lets go of sets that no proxy has asked for in this round.
    pub(crate) fn retain(&mut self, round: u64) {
        self.sets.retain(|_, entry| entry.used == round);
    }

    /// The number of sets.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}

/// `before` made to hold just these resources; what is equal stays as it is.
pub(crate) fn replace(before: Option<&Set>, resources: Vec<Shared<Resource>>) -> Set {
    let Some(before) = before else {
        return resources.iter().map(|resource| Arc::clone(resource.arc())).collect();
    };
    let names: BTreeSet<&Name> = resources.iter().map(|resource| &resource.name).collect();
    let gone = before.iter().filter(|old| !names.contains(&old.name));
    let gone = gone.map(|old| Change::Removed(old.name.clone()));
    let put = resources.iter().map(|resource| Change::Put(Arc::clone(resource.arc())));
    before.with(put.chain(gone))
}

/// Equal values under one handle, so that profiles of many proxies compare by identity.
pub(crate) struct Interner<T>(HashMap<Arc<T>, ()>);

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The handle of an equal value, or a new one.
    pub(crate) fn get(&mut self, value: T) -> Shared<T> {
        if let Some((known, ())) = self.0.get_key_value(&value) {
            return Arc::clone(known).into();
        }
        let value = Arc::new(value);
        self.0.insert(Arc::clone(&value), ());
        value.into()
    }

    /// Lets go of values that nobody else holds.
    pub(crate) fn retain(&mut self) {
        self.0.retain(|value, ()| Arc::strong_count(value) > 1);
    }
}
