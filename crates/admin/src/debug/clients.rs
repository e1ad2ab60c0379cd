//! `adsz`, `connections`: who is connected.

use serde_json::{Map, Value, json};
use xds::ConnectionStatus;

use crate::State;
use crate::debug::{Query, Refusal, proxy, rfc3339};

/// Everybody with metadata and what they watch; with `proxyID` one proxy.
pub(super) fn adsz(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connections = match query.get("proxyID") {
        Some(_) => vec![proxy::asked(state, query)?],
        None => state.connections.list(),
    };
    Ok(clients(connections.iter().map(in_full).collect()))
}

/// Everybody.
pub(super) fn connections(state: &State, _: &Query) -> Result<Value, Refusal> {
    let connections = state.connections.list();
    Ok(clients(connections.iter().map(|connection| Value::Object(in_short(connection))).collect()))
}

fn clients(clients: Vec<Value>) -> Value {
    let mut shown = Map::from_iter([("totalClients".to_owned(), clients.len().into())]);
    if !clients.is_empty() {
        shown.insert("clients".into(), clients.into());
    }
    Value::Object(shown)
}

fn in_short(connection: &ConnectionStatus) -> Map<String, Value> {
    let who = &connection.who;
    let mut shown = Map::new();
    shown.insert("connectionId".into(), (*who.id).into());
    shown.insert("connectedAt".into(), rfc3339(who.connected_at).into());
    shown.insert("address".into(), who.peer.map(|peer| peer.to_string()).unwrap_or_default().into());
    shown
}

fn in_full(connection: &ConnectionStatus) -> Value {
    let mut shown = in_short(connection);
    let node = &connection.who.announced;
    let metadata = proxy::metadata(node);
    let labels = proxy::labels(&metadata);
    if labels != json!({}) {
        shown.insert("labels".into(), labels);
    }
    shown.insert("metadata".into(), metadata);
    if let Some(locality) = &node.locality {
        let parts =
            [("region", &locality.region), ("zone", &locality.zone), ("sub_zone", &locality.sub_zone)];
        let known = parts.into_iter().filter(|(_, part)| !part.is_empty());
        let known = known.map(|(name, part)| (name.to_owned(), Value::from(&**part)));
        shown.insert("locality".into(), Value::Object(known.collect()));
    }
    let watches = connection.types.iter().map(|(url, status)| {
        let names = status.names.iter().map(|name| Value::from(&**name)).collect();
        (url.to_string(), Value::Array(names))
    });
    let watches: Map<_, _> = watches.collect();
    if !watches.is_empty() {
        shown.insert("watches".into(), Value::Object(watches));
    }
    Value::Object(shown)
}
