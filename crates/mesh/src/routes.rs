//! VirtualServices with delegates put in, by gateway and by who may see them.

use std::collections::BTreeSet;

use memo::{Shared, Table};
use model::networking::{ExportTo, VirtualService};
use model::{Created, Host, Key, Problem, Text};

use crate::routes::delegate::Resolved;
use crate::scope::destinations;
use crate::{Config, visibility};

mod delegate;
#[cfg(test)]
mod tests;

/// The name that stands for all proxies of the mesh in `gateways`.
pub const MESH: &str = "mesh";

/// All VirtualServices that have hosts, oldest first, delegates resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteIndex {
    /// After delegates were put in, by object.
    resolved: Table<Key, VirtualService>,
    /// (gateway, namespace) → those that only this namespace may see, of its own.
    private: Groups<(Text, Text)>,
    /// (gateway, namespace) → those of other namespaces exported to it by name.
    exported: Groups<(Text, Text)>,
    /// Gateway → those that every namespace may see.
    public: Groups<Text>,
    /// Delegate → the objects that delegate to it.
    referrers: Table<Key, BTreeSet<Key>>,
    /// Namespace → the objects with a rule for clients of this namespace.
    for_clients: Table<Text, BTreeSet<Key>>,
    /// What was found wrong, such as a delegate that is not there.
    problems: Table<Key, Vec<Problem>>,
}

type Groups<K> = Table<K, Table<Order, VirtualService>>;

/// Age, name, namespace: the order in which conflicts are decided; the object makes it total.
type Order = (Created, Text, Text, Key);

impl RouteIndex {
    /// The index of `now`, patched from that of `was` by the VirtualServices that differ, those that
    /// delegate to them, and the mesh's default visibility.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        let mut keys: BTreeSet<Key> =
            now.virtual_services.changed(&was.virtual_services).into_iter().collect();
        let default = |config: &Config| config.mesh.default_virtual_service_export_to.clone();
        if default(was) != default(now) {
            keys.extend(now.virtual_services.iter().map(|(key, _)| key.clone()));
        }
        let referrers = keys.iter().filter_map(|key| self.referrers.get(key));
        let referrers: Vec<Key> = referrers.flat_map(|keys| keys.iter().cloned()).collect();
        keys.extend(referrers);
        for key in keys {
            next.replace(&key, was, now);
        }
        next
    }

    /// The VirtualServices bound to a gateway (`mesh` or `<namespace>/<name>`) that a namespace may
    /// see: private, then exported to it, then public; each oldest first.
    pub fn bound_to(&self, gateway: &str, namespace: &str) -> impl Iterator<Item = &Shared<VirtualService>> {
        let key = (Text::from(gateway), Text::from(namespace));
        let private = self.private.get(&key).into_iter().flat_map(|list| list.values());
        let exported = self.exported.get(&key).into_iter().flat_map(|list| list.values());
        private.chain(exported).chain(self.public.get(gateway).into_iter().flat_map(|list| list.values()))
    }

    /// Hosts that VirtualServices bound to any of these gateways lead to, whoever may see them. `scoped`:
    /// only rules for clients in the gateway's namespace count.
    pub(crate) fn destinations_at(&self, gateways: &BTreeSet<&Text>, scoped: bool) -> BTreeSet<Host> {
        let mut hosts = BTreeSet::new();
        for service in self.resolved.values() {
            for gateway in service.gateways.iter().filter(|gateway| gateways.contains(gateway)) {
                let namespace = gateway.split_once('/').map(|(namespace, _)| namespace).filter(|_| scoped);
                hosts.extend(destinations(service, namespace).into_keys().cloned());
            }
        }
        hosts
    }

    /// A VirtualService with its delegates put in; none for one that others delegate to.
    pub fn resolved(&self, key: &Key) -> Option<&Shared<VirtualService>> {
        self.resolved.get(key)
    }

    /// What was found wrong, by object.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.values().flat_map(|list| list.iter())
    }

    /// Whether the sidecars of a namespace see what all namespaces see: nothing is exported to it by
    /// name, and no rule asks for clients of it.
    pub fn is_public_to(&self, namespace: &str) -> bool {
        let key = (Text::from(MESH), Text::from(namespace));
        let named = self.private.get(&key).is_some() || self.exported.get(&key).is_some();
        !named && self.for_clients.get(namespace).is_none()
    }

    /// Takes in the newest state of one object.
    fn replace(&mut self, key: &Key, was: &Config, now: &Config) {
        let old = self.resolved.get(key).cloned();
        let written = now.virtual_services.get(key);
        let new = written.filter(|one| !one.hosts.is_empty()).map(|one| delegate::resolve(one, now));
        self.refer(key, was.virtual_services.get(key), written);
        let (service, problems) = match new {
            Some(Resolved { service, problems }) => (Some(same(service, old.as_ref())), problems),
            None => (None, Vec::new()),
        };
        self.problems.set(key.clone(), Some(problems).filter(|list| !list.is_empty()));
        let places = |config: &Config, one: &VirtualService| export_to(config, one);
        let before = old.map(|one| (places(was, &one), one));
        let after = service.map(|one| (places(now, &one), one));
        if before == after {
            return;
        }
        if let Some((export, old)) = &before {
            self.edit(export, old, |list| list.remove(&order(old)));
            self.note_clients(old, false);
            self.resolved.remove(key);
        }
        if let Some((export, new)) = &after {
            self.edit(export, new, |list| list.share(order(new), new.clone()));
            self.note_clients(new, true);
            self.resolved.share(key.clone(), new.clone());
        }
    }

    /// Edits each list that a VirtualService has its place in.
    fn edit(
        &mut self,
        export: &ExportTo,
        one: &VirtualService,
        mut edit: impl FnMut(&mut Table<Order, VirtualService>) -> bool,
    ) {
        let own = &one.meta.key.namespace;
        for gateway in &one.gateways {
            let ExportTo::Namespaces(namespaces) = export else {
                self.public.edit(gateway, &mut edit);
                continue;
            };
            for namespace in namespaces {
                let groups = if namespace == own { &mut self.private } else { &mut self.exported };
                groups.edit(&(gateway.clone(), namespace.clone()), &mut edit);
            }
        }
    }

    /// Keeps the way from delegates to those that delegate to them.
    fn refer(
        &mut self,
        key: &Key,
        old: Option<&Shared<VirtualService>>,
        new: Option<&Shared<VirtualService>>,
    ) {
        let references = |one: Option<&Shared<VirtualService>>| -> BTreeSet<Key> {
            one.map(|one| delegate::references(one).collect()).unwrap_or_default()
        };
        let (old, new) = (references(old), references(new));
        for gone in old.difference(&new) {
            self.referrers.edit(gone, |keys| keys.remove(key));
        }
        for come in new.difference(&old) {
            self.referrers.edit(come, |keys| keys.insert(key.clone()));
        }
    }

    fn note_clients(&mut self, one: &VirtualService, present: bool) {
        let matches = one.http.iter().flat_map(|route| route.matches.iter());
        let namespaces: BTreeSet<&Text> =
            matches.map(|one| &one.source_namespace).filter(|name| !name.is_empty()).collect();
        for namespace in namespaces {
            let key = &one.meta.key;
            self.for_clients
                .edit(namespace, |keys| if present { keys.insert(key.clone()) } else { keys.remove(key) });
        }
    }
}

/// Who may see a VirtualService.
fn export_to(config: &Config, one: &VirtualService) -> ExportTo {
    let default = &config.mesh.default_virtual_service_export_to;
    visibility::resolve(&one.export_to, default, &one.meta.key.namespace)
}

fn order(one: &VirtualService) -> Order {
    let meta = &one.meta;
    (meta.created, meta.key.name.clone(), meta.key.namespace.clone(), meta.key.clone())
}

/// The old handle if it holds an equal value.
fn same(new: Shared<VirtualService>, old: Option<&Shared<VirtualService>>) -> Shared<VirtualService> {
    old.filter(|old| ***old == *new).cloned().unwrap_or(new)
}
