//! Which Sidecar applies to a workload.

use std::collections::BTreeSet;

use memo::{Shared, Table};
use model::networking::Sidecar;
use model::{Created, Key, Labels, Text};

use crate::Config;

/// Sidecars by namespace, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarIndex {
    /// By namespace: those with a selector first, each group oldest first.
    by_namespace: Table<Text, Table<Order, Sidecar>>,
    /// The oldest one without a selector in the root namespace.
    root: Option<Shared<Sidecar>>,
}

/// Selector before none, then age, then name; the object makes it total.
type Order = (bool, Created, Text, Key);

impl SidecarIndex {
    /// The index of `now`, patched by the Sidecars that differ.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        let changed = now.sidecars.changed(&was.sidecars);
        let namespaces: BTreeSet<Text> = changed.iter().map(|key| key.namespace.clone()).collect();
        for namespace in namespaces {
            let old = next.by_namespace.get(&namespace).map(|list| (**list).clone()).unwrap_or_default();
            let own = changed.iter().filter(|key| key.namespace == namespace);
            let list =
                own.fold(old, |list, key| replaced(list, was.sidecars.get(key), now.sidecars.get(key)));
            next.by_namespace.set(namespace, Some(list).filter(|list| !list.is_empty()));
        }
        next.root = next.of_all(&now.mesh.root_namespace).cloned();
        next
    }

    /// The Sidecar of a workload: the first of its namespace whose selector matches, else the first one
    /// without a selector, else the root namespace's.
    pub fn of(&self, namespace: &str, labels: &Labels) -> Option<&Shared<Sidecar>> {
        let selected = |sidecar: &&Shared<Sidecar>| {
            sidecar.selector.as_ref().is_none_or(|selector| selector.selects(labels))
        };
        let own = self.by_namespace.get(namespace).and_then(|list| list.values().find(selected));
        own.or(self.root.as_ref())
    }

    /// The oldest Sidecar of a namespace without a selector.
    fn of_all(&self, namespace: &str) -> Option<&Shared<Sidecar>> {
        self.by_namespace.get(namespace)?.values().find(|sidecar| sidecar.selector.is_none())
    }
}

fn replaced(
    mut list: Table<Order, Sidecar>,
    old: Option<&Shared<Sidecar>>,
    new: Option<&Shared<Sidecar>>,
) -> Table<Order, Sidecar> {
    if let Some(old) = old {
        list.remove(&order(old));
    }
    if let Some(new) = new {
        list.share(order(new), new.clone());
    }
    list
}

fn order(sidecar: &Sidecar) -> Order {
    let meta = &sidecar.meta;
    (sidecar.selector.is_none(), meta.created, meta.key.name.clone(), meta.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::{With, sidecar};

    fn selecting(id: &str, age: i64, app: &str) -> Sidecar {
        Sidecar { selector: Some([("app", app)].into_iter().collect()), ..aged(id, age) }
    }

    fn aged(id: &str, age: i64) -> Sidecar {
        let mut sidecar = sidecar(id, &["*/*"]);
        sidecar.meta.created = Created(age);
        sidecar
    }

    fn check(index: &SidecarIndex, namespace: &str, app: &str, expected: &str) {
        let labels = [("app", app)].into_iter().collect();
        let name = index.of(namespace, &labels).map_or("", |sidecar| &*sidecar.meta.key.name);
        assert_eq!(name, expected, "{namespace} {app}");
    }

    #[test]
    fn selectors_first_then_age_then_the_root_namespace() {
        let before = Config::default()
            .with(aged("a/old", 1))
            .with(aged("a/older", 0))
            .with(selecting("a/x", 5, "x"))
            .with(selecting("a/x-older", 4, "x"))
            .with(selecting("istio-system/selecting", 1, "x"))
            .with(aged("istio-system/root", 1));
        let index = SidecarIndex::default().next(&Config::default(), &before);
        check(&index, "a", "x", "x-older");
        check(&index, "a", "y", "older");
        check(&index, "b", "x", "root");
        check(&index, "istio-system", "x", "selecting");
        let after = before.clone().without(&aged("istio-system/root", 1).meta.key).with(aged("a/older", 2));
        let index = index.next(&before, &after);
        check(&index, "b", "x", "");
        check(&index, "a", "y", "old");
    }

    #[test]
    fn nothing_changed_is_nothing_new() {
        let config = Config::default().with(aged("a/s", 1));
        let index = SidecarIndex::default().next(&Config::default(), &config);
        assert_eq!(index.next(&config, &config), index);
    }
}
