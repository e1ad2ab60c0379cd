//! The debug pages: one function each, from the state and a query to JSON.

mod clients;
mod config_dump;
mod configz;
mod mesh_config;
pub(crate) mod problems;
mod process;
mod proxy;
mod registry;
mod scope;
mod syncz;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::State;
use crate::access::Sight;

pub(crate) use config_dump::dump;
pub(crate) use proxy::{all as proxies, is_seen, name as name_of};
pub(crate) use syncz::{Progress, progress};

/// One page below `/debug`.
struct Page {
    name: &'static str,
    help: &'static str,
    show: fn(&State, &Query) -> Result<Value, Refusal>,
}

const fn page(
    name: &'static str,
    help: &'static str,
    show: fn(&State, &Query) -> Result<Value, Refusal>,
) -> Page {
    Page { name, help, show }
}

/// All pages, as the index lists them.
const PAGES: &[Page] = &[
    page("adsz", "Connected proxies with their metadata and what they watch", clients::adsz),
    page(
        "cachez",
        "The resources that connected proxies are served, by type (sizes=true for their sizes)",
        process::kept,
    ),
    page("clusterz", "The clusters that objects are read from", process::clusters),
    page(
        "config_dump",
        "What a proxy is to hold, as Envoy's own dump (proxyID=POD.NAMESPACE)",
        config_dump::show,
    ),
    page("configz", "Configuration objects as they were read", configz::show),
    page("connections", "Connected proxies", clients::connections),
    page("ecdsz", "The extensions that a proxy is to hold (proxyID=POD.NAMESPACE)", config_dump::extensions),
    page("edsz", "The endpoints that a proxy is to hold (proxyID=POD.NAMESPACE)", config_dump::endpoints),
    page("endpointShardz", "Endpoints by service", registry::endpoints),
    page("endpointz", "Endpoints by service", registry::endpoints),
    page("inject", "The templates of injection", process::templates),
    page("instancesz", "The ports of services that lead to each connected proxy", scope::instances),
    page("list", "The names of these pages", list),
    page("mesh", "The configuration of the mesh, over the built-in defaults", mesh_config::show),
    page("ndsz", "The names that a proxy is to answer for (proxyID=POD.NAMESPACE)", config_dump::names),
    page(
        "problems",
        "What is wrong with the configuration: file, line, object, field, cause",
        problems::show,
    ),
    page("push_status", "What was found in the newest state, by metric and object", process::status),
    page("registryz", "Services", registry::services),
    page("resourcesz", "The kinds of configuration that are read", process::kinds),
    page("sidecarz", "What a proxy sees (proxyID=POD.NAMESPACE)", scope::sidecar),
    page("syncz", "How far each connected proxy is", syncz::show),
];

/// What is asked of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    words: BTreeMap<String, String>,
    /// What whoever asks may see.
    pub(crate) sight: Sight,
}

/// Why a page is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something is missing in the query.
    Incomplete(String),
    /// There is no such page or proxy.
    NotFound(String),
    /// It is not for whoever asks.
    Forbidden,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(text) | Self::NotFound(text) => f.write_str(text),
            Self::Forbidden => Ok(()),
        }
    }
}

impl Query {
    /// From what stands behind `?`; a name without a value has the empty one.
    pub(crate) fn parse(text: &str, sight: Sight) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self { words: pairs.map(split).collect(), sight }
    }

    /// The value of this name, if it is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.words.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether the name is there.
    fn has(&self, name: &str) -> bool {
        self.words.contains_key(name)
    }
}

/// The text without `%xx` and `+`.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The body of the page of this name, indented if the query has `pretty`.
pub(crate) fn body(state: &State, name: &str, query: &Query) -> Result<Vec<u8>, Refusal> {
    let Some(page) = PAGES.iter().find(|page| page.name == name) else {
        return Err(Refusal::NotFound(format!("There is no debug page '{name}'; see /debug/list.")));
    };
    if !query.sight.has_page(name) {
        return Err(Refusal::Forbidden);
    }
    if let Some(text) = said(state, name, query) {
        return Ok(text.into_bytes());
    }
    let json = (page.show)(state, query)?;
    Ok(if query.has("pretty") { format!("{json:#}") } else { json.to_string() }.into_bytes())
}

/// What is answered in words to those who ask for something to be done. Nothing is left to do: what proxies hold
/// is always compared with the newest state, and nothing is kept that could be out of date.
fn said(state: &State, name: &str, query: &Query) -> Option<String> {
    match name {
        "adsz" if query.get("push").is_some() => {
            Some(format!("Pushed to {} servers\n", state.connections.len()))
        }
        "cachez" if query.get("clear").is_some() => Some("Cache cleared\n".to_owned()),
        _ => None,
    }
}

/// The pages with what they show, as HTML.
pub(crate) fn index() -> String {
    let row = |page: &Page| {
        let Page { name, help, .. } = page;
        format!("<tr><td><a href=\"/debug/{name}\">{name}</a></td><td>{help}</td></tr>\n")
    };
    let rows: String = PAGES.iter().map(row).collect();
    format!(
        "<!doctype html>\n<html><head><title>Pilothouse</title></head><body>\n<h1>Debug pages</h1>\n\
         <p>Add <code>?pretty</code> to have a page indented.</p>\n<table>\n{rows}</table>\n</body></html>\n"
    )
}

fn list(_: &State, _: &Query) -> Result<Value, Refusal> {
    let names = PAGES.iter().map(|page| page.name).filter(|name| *name != "list");
    Ok(names.map(Value::from).collect())
}

/// A point in time as Go writes it.
fn rfc3339(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod queries {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("proxyID=a%2Eb+c&pretty&x=%zz%", Sight::Everything);
        assert_eq!(query.get("proxyID"), Some("a.b c"));
        assert_eq!(query.get("x"), Some("%zz%"));
        assert!(query.has("pretty") && query.get("pretty").is_none());
    }

    #[test]
    fn pages_are_listed_in_order() {
        assert!(PAGES.is_sorted_by_key(|page| page.name.to_lowercase()));
    }
}
