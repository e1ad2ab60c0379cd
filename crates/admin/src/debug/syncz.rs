//! `syncz`: how far each proxy is with each type.

use envoy_api::type_url;
use serde_json::{Map, Value};
use xds::{ConnectionStatus, Mark, TypeStatus};

use crate::State;
use crate::debug::{Query, Refusal, proxy, rfc3339};

/// The types with fields of their own, and how these begin.
const FIELDS: [(&str, &str); 5] = [
    ("cluster", type_url::CLUSTER),
    ("listener", type_url::LISTENER),
    ("route", type_url::ROUTE),
    ("endpoint", type_url::ENDPOINT),
    ("extensionconfig", type_url::EXTENSION),
];

/// How Go writes a time that there was not.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// How far a proxy is with a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing was sent.
    NotSent,
    /// It accepted what was last sent.
    Synced,
    /// It has not answered what was last sent.
    Stale,
    /// It refused what was last sent.
    Refused,
}

/// How far a proxy is with a type.
pub(crate) fn progress(status: &TypeStatus) -> Progress {
    let nonce = |mark: &Option<Mark>| mark.as_ref().map(|mark| mark.nonce.clone());
    match (nonce(&status.sent), nonce(&status.acked)) {
        _ if status.error.is_some() => Progress::Refused,
        (None, _) => Progress::NotSent,
        (sent, acked) if sent == acked => Progress::Synced,
        _ => Progress::Stale,
    }
}

/// All proxies, or those of one namespace.
pub(super) fn show(state: &State, query: &Query) -> Result<Value, Refusal> {
    let namespace = query.get("namespace");
    let shown = proxy::all(state)
        .filter(|one| namespace.is_none_or(|wanted| proxy::namespace(&one.who.announced) == wanted));
    Ok(shown.map(|connection| Value::Object(status(&connection))).collect())
}

/// istiod's SyncStatus; what is empty is left out.
fn status(connection: &ConnectionStatus) -> Map<String, Value> {
    let node = &*connection.who.announced;
    let mut shown = Map::new();
    put(&mut shown, "cluster_id", proxy::text(node, "CLUSTER_ID"));
    put(&mut shown, "proxy", proxy::name(&node.id));
    put(&mut shown, "proxy_type", proxy::kind(&node.id));
    put(&mut shown, "proxy_version", &proxy::envoy_version(node));
    put(&mut shown, "istio_version", proxy::text(node, "ISTIO_VERSION"));
    for (field, url) in FIELDS {
        let Some(status) = connection.types.get(url) else { continue };
        let nonce = |mark: &Option<Mark>| mark.as_ref().map(|mark| mark.nonce.clone()).unwrap_or_default();
        put(&mut shown, &format!("{field}_sent"), &nonce(&status.sent));
        put(&mut shown, &format!("{field}_acked"), &nonce(&status.acked));
    }
    let types = connection.types.iter().map(|(url, status)| (url.to_string(), resource(status)));
    shown.insert("resources".into(), Value::Object(types.collect()));
    shown
}

fn resource(status: &TypeStatus) -> Value {
    let mut shown = Map::new();
    if let Some(sent) = &status.sent {
        put(&mut shown, "sent", &sent.nonce);
    }
    let time = status.sent.as_ref().map_or_else(|| NEVER.to_owned(), |sent| rfc3339(sent.at));
    put(&mut shown, "sentTime", &time);
    if let Some(acked) = &status.acked {
        put(&mut shown, "acked", &acked.nonce);
    }
    put(&mut shown, "lastError", status.error.as_deref().unwrap_or_default());
    Value::Object(shown)
}

fn put(shown: &mut Map<String, Value>, key: &str, value: &str) {
    if !value.is_empty() {
        shown.insert(key.to_owned(), value.into());
    }
}
