//! Who refuses mutual TLS: all that clients read of PeerAuthentications, by namespace, so that any other
//! policy is no news to them.

use std::collections::BTreeMap;

use memo::Shared;
use model::endpoint::EndpointWorkload;
use model::networking::{MutualTlsMode, PeerAuthentication};
use model::{Labels, Text};

use super::{AuthnIndex, WorkloadAuthn};

/// Workloads that refuse mutual TLS (`DISABLE`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Whether those of namespaces that are not named below do.
    others: bool,
    namespaces: BTreeMap<Text, OfNamespace>,
}

/// What one policy with a selector says: selector, answer, answers of ports.
type Selected = (Labels, bool, Vec<(u16, bool)>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfNamespace {
    /// Whether workloads do that no policy below selects.
    others: bool,
    /// What policies with a selector say, oldest first.
    selected: Vec<Selected>,
}

/// Refusals under handles that stay the same while what they hold is equal; none where nobody refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusalIndex {
    /// Of namespaces with policies of their own.
    own: BTreeMap<Text, Option<Shared<Refusals>>>,
    /// Of all other namespaces.
    others: Option<Shared<Refusals>>,
    /// Of all namespaces at once.
    all: Option<Shared<Refusals>>,
}

impl Refusals {
    /// Whether a workload refuses it at one of its ports.
    pub fn contain(&self, workload: &EndpointWorkload, port: u16) -> bool {
        let Some(own) = self.namespaces.get(&workload.namespace) else { return self.others };
        let selects = |(selector, ..): &&Selected| selector.selects(&workload.labels);
        let Some((_, answer, ports)) = own.selected.iter().find(selects) else { return own.others };
        ports.iter().find(|(number, _)| *number == port).map_or(*answer, |(_, answer)| *answer)
    }

    fn kept(self, old: Option<&Shared<Self>>) -> Option<Shared<Self>> {
        let nobody = !self.others && self.namespaces.values().all(|own| *own == OfNamespace::default());
        if nobody {
            return None;
        }
        Some(match old {
            Some(old) => old.or_same(self),
            None => Shared::new(self),
        })
    }
}

impl OfNamespace {
    fn of(authn: &AuthnIndex, namespace: &Text) -> Self {
        let mode = authn.mode(namespace);
        let others = refuses(mode);
        let policies = authn.workloads.get(namespace).into_iter().flatten();
        let answer = |policy: &Shared<PeerAuthentication>| {
            let served = WorkloadAuthn::of(policy, mode);
            let ports = served.ports.iter().map(|(port, mode)| (*port, refuses(*mode))).collect();
            Some((policy.selector.clone()?, refuses(served.mode), ports))
        };
        let selected: Vec<Selected> = policies.filter_map(answer).collect();
        let tells = |(_, answer, ports): &Selected| {
            *answer != others || ports.iter().any(|(_, answer)| *answer != others)
        };
        let selected = if selected.iter().any(tells) { selected } else { Vec::new() };
        Self { others, selected }
    }
}

impl RefusalIndex {
    /// The refusals of these policies, under the handles of this index where they are equal.
    pub(super) fn next(&self, authn: &AuthnIndex) -> Self {
        let others = authn.mesh.is_some_and(refuses);
        let names = authn.namespaces.keys().chain(authn.workloads.keys());
        let namespaces: BTreeMap<Text, OfNamespace> =
            names.map(|name| (name.clone(), OfNamespace::of(authn, name))).collect();
        let own = namespaces.iter().map(|(name, own)| {
            let alone = Refusals { others: false, namespaces: BTreeMap::from([(name.clone(), own.clone())]) };
            (name.clone(), alone.kept(self.own.get(name).and_then(Option::as_ref)))
        });
        Self {
            own: own.collect(),
            others: Refusals { others, ..Refusals::default() }.kept(self.others.as_ref()),
            all: Refusals { others, namespaces: namespaces.clone() }.kept(self.all.as_ref()),
        }
    }

    /// Those of a namespace, or of all of them.
    pub(super) fn of(&self, namespace: &str, all: bool) -> Option<&Shared<Refusals>> {
        match self.own.get(namespace) {
            _ if all => self.all.as_ref(),
            Some(own) => own.as_ref(),
            None => self.others.as_ref(),
        }
    }
}

fn refuses(mode: MutualTlsMode) -> bool {
    mode == MutualTlsMode::Disable
}
