//! A proxy from the node on the wire.

use envoy_api::envoy::config::core::v3::Node;
use memo::Shared;
use mesh::{Member, Snapshot};
use model::Proxy;
use model::parse::proxy::parse_node;
use prost_types::value::Kind;
use serde_json::{Map, Value as Json};

/// The proxy that announces itself with this node; an error is one sentence.
pub fn proxy(node: &Node) -> Result<Proxy, String> {
    parse_node(&announced(node))
}

/// What is known in a state of the mesh of the proxy that announces itself with this node; an error is one sentence.
pub fn member(snapshot: &Snapshot, node: &Node) -> Result<Member, String> {
    Ok(snapshot.member(&Shared::new(proxy(node)?)))
}

/// The node free of its wire format: what all facts about a proxy are read from.
///
/// Its hundreds of extensions are reduced to their type URLs here and not kept.
pub fn announced(node: &Node) -> model::parse::proxy::Node {
    let locality = node.locality.clone().unwrap_or_default();
    let type_urls: Vec<String> =
        node.extensions.iter().flat_map(|one| one.type_urls.iter().cloned()).collect();
    model::parse::proxy::Node {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        metadata: node.metadata.as_ref().map(|metadata| object(&metadata.fields)).unwrap_or_default(),
        locality: (locality.region, locality.zone, locality.sub_zone),
        type_urls: (!node.extensions.is_empty()).then_some(type_urls),
    }
}

fn object(fields: &std::collections::BTreeMap<String, prost_types::Value>) -> Map<String, Json> {
    fields.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

fn json(value: &prost_types::Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(number)) => {
            serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number)
        }
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::BoolValue(flag)) => Json::Bool(*flag),
        Some(Kind::StructValue(fields)) => Json::Object(object(&fields.fields)),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(json).collect()),
    }
}
