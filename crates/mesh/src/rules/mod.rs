//! DestinationRules: merged by host, looked up by client namespace, service and labels.

mod merge;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use memo::{Shared, Table};
use model::key::Meta;
use model::networking::{DestinationRule, ExportTo};
use model::{Host, Key, Labels, Text};

use crate::Config;

pub use policy::EffectivePolicy;

/// One rule as it is applied: possibly merged from several objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedRule {
    /// The rule: subsets concatenated, first policy wins; `meta` is that of the first object.
    pub rule: DestinationRule,
    /// The objects that it was merged from, in order.
    pub from: Vec<Meta>,
}

/// All rules by where they are looked for (xds-semantics, DestinationRule).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleIndex {
    /// By client namespace: rules of that namespace.
    pub(crate) local: Table<Text, HostRules>,
    /// By the rule's namespace: rules that others may see.
    pub(crate) exported: Table<Text, HostRules>,
    /// Private rules of the root namespace.
    pub(crate) root_local: Shared<HostRules>,
    /// The root namespace.
    pub(crate) root: RootNamespace,
    /// The namespaces to which some rule is exported by name.
    named: BTreeSet<Text>,
}

/// The root namespace, `istio-system` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootNamespace(pub(crate) Text);

impl Default for RootNamespace {
    fn default() -> Self {
        Self("istio-system".into())
    }
}

/// Rules of one level by host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostRules {
    /// Rules of exact hosts.
    pub(crate) exact: BTreeMap<Host, Vec<Shared<MergedRule>>>,
    /// Rules of hosts that begin with `*`.
    pub(crate) wildcards: BTreeMap<Host, Vec<Shared<MergedRule>>>,
}

impl HostRules {
    fn rules(&self) -> impl Iterator<Item = &Shared<MergedRule>> {
        self.exact.values().chain(self.wildcards.values()).flatten()
    }

    /// The namespaces that rules are exported to by name.
    fn named(&self) -> impl Iterator<Item = &Text> {
        self.rules().flat_map(|one| match &one.rule.export_to {
            ExportTo::Namespaces(list) => list.as_slice(),
            ExportTo::Unset | ExportTo::Public => &[],
        })
    }

    /// The rules of the most specific host that covers `host`.
    fn most_specific(&self, host: &Host) -> Option<&[Shared<MergedRule>]> {
        if !host.is_wildcard() {
            if let Some(rules) = self.exact.get(host) {
                return Some(rules);
            }
        } else if let Some(rules) = self.wildcards.get(host) {
            return Some(rules);
        }
        let covering = self.wildcards.iter().filter(|(pattern, _)| host.is_subset_of(pattern));
        covering.min_by(|one, two| one.0.specificity(two.0)).map(|(_, rules)| rules.as_slice())
    }
}

impl RuleIndex {
    /// The index of `now`; only namespaces whose rules differ are merged again.
    #[must_use]
    pub fn next(&self, was: &Config, now: &Config) -> Self {
        let mut next = self.clone();
        next.root = RootNamespace(now.mesh.root_namespace.clone());
        for namespace in touched(was, now) {
            next.merge_namespace(now, &namespace);
        }
        if next.root != self.root && !next.local.iter().any(|(namespace, _)| *namespace == next.root.0) {
            next.root_local = Shared::default();
        }
        if next.exported != self.exported {
            next.named = next.exported.values().flat_map(|level| level.named()).cloned().collect();
        }
        next
    }

    /// Whether a namespace sees the rules that every namespace sees: it has none of its own, and none is
    /// exported to it by name.
    pub fn is_public_to(&self, namespace: &str) -> bool {
        let own = self.local.get(namespace).is_some() || *namespace == *self.root.0;
        !own && !self.named.contains(namespace)
    }

    /// Those of a workload's labels that a selector of its namespace's rules asks for.
    pub fn selector_labels(&self, namespace: &str, labels: &Labels) -> Labels {
        let rules = self.local.get(namespace).into_iter().flat_map(|level| level.rules());
        let selectors = rules.filter_map(|one| one.rule.selector.as_ref());
        let asked: BTreeSet<&Text> = selectors.flat_map(Labels::iter).map(|(key, _)| key).collect();
        labels.iter().filter(|(key, _)| asked.contains(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn merge_namespace(&mut self, now: &Config, namespace: &Text) {
        let levels = merge::Levels::of(now, namespace);
        let old = |table: &Table<Text, HostRules>| table.get(namespace).cloned();
        let local = levels.local.kept(&[old(&self.local)]);
        self.local.set(namespace.clone(), local);
        let known = [old(&self.exported), old(&self.local)];
        self.exported.set(namespace.clone(), levels.exported.kept(&known));
        if *namespace == self.root.0 {
            let known = [Some(self.root_local.clone()), old(&self.local)];
            let root_local = levels.private.kept(&known).unwrap_or_default();
            self.root_local = self.root_local.or_same(root_local);
        }
    }

    /// The rules for a service as seen from a client's namespace: those of the most specific host of
    /// the first level that has one (client's namespace, service's namespace, root namespace).
    ///
    /// A level whose rules are all hidden from the client counts as having none. Clients in the root
    /// namespace see of their own only what is private there, so that mesh-wide rules do not hide those
    /// of a service's namespace.
    pub fn lookup(&self, client: &str, host: &Host, service_namespace: &str) -> Vec<Shared<MergedRule>> {
        let own = if *client == *self.root.0 { Some(&self.root_local) } else { self.local.get(client) };
        if let Some(found) = own.and_then(|level| level.most_specific(host)) {
            return found.to_vec();
        }
        let visible = |namespace: &str| -> Vec<Shared<MergedRule>> {
            let level = self.exported.get(namespace);
            let found = level.and_then(|level| level.most_specific(host)).unwrap_or_default();
            found.iter().filter(|one| one.rule.export_to.contains(client)).cloned().collect()
        };
        let found = visible(service_namespace);
        if found.is_empty() { visible(&self.root.0) } else { found }
    }

    /// The rule among those found that applies to outbound traffic of a workload: one of its own
    /// namespace whose selector matches wins, else the last one without a selector.
    pub fn choose(found: &[Shared<MergedRule>], client: &str, labels: &Labels) -> Option<Shared<MergedRule>> {
        let selected = found.iter().find(|one| {
            let selector = one.rule.selector.as_ref();
            *one.rule.meta.key.namespace == *client && selector.is_some_and(|it| it.selects(labels))
        });
        selected.cloned().or_else(|| Self::choose_inbound(found))
    }

    /// The rule among those found that applies to inbound traffic: the last one without a selector.
    pub fn choose_inbound(found: &[Shared<MergedRule>]) -> Option<Shared<MergedRule>> {
        found.iter().rfind(|one| one.rule.selector.is_none()).cloned()
    }
}

/// The namespaces whose rules have to be merged again.
fn touched(was: &Config, now: &Config) -> BTreeSet<Text> {
    let namespace = |key: Key| key.namespace;
    let same_rules = was.mesh.root_namespace == now.mesh.root_namespace
        && was.mesh.default_destination_rule_export_to == now.mesh.default_destination_rule_export_to
        && was.settings.cluster == now.settings.cluster
        && was.settings.enhanced_rule_merge == now.settings.enhanced_rule_merge;
    let mut touched: BTreeSet<Text> =
        now.destination_rules.changed(&was.destination_rules).into_iter().map(namespace).collect();
    if !same_rules {
        touched.extend(now.destination_rules.iter().map(|(key, _)| key.namespace.clone()));
    }
    touched
}

/// Whether the mesh's default hides rules that say nothing from other namespaces.
fn private_by_default(config: &Config) -> bool {
    match &config.mesh.default_destination_rule_export_to {
        ExportTo::Namespaces(list) => list.iter().any(|one| &**one == "."),
        ExportTo::Unset | ExportTo::Public => false,
    }
}

#[cfg(test)]
mod tests;
