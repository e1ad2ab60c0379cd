//! Istio's networking and authentication objects as checked values.

mod destination_rule;
mod gateway;
mod peer_authentication;
mod service_entry;
mod sidecar;
mod virtual_service;

use crate::{Labels, Text};

pub use destination_rule::*;
pub use gateway::*;
pub use peer_authentication::*;
pub use service_entry::*;
pub use sidecar::*;
pub use virtual_service::*;

/// Who may see an object.
///
/// From `exportTo`: `*` wins over everything, `.` is the object's own namespace (already replaced by
/// its name here), `~` is nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExportTo {
    /// Nothing was said: the mesh's default for the kind applies.
    Unset,
    /// Every namespace.
    Public,
    /// These namespaces, sorted; empty for nobody.
    Namespaces(Vec<Text>),
}

impl ExportTo {
    /// Whether some namespace may see what either is of; `Unset` counts as public here too.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Namespaces(one), Self::Namespaces(two)) => one.iter().any(|name| two.contains(name)),
            (Self::Namespaces(list), _) | (_, Self::Namespaces(list)) => !list.is_empty(),
            _ => true,
        }
    }

    /// Whether a namespace may see it; `Unset` counts as public here, so resolve defaults first.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::Unset | Self::Public => true,
            Self::Namespaces(list) => list.iter().any(|one| &**one == namespace),
        }
    }
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// The whole text.
    Exact(Text),
    /// Its beginning.
    Prefix(Text),
    /// A regular expression in RE2 syntax for the whole text.
    Regex(Text),
    /// Nothing was said (`{}`): any value, as long as there is one.
    Present,
}

/// Labels that choose workloads; `None` (or an empty map) chooses all.
pub type Selector = Option<Labels>;
