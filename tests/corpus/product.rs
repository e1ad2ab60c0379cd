//! Pilothouse as the judges ask for it.

use pilothouse::offline;
use serde_json::Value;
use testkit::{
    family::nodes::ParsedNode,
    offline::{Answer, Request},
};

/// The offline translation, in process. Mesh networks and further clusters are not part of it.
pub(crate) fn translate(request: &Request) -> Result<Answer, String> {
    let answer = offline::translate(&offline::Request {
        files: request.files.clone(),
        mesh: request.mesh.clone(),
        unreadable: Vec::new(),
        mesh_path: "mesh.yaml".into(),
        env: request.env.clone(),
        node: request.node.clone(),
        types: request.types.clone(),
        names: request.names.clone(),
    })?;
    Ok(Answer { resources: answer.resources, problems: answer.problems })
}

/// A node through the wire's message and the server's own parser.
pub(crate) fn parse_node(node: &Value) -> Result<ParsedNode, String> {
    let message = offline::node(node)?;
    let proxy = push::proxy(&message)?;
    let mut parts = proxy.locality.split('/').map(str::to_owned);
    Ok(ParsedNode {
        id: proxy.id.to_string(),
        locality: [(); 3].map(|()| parts.next().unwrap_or_default()),
        metadata: push::announced(&message).metadata,
    })
}

/// A message through its bytes, as debug pages render it.
pub(crate) fn recode(name: &str, json: &Value) -> Result<Value, String> {
    let bytes = envoy_api::json::parse(name, json).map_err(|error| error.to_string())?;
    Ok(envoy_api::json::resource(&format!("type.googleapis.com/{name}"), &bytes))
}
