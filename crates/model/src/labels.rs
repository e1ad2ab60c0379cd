//! Labels and annotations: small sorted maps of text, shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Text;

/// The network that a workload is in.
pub const NETWORK: &str = "topology.istio.io/network";
/// The cluster that a workload is of.
pub const CLUSTER: &str = "topology.istio.io/cluster";
/// The part of a locality below its zone.
pub const SUBZONE: &str = "topology.istio.io/subzone";
/// The first part of a locality.
pub const REGION: &str = "topology.kubernetes.io/region";
/// The second part of a locality.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The machine.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Labels by which `PreferSameNode` ranks endpoints; more than those of the other distributions.
pub const SAME_NODE: &[&str] = &[NETWORK, REGION, ZONE, SUBZONE, HOSTNAME];
/// Labels by which `PreferSameZone` (and `PreferClose`) ranks endpoints.
pub const SAME_ZONE: &[&str] = &[NETWORK, REGION, ZONE];

/// Sessions of a service stay with an endpoint, by the cookie that the label names.
pub const SESSION_COOKIE: &str = "istio.io/persistent-session";
/// Sessions of a service stay with an endpoint, by the header that the label names.
pub const SESSION_HEADER: &str = "istio.io/persistent-session-header";
/// Either of them.
pub const SESSIONS: [&str; 2] = [SESSION_COOKIE, SESSION_HEADER];

/// A set of labels (or annotations); cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<BTreeMap<Text, Text>>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| &**value)
    }

    /// The value of a label as shared text.
    pub fn text(&self, key: &str) -> Option<&Text> {
        self.0.get(key)
    }

    /// Whether the label is there with a value that is not empty.
    pub fn is_set(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_empty())
    }

    /// Whether every label of this selector stands in `labels` with the same value; an empty
    /// selector matches everything.
    pub fn selects(&self, labels: &Self) -> bool {
        Arc::ptr_eq(&self.0, &labels.0) || self.0.iter().all(|(key, value)| labels.0.get(key) == Some(value))
    }

    /// These labels with those of `over` put on top.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        if over.is_empty() {
            return self.clone();
        }
        let both = self.0.iter().chain(over.0.iter());
        both.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// All labels in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.0.iter()
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Labels and conditions that all have to hold; Kubernetes' label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// Labels with just these values.
    pub labels: Labels,
    /// Further conditions.
    pub conditions: Vec<Condition>,
}

/// A condition of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The label has one of the values.
    In(Text, Vec<Text>),
    /// The label is missing or has none of the values.
    NotIn(Text, Vec<Text>),
    /// The label is there.
    Exists(Text),
    /// The label is not there.
    Missing(Text),
}

impl LabelSelector {
    /// Whether these labels are selected; nothing said selects all.
    pub fn selects(&self, labels: &Labels) -> bool {
        let is = |key: &Text, values: &[Text]| labels.text(key).is_some_and(|value| values.contains(value));
        let holds = |condition: &Condition| match condition {
            Condition::In(key, values) => is(key, values),
            Condition::NotIn(key, values) => !is(key, values),
            Condition::Exists(key) => labels.get(key).is_some(),
            Condition::Missing(key) => labels.get(key).is_none(),
        };
        self.labels.selects(labels) && self.conditions.iter().all(holds)
    }
}

impl<K: Into<Text>, V: Into<Text>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_subset() {
        let labels: Labels = [("app", "reviews"), ("version", "v1")].into_iter().collect();
        let check = |selector: &[(&str, &str)]| selector.iter().copied().collect::<Labels>().selects(&labels);
        assert!(check(&[]));
        assert!(check(&[("app", "reviews")]));
        assert!(!check(&[("app", "ratings")]));
        assert!(!check(&[("app", "reviews"), ("zone", "a")]));
    }

    #[test]
    fn conditions_all_have_to_hold() {
        let labels: Labels = [("app", "reviews"), ("mesh", "on")].into_iter().collect();
        let check = |conditions: &[Condition], selects: bool| {
            let selector = LabelSelector { labels: Labels::default(), conditions: conditions.to_vec() };
            assert_eq!(selector.selects(&labels), selects, "{conditions:?}");
        };
        let values = || vec!["on".into(), "yes".into()];
        check(&[], true);
        check(&[Condition::In("mesh".into(), values())], true);
        check(&[Condition::In("app".into(), values())], false);
        check(&[Condition::NotIn("app".into(), values()), Condition::NotIn("none".into(), values())], true);
        check(&[Condition::Exists("app".into()), Condition::Missing("none".into())], true);
        check(&[Condition::Exists("app".into()), Condition::Missing("mesh".into())], false);
    }
}
