//! The debug pages: one function each, from the state and a query to JSON.

mod clients;
mod config_dump;
mod configz;
pub(crate) mod problems;
mod proxy;
mod registry;
mod syncz;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::State;

pub(crate) use config_dump::dump;
pub(crate) use proxy::{all as proxies, name as name_of};
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
        "config_dump",
        "What a proxy is to hold, as Envoy's own dump (proxyID=POD.NAMESPACE)",
        config_dump::show,
    ),
    page("configz", "Configuration objects as they were read", configz::show),
    page("connections", "Connected proxies", clients::connections),
    page("edsz", "The endpoints that a proxy is to hold (proxyID=POD.NAMESPACE)", config_dump::endpoints),
    page("endpointShardz", "Endpoints by service", registry::endpoints),
    page("endpointz", "Endpoints by service", registry::endpoints),
    page("list", "The names of these pages", list),
    page(
        "problems",
        "What is wrong with the configuration: file, line, object, field, cause",
        problems::show,
    ),
    page("registryz", "Services", registry::services),
    page("syncz", "How far each connected proxy is", syncz::show),
];

/// What is asked of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, String>);

/// Why a page is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something is missing in the query.
    Incomplete(String),
    /// There is no such page or proxy.
    NotFound(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Incomplete(text) | Self::NotFound(text)) = self;
        f.write_str(text)
    }
}

impl Query {
    /// From what stands behind `?`; a name without a value has the empty one.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(pairs.map(split).collect())
    }

    /// The value of this name, if it is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether the name is there.
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
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
    let json = (page.show)(state, query)?;
    Ok(if query.has("pretty") { format!("{json:#}") } else { json.to_string() }.into_bytes())
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
    Ok(PAGES.iter().map(|page| Value::from(page.name)).collect())
}

/// A point in time as Go writes it.
fn rfc3339(time: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("proxyID=a%2Eb+c&pretty&x=%zz%");
        assert_eq!(query.get("proxyID"), Some("a.b c"));
        assert_eq!(query.get("x"), Some("%zz%"));
        assert!(query.has("pretty") && query.get("pretty").is_none());
    }

    #[test]
    fn pages_are_listed_in_order() {
        assert!(PAGES.is_sorted_by_key(|page| page.name.to_lowercase()));
    }
}
