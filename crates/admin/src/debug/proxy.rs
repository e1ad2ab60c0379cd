//! A connected proxy as pages name it: the facts that its node announces.

use envoy_api::envoy::config::core::v3::Node;
use envoy_api::envoy::config::core::v3::node::UserAgentVersionType;
use prost_types::value::Kind;
use serde_json::{Map, Value as Json};
use xds::ConnectionStatus;

use crate::State;
use crate::access::Sight;
use crate::debug::{Query, Refusal};

/// The proxies, without those who only came to ask; ordered by node.
pub(crate) fn all(state: &State) -> impl Iterator<Item = ConnectionStatus> + use<> {
    state.connections.list().into_iter().filter(|connection| !connection.types.is_empty())
}

/// Those that whoever asks may see.
pub(super) fn seen<'a>(state: &State, query: &'a Query) -> impl Iterator<Item = ConnectionStatus> + use<'a> {
    let sight = &query.sight;
    all(state).filter(move |proxy| is_seen(proxy, sight))
}

/// Whether a proxy is among those that may be seen.
pub(crate) fn is_seen(proxy: &ConnectionStatus, sight: &Sight) -> bool {
    sight.has_namespace(namespace(&proxy.who.announced))
}

/// The one that the query names: part of its connection's id, as istiod looks for it.
pub(super) fn asked(state: &State, query: &Query) -> Result<ConnectionStatus, Refusal> {
    let Some(id) = query.get("proxyID") else {
        return Err(Refusal::Incomplete("You must provide a proxyID in the query string\n".into()));
    };
    find(state, id, &query.sight).ok_or_else(|| {
        let other = "Proxy not connected to this Pilot instance. It may be connected to another instance.\n";
        Refusal::NotFound(other.into())
    })
}

/// The proxy called `pod.namespace`, else one whose connection's id has the text in it.
pub(super) fn find(state: &State, id: &str, sight: &Sight) -> Option<ConnectionStatus> {
    let proxies: Vec<_> = all(state).filter(|proxy| is_seen(proxy, sight)).collect();
    let exact = proxies.iter().find(|proxy| name(&proxy.who.node) == id);
    exact.or_else(|| proxies.iter().find(|proxy| proxy.who.id.contains(id))).cloned()
}

/// `pod.namespace`: the third segment of a node's id; the whole of one that is not so built.
pub(crate) fn name(node: &str) -> &str {
    node.split('~').nth(2).unwrap_or(node)
}

/// `sidecar`, `router`: the first segment of a node's id.
pub(super) fn kind(node: &str) -> &str {
    node.split_once('~').map_or("", |(kind, _)| kind)
}

/// The namespace: what stands behind the last dot of the name, unless the metadata says it.
pub(super) fn namespace(node: &Node) -> &str {
    let of_name = || name(&node.id).rsplit_once('.').map_or("", |(_, namespace)| namespace);
    Some(text(node, "NAMESPACE")).filter(|namespace| !namespace.is_empty()).unwrap_or_else(of_name)
}

/// A text of the metadata, empty if it is not there.
pub(super) fn text<'a>(node: &'a Node, name: &str) -> &'a str {
    let value = node.metadata.as_ref().and_then(|metadata| metadata.fields.get(name));
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text,
        _ => "",
    }
}

/// The version of Envoy that it says it is, may be empty.
pub(super) fn envoy_version(node: &Node) -> String {
    match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let number = |version: &envoy_api::envoy::r#type::v3::SemanticVersion| {
                format!("{}.{}.{}", version.major_number, version.minor_number, version.patch)
            };
            build.version.as_ref().map(number).unwrap_or_default()
        }
        None => String::new(),
    }
}

/// The metadata as JSON.
pub(super) fn metadata(node: &Node) -> Json {
    Json::Object(push::announced(node).metadata)
}

/// Its labels: those of its pod under those that its own configuration adds.
pub(super) fn labels(metadata: &Json) -> Json {
    let mut labels = Map::new();
    for key in ["LABELS", "STATIC_LABELS"] {
        labels.extend(metadata.get(key).and_then(Json::as_object).cloned().unwrap_or_default());
    }
    Json::Object(labels)
}
