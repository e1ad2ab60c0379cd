//! Istio's networking and authentication kinds.
//!
//! Each file has one `parse_<kind>`: an object's metadata and its spec as decoded give the value and
//! what is wrong with it.
//!
//! - A *refused* object has no value: a condition, number or name in it cannot be understood, and to
//!   leave that part out would let traffic through that was not meant. Its last good state stays.
//!   These are mistakes for which istiod's admission turns an object away.
//! - A part that only adds something is *left out*, or cut down to what proxies accept.
//! - What works, but hardly as meant, is a warning.

mod addresses;
mod destination_rule;
mod gateway;
mod http_match;
pub(super) mod http_route;
pub(super) mod load_balancer;
mod peer_authentication;
mod proxy_config;
pub(super) mod reader;
mod service_entry;
mod sidecar;
pub(super) mod traffic_policy;
mod virtual_service;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{Context, decode};
use crate::key::Meta;
use crate::{Kind, Problem, Value};

/// A value, unless the object was refused, and what is wrong with the object.
pub(super) type Outcome<T> = (Option<T>, Vec<Problem>);

/// Fields that an object of any kind may have.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The value of an Istio object; `None` if it is of another kind or of no use.
pub(crate) fn parse(
    meta: &Meta,
    object: &Json,
    context: &Context,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    for field in object.as_object().into_iter().flatten().map(|(field, _)| field) {
        if !FIELDS.contains(&field.as_str()) {
            let detail = "no such field; it is ignored";
            problems.push(Problem::warning(&meta.key, "unknown-field", field.as_str(), detail));
        }
    }
    Object { meta, json: object, domain: &context.domain, problems }.value()
}

/// An object on its way to the parser of its kind.
struct Object<'a> {
    meta: &'a Meta,
    json: &'a Json,
    domain: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Object<'_> {
    fn value(mut self) -> Option<Value> {
        let domain = self.domain;
        match self.meta.key.kind {
            Kind::VirtualService => self
                .read(|meta, spec| virtual_service::parse_virtual_service(meta, spec, domain))
                .map(Value::VirtualService),
            Kind::DestinationRule => self
                .read(|meta, spec| destination_rule::parse_destination_rule(meta, spec, domain))
                .map(Value::DestinationRule),
            Kind::Sidecar => {
                self.read(|meta, spec| sidecar::parse_sidecar(meta, spec, domain)).map(Value::Sidecar)
            }
            Kind::Gateway => self.read(gateway::parse_gateway).map(Value::Gateway),
            Kind::ServiceEntry => {
                let status = self.status();
                self.read(|meta, spec| service_entry::parse_service_entry(meta, spec, status.as_ref()))
                    .map(Value::ServiceEntry)
            }
            Kind::WorkloadEntry => {
                let healthy = self.healthy();
                self.read(|meta, spec| service_entry::parse_workload_entry(meta, spec, healthy))
                    .map(Value::WorkloadEntry)
            }
            Kind::PeerAuthentication => {
                self.read(peer_authentication::parse_peer_authentication).map(Value::PeerAuthentication)
            }
            Kind::ProxyConfig => self.read(proxy_config::parse_proxy_config).map(Value::ProxyConfig),
            _ => None,
        }
    }

    /// Decodes the spec and parses it; an absent spec is an empty one.
    fn read<S: DeserializeOwned, T>(&mut self, parse: impl FnOnce(Meta, &S) -> Outcome<T>) -> Option<Arc<T>> {
        let spec =
            decode(self.json.get("spec").unwrap_or(&Json::Null), "spec", &self.meta.key, self.problems)?;
        let (value, problems) = parse(self.meta.clone(), &spec);
        self.problems.extend(problems);
        value.map(Arc::new)
    }

    /// The status, which other programs write: what cannot be read of it is no mistake of the user.
    fn status<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(self.json.get("status")?).ok()
    }

    /// The condition `Healthy` in the status.
    fn healthy(&self) -> Option<bool> {
        let conditions = self.json.get("status")?.get("conditions")?.as_array()?;
        let healthy =
            conditions.iter().find(|one| one.get("type").and_then(Json::as_str) == Some("Healthy"))?;
        Some(healthy.get("status").and_then(Json::as_str) == Some("True"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse_object;
    use super::*;

    fn parse(object: Json) -> (Option<Value>, Vec<String>) {
        let context = Context { cluster: "c".into(), domain: "cluster.local".into() };
        let parsed = parse_object(&object, &context).unwrap();
        (parsed.value, parsed.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_problem_names_object_field_and_cause() {
        let (value, problems) = parse(json!({
            "apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": {"name": "a"},
            "spek": {}, "spec": {"hots": [], "http": [{"redirect": {"redirect_code": 1, "urI": "x"}}]},
        }));
        assert_eq!(value, None);
        assert_eq!(
            problems,
            [
                "VirtualService default/a: spec.http[0].redirect.redirectCode: 1 is none of 301, 302, 303, 307 \
                 and 308 [redirect-code-invalid]",
                "VirtualService default/a: spec.hots: no such field; it is ignored [unknown-field]",
                "VirtualService default/a: spec.http[0].redirect.urI: no such field; it is ignored [unknown-field]",
                "VirtualService default/a: spek: no such field; it is ignored [unknown-field]",
            ]
        );
        let (value, problems) = parse(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "a"},
            "spec": {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "ROUNDROBIN"}}},
        }));
        assert_eq!(value, None);
        assert_eq!(
            problems,
            ["DestinationRule default/a: spec.trafficPolicy.loadBalancer.simple: invalid value: string \
              \"ROUNDROBIN\", expected one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, \
              LEAST_REQUEST [wrong-type]"]
        );
    }

    #[test]
    fn the_status_is_read_where_it_counts() {
        let entry = |status: &str| {
            let (value, problems) = parse(json!({
                "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
                "metadata": {"name": "a", "annotations": {"proxy.istio.io/health-checks-enabled": "true"}},
                "spec": {"address": "1.1.1.1"}, "status": {"conditions": [{"type": "Healthy", "status": status}]},
            }));
            assert_eq!(problems, Vec::<String>::new());
            let Some(Value::WorkloadEntry(entry)) = value else { panic!("no WorkloadEntry") };
            entry.unhealthy
        };
        assert_eq!((entry("True"), entry("False")), (false, true));
        let (value, _) = parse(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"},
            "spec": {"hosts": ["a.com"]}, "status": {"addresses": [{"value": "240.240.0.1"}], "x": 1},
        }));
        let Some(Value::ServiceEntry(entry)) = value else { panic!("no ServiceEntry") };
        assert_eq!(entry.status_addresses, [("".into(), "240.240.0.1".into())]);
    }
}
