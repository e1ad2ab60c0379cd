//! A set: the resources of one family for one scope and profile, shared by every stream that is served from it.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use envoy_api::{Name, Resource, Version};

/// How many former sets a set remembers its difference to. Streams lag behind by a state or two.
const REMEMBERED: usize = 8;

/// Resources by name, in the order of their names.
///
/// A clone is a handle. Two sets are [`same`](Set::same) if they are one value, not if they look alike; a set
/// that is made from another by [`with`](Set::with) shares what did not change, so that the difference between
/// them costs what differs.
#[derive(Clone, Default)]
pub struct Set(Arc<Inner>);

#[derive(Default)]
struct Inner {
    resources: OrdMap<Name, Arc<Resource>>,
    digest: u64,
    differences: Mutex<SmallVec<[Known; 1]>>,
}

/// A difference that has been asked for, with the set that it starts from. The weak handle keeps the
/// address from being used again, so equal addresses are one set.
struct Known {
    from: Weak<Inner>,
    changes: Arc<OnceLock<Changes>>,
}

/// The names whose resource is another one, or none, in the newer of two sets; ordered.
pub type Changes = Arc<[Change]>;

/// What became of one name between two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is now this resource under its name, another one than before or the first.
    Put(Arc<Resource>),
    /// There was a resource of this name and is none any more.
    Removed(Name),
}

impl Change {
    /// The name that changed.
    pub fn name(&self) -> &Name {
        match self {
            Self::Put(resource) => &resource.name,
            Self::Removed(name) => name,
        }
    }
}

impl Set {
    /// The set without resources; always the same one.
    pub fn empty() -> &'static Self {
        static EMPTY: LazyLock<Set> = LazyLock::new(Set::default);
        &EMPTY
    }

    /// The resource of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.0.resources.get(name)
    }

    /// All resources, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.resources.values()
    }

    /// How many resources there are.
    pub fn len(&self) -> usize {
        self.0.resources.len()
    }

    /// Whether there is no resource.
    pub fn is_empty(&self) -> bool {
        self.0.resources.is_empty()
    }

    /// Whether both are handles to one value.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A hash over the names and versions: equal content gives an equal version in every process.
    pub fn version(&self) -> Version {
        Version(self.0.digest)
    }

    /// This set with some names changed. It is the same set if nothing changes.
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut resources = self.0.resources.clone();
        let mut digest = self.0.digest;
        let mut changed = false;
        for change in changes {
            let name = change.name();
            let before = resources.get(name);
            if let Change::Put(resource) = &change
                && before.is_some_and(|before| before == resource)
            {
                continue;
            }
            changed |= before.is_some() || matches!(change, Change::Put(_));
            digest = digest.wrapping_sub(before.map_or(0, |before| digest_of(before)));
            match change {
                Change::Put(resource) => {
                    digest = digest.wrapping_add(digest_of(&resource));
                    resources.insert(resource.name.clone(), resource);
                }
                Change::Removed(name) => drop(resources.remove(&name)),
            }
        }
        if changed { Self(Arc::new(Inner { resources, digest, ..Inner::default() })) } else { self.clone() }
    }

    /// What is to be done to `before` to make it this set. The first caller pays for it, in proportion to what
    /// differs; others who ask for the same pair get the same answer.
    pub fn changes_since(&self, before: &Self) -> Changes {
        if self.same(before) {
            return Changes::default();
        }
        let known = self.known(before);
        known.get_or_init(|| diff(&before.0.resources, &self.0.resources)).clone()
    }

    /// The place where the difference to `before` is kept.
    fn known(&self, before: &Self) -> Arc<OnceLock<Changes>> {
        let mut differences = self.0.differences.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = differences.iter().find(|known| std::ptr::eq(known.from.as_ptr(), &*before.0)) {
            return known.changes.clone();
        }
        differences.retain(|known| known.from.strong_count() > 0);
        if differences.len() == REMEMBERED {
            differences.remove(0);
        }
        let changes = Arc::default();
        differences.push(Known { from: Arc::downgrade(&before.0), changes: Arc::clone(&changes) });
        changes
    }
}

impl FromIterator<Arc<Resource>> for Set {
    /// A later resource replaces an earlier one of the same name.
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        Self::default().with(resources.into_iter().map(Change::Put))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|resource| (&resource.name, &resource.version))).finish()
    }
}

/// What one resource adds to the digest of those it is among; the sum does not depend on their order.
pub(crate) fn digest_of(resource: &Resource) -> u64 {
    xxh3_64_with_seed(resource.name.as_bytes(), resource.version.0)
}

fn diff(before: &OrdMap<Name, Arc<Resource>>, after: &OrdMap<Name, Arc<Resource>>) -> Changes {
    let change = |item| match item {
        DiffItem::Add(_, resource) | DiffItem::Update { new: (_, resource), .. } => {
            Change::Put(Arc::clone(resource))
        }
        DiffItem::Remove(name, _) => Change::Removed(Name::clone(name)),
    };
    before.diff(after).map(change).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use envoy_api::{Needs, Part};

    use super::*;

    fn resource(name: &str, content: &'static str) -> Arc<Resource> {
        let part = Part::new(Bytes::from_static(content.as_bytes()));
        Arc::new(Resource::from_parts(name.into(), [part], Needs::default()))
    }

    #[test]
    fn a_version_follows_the_content_and_not_the_way_to_it() {
        let one: Set = [resource("a", "1"), resource("b", "1")].into_iter().collect();
        let two: Set = [resource("b", "1"), resource("a", "2"), resource("c", "1")].into_iter().collect();
        assert_ne!(one.version(), two.version());
        let back = two.with([Change::Removed("c".into()), Change::Put(resource("a", "1"))]);
        assert_eq!(one.version(), back.version());
        assert!(!one.same(&back));
    }

    #[test]
    fn equal_content_makes_no_new_set() {
        let one: Set = [resource("a", "1")].into_iter().collect();
        let same = one.with([Change::Put(resource("a", "1")), Change::Removed("x".into())]);
        assert!(one.same(&same));
    }

    #[test]
    fn a_difference_names_what_differs_and_is_kept() {
        let one: Set = [resource("a", "1"), resource("b", "1"), resource("c", "1")].into_iter().collect();
        let two = one.with([Change::Put(resource("b", "2")), Change::Removed("c".into())]);
        let changes = two.changes_since(&one);
        assert_eq!(*changes, [Change::Put(resource("b", "2")), Change::Removed("c".into())]);
        assert!(Arc::ptr_eq(&changes, &two.changes_since(&one)));
        assert!(two.changes_since(&two).is_empty());
    }
}
