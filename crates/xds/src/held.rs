//! What a client holds of one type: the sets it was brought up to, and the few names that differ from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use envoy_api::{Name, Resource, Version};

use crate::interest::Interest;
use crate::set::Change;
use crate::view::TypeView;

/// What a client holds: for every name it wants, what `base` has under it, save for the exceptions.
#[derive(Debug, Default)]
pub(crate) struct Held {
    base: Option<TypeView>,
    exceptions: BTreeMap<Name, Holding>,
}

/// What a client holds under one name.
#[derive(Clone, Debug)]
pub(crate) enum Holding {
    /// Nothing.
    Nothing,
    /// This resource.
    Resource(Arc<Resource>),
    /// A resource of this version, or of one that is not ours, by its own account.
    Declared(Option<Version>),
    /// Not known; the resource it held when that was last known. Whatever is to be held is sent.
    Unknown(Option<Arc<Resource>>),
    /// Not known, but it refused this version, or the removal. Anything else is sent.
    Refused { version: Option<Version>, former: Option<Arc<Resource>> },
}

impl Holding {
    /// Whether a client with this holding need not be told to hold `wanted`.
    fn settles(&self, wanted: Option<&Resource>) -> bool {
        let version = wanted.map(|resource| resource.version);
        match self {
            Self::Nothing => version.is_none(),
            Self::Resource(held) => version == Some(held.version),
            Self::Declared(held) => held.is_some() && version == *held,
            Self::Unknown(_) => false,
            Self::Refused { version: refused, .. } => version == *refused,
        }
    }

    /// Bytes that the client held when that was last known.
    pub(crate) fn resource(self) -> Option<Arc<Resource>> {
        match self {
            Self::Resource(resource) => Some(resource),
            Self::Unknown(former) | Self::Refused { former, .. } => former,
            Self::Nothing | Self::Declared(_) => None,
        }
    }
}

impl Held {
    /// What the client holds under a name that it wants.
    pub(crate) fn get(&self, name: &str) -> Holding {
        if let Some(holding) = self.exceptions.get(name) {
            return holding.clone();
        }
        let resource = self.base.as_ref().and_then(|base| base.get(name));
        resource.map_or(Holding::Nothing, Holding::Resource)
    }

    /// Whether the client holds just what this view has.
    pub(crate) fn is_at(&self, view: &TypeView) -> bool {
        self.exceptions.is_empty() && self.base.as_ref().is_some_and(|base| base.same(view))
    }

    /// How many names differ from the sets.
    pub(crate) fn exceptions(&self) -> usize {
        self.exceptions.len()
    }

    /// Notes what the client holds under a name.
    pub(crate) fn set(&mut self, name: Name, holding: Holding) {
        self.exceptions.insert(name, holding);
    }

    /// Whatever the client holds under this name, it is to be sent again.
    pub(crate) fn forget(&mut self, name: Name) {
        let former = self.get(&name).resource();
        self.set(name, Holding::Unknown(former));
    }

    /// Forgets a name that the client does not want any more.
    pub(crate) fn drop(&mut self, name: &str) {
        self.exceptions.remove(name);
    }

    /// Forgets everything: nothing is known of what the client holds.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Prepares for a client that wants all, and held no more than `names`.
    pub(crate) fn widen(&mut self, names: impl Iterator<Item = Name>) {
        let held = names.map(|name| (Name::clone(&name), self.get(&name))).collect();
        *self = Self { base: None, exceptions: held };
    }

    /// Forgets names that the client does not want any more.
    pub(crate) fn narrow(&mut self, interest: &Interest) {
        self.exceptions.retain(|name, _| interest.covers(name));
    }

    /// What is to be sent to a client that wants `interest` of `target`, ordered by name. Costs what differs.
    pub(crate) fn difference(&self, target: &TypeView, interest: &Interest) -> Vec<Change> {
        let mut names: Vec<Name> = self.exceptions.keys().cloned().collect();
        match &self.base {
            Some(base) => target.changed_names(base, &mut |name| {
                if interest.covers(name) {
                    names.push(Name::clone(name));
                }
            }),
            None if interest.is_wildcard() => names.extend(target.iter().map(|held| Name::clone(&held.name))),
            None => names.extend(interest.names().iter().cloned()),
        }
        names.sort_unstable();
        names.dedup();
        let mut changes: Vec<_> = names.into_iter().filter_map(|name| self.change(name, target)).collect();
        if !changes.is_empty() {
            changes.extend(self.refused_removals(target));
            changes.sort_unstable_by(|one, two| one.name().cmp(two.name()));
        }
        changes
    }

    /// Removals that were in a refused response. A removal is not what a client objects to, so it is repeated,
    /// but only with the next response that there is: one that is refused for ever must not be sent for ever.
    fn refused_removals(&self, target: &TypeView) -> Vec<Change> {
        let refused = |holding: &Holding| matches!(holding, Holding::Refused { version: None, .. });
        let names = self.exceptions.iter().filter(|(_, holding)| refused(holding)).map(|(name, _)| name);
        let gone = names.filter(|name| target.get(name).is_none());
        gone.map(|name| Change::Removed(Name::clone(name))).collect()
    }

    fn change(&self, name: Name, target: &TypeView) -> Option<Change> {
        let wanted = target.get(&name);
        if self.get(&name).settles(wanted.as_deref()) {
            return None;
        }
        Some(wanted.map_or(Change::Removed(name), Change::Put))
    }

    /// Moves on to `target`: the client holds it, except for the names in `behind`, of which it holds what it
    /// held, and for what it refused and is not sent again.
    pub(crate) fn advance(&mut self, target: &TypeView, sent: &[Change], behind: &[Change]) {
        let kept: Vec<_> =
            behind.iter().map(|change| (Name::clone(change.name()), self.get(change.name()))).collect();
        for change in sent {
            self.exceptions.remove(change.name());
        }
        self.exceptions.retain(|_, holding| matches!(holding, Holding::Refused { .. }));
        self.exceptions.extend(kept);
        self.base = Some(target.clone());
    }

    /// A hash over what the client holds otherwise than `base`; zero if it holds all of it.
    pub(crate) fn digest(&self) -> u64 {
        let digest = |(name, holding): (&Name, &Holding)| {
            let version = holding.clone().resource().map_or(0, |held| held.version.0);
            xxh3_64_with_seed(name.as_bytes(), version)
        };
        self.exceptions.iter().map(digest).fold(0, u64::wrapping_add)
    }

    /// All that the client holds, in the order of names, or the closest to it that is known.
    ///
    /// `complete` says that nothing may be left out because it was refused: where the client's former
    /// resource is not known, the refused one stands in.
    pub(crate) fn all(&self, interest: &Interest, complete: bool) -> Vec<Arc<Resource>> {
        let mut all: BTreeMap<&str, Arc<Resource>> = BTreeMap::new();
        let base = self.base.as_ref();
        if interest.is_wildcard() {
            all.extend(base.iter().flat_map(|base| base.iter()).map(|held| (&*held.name, Arc::clone(held))));
        }
        for name in interest.names() {
            all.extend(base.and_then(|base| base.get(name)).map(|held| (&**name, held)));
        }
        for (name, holding) in &self.exceptions {
            let keep = complete && matches!(holding, Holding::Refused { version: Some(_), .. });
            match holding.clone().resource() {
                Some(held) => drop(all.insert(name, held)),
                None if keep => {}
                None => drop(all.remove(&**name)),
            }
        }
        all.into_values().collect()
    }
}
