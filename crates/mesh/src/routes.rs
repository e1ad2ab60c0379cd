//! VirtualServices with delegates put in, by gateway and by who may see them.

use memo::{Shared, Table};
use model::networking::VirtualService;
use model::{Key, Problem, Text};

use crate::Config;

/// All VirtualServices that have hosts, oldest first, delegates resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteIndex {
    /// After delegates were put in, by object.
    pub(crate) resolved: Table<Key, VirtualService>,
    /// (gateway, namespace) → those that only this namespace may see, own ones first.
    pub(crate) private: Table<(Text, Text), Vec<Shared<VirtualService>>>,
    /// (gateway, namespace) → those of other namespaces exported to it by name.
    pub(crate) exported: Table<(Text, Text), Vec<Shared<VirtualService>>>,
    /// gateway → those that every namespace may see.
    pub(crate) public: Table<Text, Vec<Shared<VirtualService>>>,
    /// What was found wrong, such as a delegate that is not there.
    pub(crate) problems: Vec<Problem>,
}

/// The name that stands for all proxies of the mesh in `gateways`.
pub const MESH: &str = "mesh";

impl RouteIndex {
    /// The index of `now`.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let _ = (was, now);
        self.clone()
    }

    /// The VirtualServices bound to a gateway (`mesh` or `<namespace>/<name>`) that a namespace may
    /// see: private, then exported to it, then public; each oldest first.
    pub fn bound_to(&self, gateway: &str, namespace: &str) -> impl Iterator<Item = &Shared<VirtualService>> {
        let key = (Text::from(gateway), Text::from(namespace));
        let private = self.private.get(&key).into_iter().flat_map(|list| list.iter());
        let exported = self.exported.get(&key).into_iter().flat_map(|list| list.iter());
        private.chain(exported).chain(self.public.get(gateway).into_iter().flat_map(|list| list.iter()))
    }
}
