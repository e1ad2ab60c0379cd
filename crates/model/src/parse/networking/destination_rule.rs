//! DestinationRule.

use std::collections::BTreeSet;
use std::sync::Arc;

use istio_api::networking as api;

use super::Outcome;
use super::reader::{Reader, labels, text};
use super::traffic_policy::traffic_policy;
use crate::key::Meta;
use crate::networking::{DestinationRule, ExportTo, Subset};

/// A DestinationRule.
///
/// One with a selector of workloads is private to its namespace whatever `exportTo` says
/// (xds-semantics, DestinationRule).
pub(super) fn parse_destination_rule(
    meta: Meta,
    spec: &api::DestinationRule,
    domain: &str,
) -> Outcome<DestinationRule> {
    let mut reader = Reader::new(&meta, domain);
    if spec.host.is_empty() {
        reader.refuse("host", "host-missing", "a DestinationRule needs a host");
    }
    let selector = spec.workload_selector.as_ref().map(|selector| labels(&selector.match_labels));
    let export_to = match selector {
        Some(_) => ExportTo::Namespaces(vec![meta.key.namespace.clone()]),
        None => reader.export_to(&spec.export_to),
    };
    let policy = reader.optional("trafficPolicy", spec.traffic_policy.as_ref(), traffic_policy);
    let subsets = reader.each("subsets", &spec.subsets, subset);
    unique_subsets(&mut reader, &subsets);
    let host = reader.host(&spec.host);
    reader.finish(DestinationRule { meta, host, policy: policy.map(Arc::new), subsets, export_to, selector })
}

fn subset(reader: &mut Reader<'_>, spec: &api::Subset) -> Subset {
    if spec.name.is_empty() {
        reader.refuse("name", "name-missing", "a subset needs a name");
    }
    let policy = reader.optional("trafficPolicy", spec.traffic_policy.as_ref(), traffic_policy);
    Subset { name: text(&spec.name), labels: labels(&spec.labels), policy: policy.map(Arc::new) }
}

/// The first of two subsets of one name is the one that counts.
fn unique_subsets(reader: &mut Reader<'_>, subsets: &[Subset]) {
    let mut names = BTreeSet::new();
    for (at, subset) in subsets.iter().enumerate() {
        if !names.insert(&subset.name) {
            let detail = format!("another subset is called {:?}; it is the one that counts", subset.name);
            reader.warn(&format!("subsets[{at}]"), "subset-twice", detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{DOMAIN, clean, meta, problems, spec};
    use super::*;
    use crate::Kind;

    fn parse(json: Value) -> Outcome<DestinationRule> {
        parse_destination_rule(meta(Kind::DestinationRule), &spec(json), DOMAIN)
    }

    #[test]
    fn host_subsets_and_visibility() {
        let rule = clean(parse(json!({
            "host": "reviews", "exportTo": ["~"],
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "trafficPolicy": {}}],
        })));
        assert_eq!(rule.host.as_str(), "reviews.default.svc.cluster.local");
        assert_eq!(rule.export_to, ExportTo::Namespaces(vec![]));
        assert_eq!(
            (rule.subsets[0].labels.get("version"), rule.subsets[0].policy.is_some()),
            (Some("v1"), false)
        );
        assert!(rule.subsets[1].policy.is_some());
        assert_eq!((rule.policy, rule.selector), (None, None));
    }

    #[test]
    fn a_selector_makes_it_private() {
        let rule = clean(parse(
            json!({"host": "*.com", "exportTo": ["*"], "workloadSelector": {"matchLabels": {"a": "b"}}}),
        ));
        assert_eq!(rule.export_to, ExportTo::Namespaces(vec!["default".into()]));
        assert_eq!(rule.selector.unwrap().get("a"), Some("b"));
    }

    #[test]
    fn mistakes() {
        let parsed = parse(json!({"subsets": [{"name": "a"}, {"name": "a"}, {}]}));
        assert_eq!(
            problems(&parsed),
            [
                "spec.host: a DestinationRule needs a host [host-missing]",
                "spec.subsets[2].name: a subset needs a name [name-missing]",
                "spec.subsets[1]: another subset is called \"a\"; it is the one that counts [subset-twice]",
            ]
        );
        assert_eq!(parsed.0, None);
    }
}
