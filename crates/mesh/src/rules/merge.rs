//! DestinationRules of one namespace for one host into the rules that are applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use memo::Shared;
use model::networking::{DestinationRule, ExportTo, TrafficPolicy};
use model::{Host, Key, Kind, Text};

use super::{HostRules, MergedRule, private_by_default};
use crate::{Config, keys};

/// The annotation of rules made from a Gateway API backend policy.
const BACKEND_POLICY: &str = "internal.istio.io/parents";

/// The rules of one namespace, merged for each level at which they are looked for.
pub(super) struct Levels {
    /// What clients of the namespace see.
    pub(super) local: Merged,
    /// What clients of other namespaces may see.
    pub(super) exported: Merged,
    /// What no other namespace may see; looked at in the root namespace only.
    pub(super) private: Merged,
}

/// Rules by host while they are merged.
#[derive(Default)]
pub(super) struct Merged(BTreeMap<Host, Vec<MergedRule>>);

impl Levels {
    /// Merges the rules of a namespace, those with a selector first, each group oldest first.
    pub(super) fn of(config: &Config, namespace: &Text) -> Self {
        let enhanced = config.settings.enhanced_rule_merge;
        let hidden = private_by_default(config);
        let mut levels =
            Self { local: Merged::default(), exported: Merged::default(), private: Merged::default() };
        for rule in ordered(config, namespace) {
            let rule = forced_private(&rule);
            if rule.export_to.contains(namespace) {
                levels.local.add(&rule, enhanced);
            }
            let level = if is_private(&rule, hidden) { &mut levels.private } else { &mut levels.exported };
            level.add(&rule, enhanced);
        }
        levels
    }
}

fn ordered(config: &Config, namespace: &Text) -> Vec<Shared<DestinationRule>> {
    let first = Key::first_of(&config.settings.cluster, Kind::DestinationRule, namespace);
    let rules = keys::beside(&config.destination_rules, first);
    let mut rules: Vec<_> = rules.map(|(_, rule)| rule.clone()).collect();
    rules.sort_by(|one, two| {
        let key = |rule: &Shared<DestinationRule>| rule.selector.is_none();
        key(one).cmp(&key(two)).then_with(|| one.meta.order().cmp(&two.meta.order()))
    });
    rules
}

/// A rule for selected workloads concerns its own namespace only, whatever it says.
fn forced_private(rule: &DestinationRule) -> DestinationRule {
    let mut rule = rule.clone();
    if rule.selector.is_some() {
        rule.export_to = ExportTo::Namespaces(vec![rule.meta.key.namespace.clone()]);
    }
    rule
}

fn is_private(rule: &DestinationRule, by_default: bool) -> bool {
    match &rule.export_to {
        ExportTo::Unset => by_default,
        ExportTo::Public => false,
        ExportTo::Namespaces(list) => matches!(list.as_slice(), [only] if *only == rule.meta.key.namespace),
    }
}

impl Merged {
    fn add(&mut self, rule: &DestinationRule, enhanced: bool) {
        let stored = self.0.entry(rule.host.clone()).or_default();
        // The last comparison decides whether the rule also stands on its own, as in istiod.
        let mut apart = true;
        for one in stored.iter_mut() {
            apart = merge(one, rule, enhanced, apart);
        }
        if apart {
            stored.push(MergedRule { rule: rule.clone(), from: vec![rule.meta.clone()] });
        }
    }

    /// Handles for the merged rules, old ones where an equal rule is known; `None` if there are no rules.
    pub(super) fn kept(self, known: &[Option<Shared<HostRules>>]) -> Option<HostRules> {
        let mut rules = HostRules::default();
        for (host, merged) in self.0 {
            let shared = merged.into_iter().map(|rule| handle(&host, rule, known)).collect();
            let map = if host.is_wildcard() { &mut rules.wildcards } else { &mut rules.exact };
            map.insert(host, shared);
        }
        (rules != HostRules::default()).then_some(rules)
    }
}

fn handle(host: &Host, rule: MergedRule, known: &[Option<Shared<HostRules>>]) -> Shared<MergedRule> {
    let of_host = |level: &'_ Shared<HostRules>| -> Vec<Shared<MergedRule>> {
        let map = if host.is_wildcard() { &level.wildcards } else { &level.exact };
        map.get(host).cloned().unwrap_or_default()
    };
    let same = known.iter().flatten().flat_map(of_host).find(|old| **old == rule);
    same.unwrap_or_else(|| Shared::new(rule))
}

/// Merges `rule` into `stored` if they may be merged; answers whether `rule` has to stand on its own as
/// well. `apart` is the answer of the comparison before, which some pairs leave as it was.
fn merge(stored: &mut MergedRule, rule: &DestinationRule, enhanced: bool, apart: bool) -> bool {
    let mut apart = apart;
    if enhanced {
        match exports(&stored.rule.export_to, &rule.export_to) {
            Exports::Equal => apart = false,
            Exports::Wider => apart = true,
            Exports::Other => return true,
        }
    }
    match (&stored.rule.selector, &rule.selector) {
        (Some(one), Some(two)) if one != two => return true,
        (Some(_), Some(_)) | (None, None) => apart = false,
        _ => {}
    }
    stored.from.push(rule.meta.clone());
    for subset in &rule.subsets {
        if stored.rule.subsets.iter().all(|known| known.name != subset.name) {
            stored.rule.subsets.push(subset.clone());
        }
    }
    stored.rule.policy = merge_policy(&stored.rule, rule);
    apart
}

/// How the namespaces that a new rule is visible in compare to those of a stored one.
enum Exports {
    Equal,
    Wider,
    Other,
}

fn exports(stored: &ExportTo, new: &ExportTo) -> Exports {
    match (stored, new) {
        _ if stored == new => Exports::Equal,
        (ExportTo::Namespaces(stored), ExportTo::Namespaces(new))
            if !stored.is_empty() && stored.iter().all(|one| new.contains(one)) =>
        {
            Exports::Wider
        }
        _ => Exports::Other,
    }
}

/// The first policy wins; of a user's rule and one made from a backend policy, the user's field by field.
fn merge_policy(stored: &DestinationRule, rule: &DestinationRule) -> Option<Arc<TrafficPolicy>> {
    let from_backend = |rule: &DestinationRule| rule.meta.annotations.get(BACKEND_POLICY).is_some();
    let (user, backend) = match (from_backend(stored), from_backend(rule)) {
        (false, true) => (&stored.policy, &rule.policy),
        (true, false) => (&rule.policy, &stored.policy),
        _ => return stored.policy.clone().or_else(|| rule.policy.clone()),
    };
    match (user, backend) {
        (Some(user), Some(backend)) => Some(Arc::new(fill_gaps(user, backend))),
        (user, backend) => user.clone().or_else(|| backend.clone()),
    }
}

fn fill_gaps(user: &TrafficPolicy, backend: &TrafficPolicy) -> TrafficPolicy {
    let mut merged = user.clone();
    fill_four(&mut merged, backend);
    merged.tunnel = merged.tunnel.or_else(|| backend.tunnel.clone());
    merged.proxy_protocol = merged.proxy_protocol.or(backend.proxy_protocol);
    merged.retry_budget = merged.retry_budget.or(backend.retry_budget);
    for (port, policy) in &backend.port_levels {
        match merged.port_levels.iter_mut().find(|(number, _)| number == port) {
            Some((_, own)) => fill_four(Arc::make_mut(own), policy),
            None => merged.port_levels.push((*port, policy.clone())),
        }
    }
    merged
}

/// Fills what a port's policy has too.
fn fill_four(merged: &mut TrafficPolicy, backend: &TrafficPolicy) {
    let TrafficPolicy { load_balancer, connection_pool, outlier_detection, tls, .. } = merged;
    *load_balancer = load_balancer.take().or_else(|| backend.load_balancer.clone());
    *connection_pool = connection_pool.take().or_else(|| backend.connection_pool.clone());
    *outlier_detection = outlier_detection.take().or_else(|| backend.outlier_detection.clone());
    *tls = tls.take().or_else(|| backend.tls.clone());
}
