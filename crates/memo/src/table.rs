//! A persistent ordered map that keeps old handles for equal values and knows what differs.

use std::borrow::Borrow;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::Shared;

/// Key → shared value, cheap to clone, compared by what differs.
///
/// A clone shares its nodes with the original, so that one change copies a few nodes and
/// [`Table::changed`] walks only what is not shared.
pub struct Table<K, V>(OrdMap<K, Shared<V>>);

impl<K: Ord + Clone + fmt::Debug, V: fmt::Debug> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Ord + Clone, V: PartialEq> Table<K, V> {
    /// Puts a value; answers whether the table has changed. An equal value keeps the old handle.
    pub fn put(&mut self, key: K, value: impl Into<Arc<V>>) -> bool {
        let value = value.into();
        if self.0.get(&key).is_some_and(|old| **old == *value) {
            return false;
        }
        self.0.insert(key, value.into());
        true
    }

    /// Puts, or removes for `None`; answers whether the table has changed.
    pub fn set(&mut self, key: K, value: Option<V>) -> bool {
        match value {
            Some(value) => self.put(key, value),
            None => self.remove(&key),
        }
    }

    /// A table in which `keys` are derived anew by `derive`; equal values keep their handles.
    #[must_use]
    pub fn patch(&self, keys: impl IntoIterator<Item = K>, mut derive: impl FnMut(&K) -> Option<V>) -> Self {
        let mut next = self.clone();
        for key in keys {
            let value = derive(&key);
            next.set(key, value);
        }
        next
    }
}

impl<K: Ord + Clone, V: Clone + Default + PartialEq> Table<K, V> {
    /// Edits the value under a key; nothing there is an empty value, and an empty value is nothing.
    ///
    /// `edit` answers whether it changed the value, and so does this. For values that are sets or lists.
    pub fn edit(&mut self, key: &K, edit: impl FnOnce(&mut V) -> bool) -> bool {
        let mut value = self.0.get(key).map(|value| (**value).clone()).unwrap_or_default();
        if !edit(&mut value) {
            return false;
        }
        if value == V::default() {
            self.0.remove(key);
        } else {
            self.0.insert(key.clone(), Shared::new(value));
        }
        true
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    /// Puts a handle as it is; answers whether it is another one than before.
    pub fn share(&mut self, key: K, value: Shared<V>) -> bool {
        if self.0.get(&key) == Some(&value) {
            return false;
        }
        self.0.insert(key, value);
        true
    }

    /// Removes; answers whether there was something.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        Q: Ord + ?Sized,
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }

    /// The handle at `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&Shared<V>>
    where
        Q: Ord + ?Sized,
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Shared<V>)> {
        self.0.iter()
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &Shared<V>> {
        self.0.values()
    }

    /// The entries within a range of keys.
    pub fn range<R, Q>(&self, range: R) -> impl Iterator<Item = (&K, &Shared<V>)>
    where
        R: RangeBounds<Q>,
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.range(range)
    }

    /// The keys whose handle is not the same in both, added and removed ones included, in order.
    pub fn changed(&self, before: &Self) -> Vec<K> {
        if self.same(before) {
            return Vec::new();
        }
        let key = |item| match item {
            DiffItem::Add(key, _) | DiffItem::Remove(key, _) => Clone::clone(key),
            DiffItem::Update { new: (key, _), .. } => Clone::clone(key),
        };
        before.0.diff(&self.0).map(key).collect()
    }

    /// Whether both are the very same map; a fast test that may answer no for equal ones.
    pub fn same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord + Clone, V> PartialEq for Table<K, V> {
    /// The same handles under the same keys.
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0) || self.0 == other.0
    }
}

impl<K: Ord + Clone, V> Eq for Table<K, V> {}

impl<K: Ord + Clone, V> FromIterator<(K, Shared<V>)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, Shared<V>)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_equal_value_keeps_the_handle_and_is_no_change() {
        let mut table = Table::default();
        assert!(table.put("a", 1));
        let before = table.clone();
        assert!(!table.put("a", 1));
        assert!(table.changed(&before).is_empty());
        assert_eq!(table.get("a"), before.get("a"));
    }

    #[test]
    fn an_edit_that_changes_nothing_keeps_the_handle_and_an_empty_value_is_none() {
        let mut table = Table::<&str, BTreeSet<u8>>::default();
        assert!(table.edit(&"a", |set| set.insert(1)));
        let before = table.clone();
        assert!(!table.edit(&"a", |set| set.insert(1)));
        assert!(!table.edit(&"b", |set| set.remove(&1)));
        assert!(table.changed(&before).is_empty());
        assert!(table.edit(&"a", |set| set.remove(&1)));
        assert!(table.is_empty());
    }

    #[test]
    fn changed_names_added_removed_and_updated_keys() {
        let mut before = Table::default();
        for key in 0..100 {
            before.put(key, key);
        }
        let mut after = before.clone();
        after.put(3, 30);
        after.put(200, 1);
        after.remove(&50);
        assert_eq!(after.changed(&before), [3, 50, 200]);
    }
}
