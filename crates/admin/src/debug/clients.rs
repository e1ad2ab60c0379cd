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
    json!({"totalClients": clients.len(), "clients": clients})
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
    shown.insert("labels".into(), proxy::labels(&metadata));
    shown.insert("metadata".into(), metadata);
    if let Some(locality) = &node.locality {
        let [region, zone, subzone] = [&locality.region, &locality.zone, &locality.sub_zone];
        shown.insert("locality".into(), json!({"region": region, "zone": zone, "subzone": subzone}));
    }
    let watches = connection.types.iter().map(|(url, status)| {
        let names = status.names.iter().map(|name| Value::from(&**name)).collect();
        (url.to_string(), Value::Array(names))
    });
    shown.insert("watches".into(), Value::Object(watches.collect()));
    Value::Object(shown)
}
