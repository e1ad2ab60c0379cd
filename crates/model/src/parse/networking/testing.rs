//! Test data: an object's meta, a spec from JSON, the parsed value and its problems as text.

use serde_json::Value;

use super::Outcome;
use crate::key::Meta;
use crate::{Created, Key, Kind, Labels};

/// The DNS domain of all tests.
pub(super) const DOMAIN: &str = "cluster.local";

/// The meta of `default/test`.
pub(super) fn meta(kind: Kind) -> Meta {
    Meta {
        key: Key { cluster: "c".into(), kind, namespace: "default".into(), name: "test".into() },
        created: Created::default(),
        labels: Labels::default(),
        annotations: Labels::default(),
        api_version: "networking.istio.io/v1".into(),
    }
}

/// A spec as a user writes it.
pub(super) fn spec<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

/// The value of an object without problems.
pub(super) fn clean<T>(parsed: Outcome<T>) -> T {
    assert_eq!(problems(&parsed), Vec::<String>::new());
    parsed.0.unwrap()
}

/// The problems as `field: detail [code]`.
pub(super) fn problems<T>(parsed: &Outcome<T>) -> Vec<String> {
    let all = parsed.1.iter();
    all.map(|problem| format!("{}: {} [{}]", problem.field, problem.detail, problem.code)).collect()
}
