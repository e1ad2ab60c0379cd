//! What is known of a type from its URL: its place in a push, and how clients ask for it.

use envoy_api::type_url;

use crate::view::Kind;

/// The place of a type in a push, lowest first: clusters, endpoints, listeners, routes, secrets, the rest,
/// so that what is needed comes before what needs it (xDS protocol, "Eventual consistency considerations").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Clusters,
    Endpoints,
    Listeners,
    Routes,
    Secrets,
    Addresses,
    Workloads,
    Authorization,
    Other,
}

impl Rank {
    pub(crate) fn of(url: &str) -> Self {
        match url {
            type_url::CLUSTER => Self::Clusters,
            type_url::ENDPOINT => Self::Endpoints,
            type_url::LISTENER => Self::Listeners,
            type_url::ROUTE => Self::Routes,
            type_url::SECRET => Self::Secrets,
            type_url::ADDRESS => Self::Addresses,
            type_url::WORKLOAD => Self::Workloads,
            type_url::AUTHORIZATION => Self::Authorization,
            _ => Self::Other,
        }
    }
}

/// How a type is asked for while no view says so.
pub(crate) fn usual_kind(url: &str) -> Kind {
    match url {
        type_url::ENDPOINT | type_url::ROUTE | type_url::SECRET | type_url::EXTENSION => Kind::Named,
        _ => Kind::Wildcard,
    }
}

/// Whether a resource that a state-of-the-world response leaves out is taken away: clusters and listeners
/// (xDS protocol, "Grouping Resources into Responses") and Istio's types that are asked for as a whole.
pub(crate) fn is_whole(url: &str, kind: Kind) -> bool {
    kind == Kind::Wildcard || matches!(url, type_url::CLUSTER | type_url::LISTENER)
}

/// How metrics call the types, in the order of [`label_of`].
pub const LABELS: [&str; 11] =
    ["cds", "eds", "lds", "rds", "sds", "ecds", "nds", "pcds", "wds", "wads", "other"];

/// The place of a type in [`LABELS`].
pub fn label_of(url: &str) -> usize {
    match url {
        type_url::CLUSTER => 0,
        type_url::ENDPOINT => 1,
        type_url::LISTENER => 2,
        type_url::ROUTE => 3,
        type_url::SECRET => 4,
        type_url::EXTENSION => 5,
        type_url::NAME_TABLE => 6,
        type_url::PROXY_CONFIG => 7,
        type_url::ADDRESS | type_url::WORKLOAD => 8,
        type_url::AUTHORIZATION => 9,
        _ => 10,
    }
}
