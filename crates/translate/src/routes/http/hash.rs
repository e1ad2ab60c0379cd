//! Consistent hashing: which setting of a DestinationRule counts for a route, and as what Envoy hashes.

use envoy_api::envoy::config::route::v3::route_action::{HashPolicy, hash_policy};
use model::networking::{ConsistentHash, Destination, DestinationRule, HashKey, TrafficPolicy};

use crate::wire::duration;

/// Hashing towards a rule's destination: of the subset's port, the subset, the port, the host, the first
/// that says something. Ports count only if the destination names one.
pub(crate) fn of_destination(rule: &DestinationRule, destination: &Destination) -> Option<ConsistentHash> {
    let subset = rule.subsets.iter().find(|subset| subset.name == destination.subset);
    let subset = subset.and_then(|subset| subset.policy.as_deref());
    let whole = rule.policy.as_deref();
    let at_port = |policy| destination.port.and_then(|port| of_port(policy, port));
    let found = subset.and_then(at_port).or_else(|| of_policy(subset?));
    found.or_else(|| whole.and_then(at_port)).or_else(|| of_policy(whole?)).cloned()
}

/// Hashing towards a port of a service that has no rules.
pub(crate) fn of_service(rule: &DestinationRule, port: u16) -> Option<ConsistentHash> {
    let policy = rule.policy.as_deref()?;
    of_port(policy, port).or_else(|| of_policy(policy)).cloned()
}

fn of_policy(policy: &TrafficPolicy) -> Option<&ConsistentHash> {
    policy.load_balancer.as_ref()?.consistent_hash.as_ref()
}

fn of_port(policy: &TrafficPolicy, port: u16) -> Option<&ConsistentHash> {
    let (_, level) = policy.port_levels.iter().find(|(number, _)| *number == port)?;
    of_policy(level)
}

/// What Envoy hashes; `None` if the setting names nothing.
pub(crate) fn build(hash: &ConsistentHash) -> Option<HashPolicy> {
    use hash_policy::{ConnectionProperties, Header, PolicySpecifier, QueryParameter};
    let specifier = match hash.key.as_ref()? {
        HashKey::Header(name) => {
            PolicySpecifier::Header(Header { header_name: name.to_string(), ..Default::default() })
        }
        HashKey::Cookie { name, path, ttl, attributes } => {
            let attribute = |(name, value): &(model::Text, model::Text)| hash_policy::CookieAttribute {
                name: name.to_string(),
                value: value.to_string(),
            };
            PolicySpecifier::Cookie(hash_policy::Cookie {
                name: name.to_string(),
                ttl: ttl.map(duration),
                path: path.to_string(),
                attributes: attributes.iter().map(attribute).collect(),
            })
        }
        HashKey::SourceIp => PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }),
        HashKey::QueryParameter(name) => {
            PolicySpecifier::QueryParameter(QueryParameter { name: name.to_string() })
        }
    };
    Some(HashPolicy { policy_specifier: Some(specifier), ..Default::default() })
}
