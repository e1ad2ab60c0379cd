//! Family `sidecar-scope`: which services a `Sidecar` leaves visible.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    corpus::{self, Error},
    golden::compare,
    verdict::Verdict,
};

/// Computes a scope from a case's services and objects.
///
/// What the closure must do: put `services` into its registry as they are (they are no Kubernetes objects),
/// parse `sidecar`, `virtual_services` and `destination_rules` as configuration, take the built-in mesh
/// configuration with the switches of `env`, build the state, and read the scope of namespace `mynamespace`:
/// the Sidecar's own where there is one (whatever its namespace and selector), else the default one.
pub type ComputeScope<'a> = dyn Fn(&Input) -> Result<Scope, String> + Sync + 'a;

/// What a case is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// The registry: `hostname`, `ports` (`name`, `port`, `protocol` in upper case), `attributes` (`name`,
    /// `namespace`, `serviceRegistry`: `Kubernetes` or absent, `labelSelectors`), `resolution` (absent:
    /// client side), `creationTime` (RFC 3339). Every service is visible everywhere.
    pub services: Vec<Value>,
    /// The `Sidecar` object; `None`: the default scope is wanted.
    pub sidecar: Option<Value>,
    /// `VirtualService` objects.
    pub virtual_services: Vec<Value>,
    /// `DestinationRule` objects.
    pub destination_rules: Vec<Value>,
    /// Environment switches that differ from the built-in defaults.
    pub env: BTreeMap<String, String>,
}

/// What a scope lets its proxies see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Services in the scope's order, in the form of [`Input::services`], each with just the ports that are
    /// visible. Fields that were absent stay absent.
    pub services: Vec<Value>,
    /// Number of egress listeners; the default scope has one.
    pub egress_listeners: usize,
    /// The `spec` of the rule for host `httpbin.org`, outbound, for a proxy in the Sidecar's namespace with the
    /// labels of the Sidecar's own metadata; `None`: there is none.
    pub destination_rule: Option<Value>,
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    input: Files,
    services: Vec<Value>,
    settings: Settings,
    expected: Map<String, Value>,
}

#[derive(Deserialize)]
struct Files {
    sidecar: Option<String>,
    virtual_services: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// Judges every case of the family.
pub fn judge(root: &Path, compute: &ComputeScope<'_>) -> Result<Vec<Verdict>, Error> {
    let family = root.join("sidecar-scope");
    let manifest: Manifest = corpus::json(&family.join("manifest.json"))?;
    let verdict = |case: Case| {
        let computed = compute(&case.read(&family)?);
        Ok(Verdict { failure: case.failure(computed), id: case.id })
    };
    manifest.cases.into_iter().map(verdict).collect()
}

impl Case {
    fn read(&self, family: &Path) -> Result<Input, Error> {
        let documents = |file: &Option<String>| match file {
            Some(file) => corpus::yaml(&family.join(file)),
            None => Ok(Vec::new()),
        };
        Ok(Input {
            services: self.services.clone(),
            sidecar: documents(&self.input.sidecar)?.pop(),
            virtual_services: documents(&self.input.virtual_services)?,
            destination_rules: corpus::yaml(&family.join("common/destination-rules.yaml"))?,
            env: self.settings.env.clone(),
        })
    }

    /// Services are compared in order, but for cases with virtual services, which are sorted by name first.
    /// The rule is compared only where the case says something about it.
    fn failure(&self, computed: Result<Scope, String>) -> Option<String> {
        let mut scope = match computed {
            Err(message) => return Some(message),
            Ok(scope) => scope,
        };
        if self.input.virtual_services.is_some() {
            let name =
                |service: &Value| service["attributes"]["name"].as_str().unwrap_or_default().to_owned();
            scope.services.sort_by_key(name);
        }
        let mut actual = json!({"services": scope.services, "egress_listeners": scope.egress_listeners});
        if self.expected.contains_key("destination_rule") {
            actual["destination_rule"] = scope.destination_rule.unwrap_or_default();
        }
        let differences = compare::differences(&Value::Object(self.expected.clone()), &actual);
        let lines = differences
            .iter()
            .take(4)
            .map(|one| format!("{}: expected {}, got {}", one.path, one.expected, one.actual));
        (!differences.is_empty()).then(|| lines.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(expected: Value, virtual_services: Option<&str>) -> Case {
        let expected = expected.as_object().expect("a map").clone();
        let input = Files { sidecar: None, virtual_services: virtual_services.map(str::to_owned) };
        let settings = Settings { env: BTreeMap::new() };
        Case { id: "a".to_owned(), input, services: Vec::new(), settings, expected }
    }

    fn service(name: &str) -> Value {
        json!({"hostname": name, "attributes": {"name": name}})
    }

    fn scope(names: &[&str]) -> Result<Scope, String> {
        let services = names.iter().map(|name| service(name)).collect();
        Ok(Scope { services, egress_listeners: 1, destination_rule: Some(json!({"host": "x"})) })
    }

    #[test]
    fn services_are_compared_in_order_unless_virtual_services_chose_them() {
        let expected = || json!({"services": [service("a"), service("b")], "egress_listeners": 1});
        assert_eq!(case(expected(), None).failure(scope(&["a", "b"])), None);
        assert!(case(expected(), None).failure(scope(&["b", "a"])).is_some());
        assert!(case(expected(), None).failure(scope(&["a"])).is_some());
        assert_eq!(case(expected(), Some("file")).failure(scope(&["b", "a"])), None);
    }

    #[test]
    fn listeners_count_and_the_rule_counts_where_the_case_names_one() {
        let expected = |listeners: u32| json!({"services": [], "egress_listeners": listeners});
        assert_eq!(case(expected(1), None).failure(scope(&[])), None);
        assert!(case(expected(2), None).failure(scope(&[])).is_some());
        let with_rule =
            |rule: Value| json!({"services": [], "egress_listeners": 1, "destination_rule": rule});
        assert!(case(with_rule(Value::Null), None).failure(scope(&[])).is_some());
        assert_eq!(case(with_rule(json!({"host": "x"})), None).failure(scope(&[])), None);
    }

    #[test]
    fn a_refusal_is_the_failure() {
        let refused = case(json!({}), None).failure(Err("no".to_owned()));
        assert_eq!(refused.as_deref(), Some("no"));
    }
}
