//! The key of an object: cluster, kind, namespace, name.

use std::fmt;

use crate::Text;

/// Which kind of object; the order is that in which kinds are listed to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is the API's own name of the kind")]
pub enum Kind {
    /// No object: a file (or a document in it) that could not be read; the name is its path.
    File,
    MeshConfig,
    Namespace,
    Node,
    Service,
    EndpointSlice,
    Pod,
    ServiceEntry,
    WorkloadEntry,
    Sidecar,
    Gateway,
    VirtualService,
    DestinationRule,
    PeerAuthentication,
    ProxyConfig,
}

impl Kind {
    /// The API's name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::MeshConfig => "MeshConfig",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::ServiceEntry => "ServiceEntry",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::Sidecar => "Sidecar",
            Self::Gateway => "Gateway",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::PeerAuthentication => "PeerAuthentication",
            Self::ProxyConfig => "ProxyConfig",
        }
    }
}

/// The identity of an object: which cluster it is of, what it is, where and how it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The id of the cluster that the object was read from.
    pub cluster: Text,
    /// What it is.
    pub kind: Kind,
    /// Its namespace, empty for kinds without one.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
}

impl Key {
    /// Where the keys of a kind and namespace of a cluster begin; the name is empty.
    pub fn first_of(cluster: &Text, kind: Kind, namespace: &Text) -> Self {
        Self { cluster: cluster.clone(), kind, namespace: namespace.clone(), name: "".into() }
    }

    /// Whether both are of the same cluster, kind and namespace; such keys stand side by side.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.kind == other.kind && self.namespace == other.namespace && self.cluster == other.cluster
    }
}

impl fmt::Display for Key {
    /// `VirtualService default/reviews`, as kubectl's users know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        f.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// When an object was created, in seconds since 1970; objects without a time stamp are of equal age (0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Created(pub i64);

/// What every configuration object carries beside its own fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Its identity.
    pub key: Key,
    /// Its age, which decides between objects that say the same thing.
    pub created: Created,
    /// Its labels.
    pub labels: crate::Labels,
    /// Those of its annotations that some rule reads ([`crate::parse::is_read_annotation`]).
    pub annotations: crate::Labels,
    /// The API version as written, for instance `networking.istio.io/v1`; part of the
    /// `istio.config` metadata that proxies are sent.
    pub api_version: Text,
}

impl Meta {
    /// The order in which istiod lets configuration objects win: age, then name, then namespace.
    pub fn order(&self) -> (Created, &Text, &Text) {
        (self.created, &self.key.name, &self.key.namespace)
    }
}
