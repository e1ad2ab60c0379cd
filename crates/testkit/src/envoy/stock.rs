//! What stock Envoy 1.40 says of itself in its first request.

use serde_json::{Map, Value};

use crate::corpus::Error;

/// User agent and extensions with their type URLs, as `/server_info` of the packaged Envoy shows its node.
const NODE: &str = include_str!("stock-node.json");

/// The facts by which a node of stock Envoy differs from a bare one.
pub fn facts() -> Result<Map<String, Value>, Error> {
    serde_json::from_str(NODE).map_err(|source| Error::Json { path: "stock-node.json".into(), source })
}

/// A recorded node as stock Envoy would announce it: with its extensions.
pub fn announced(node: &Value) -> Result<Value, Error> {
    let mut node = node.clone();
    if let Some(fields) = node.as_object_mut() {
        fields.extend(facts()?);
    }
    Ok(node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_announces_extensions_of_envoy_and_none_of_istio() {
        let node = announced(&json!({"id": "a"})).expect("a node");
        assert_eq!(node["id"], "a");
        let urls: Vec<&str> = node["extensions"]
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|one| one["type_urls"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        assert!(urls.contains(&"envoy.extensions.filters.http.router.v3.Router"));
        assert!(!urls.iter().any(|url| url.starts_with("stats.") || url.starts_with("istio.")));
    }
}
