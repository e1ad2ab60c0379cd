//! Family `bootstrap-nodes`: the nodes that real proxies announce are understood.

use std::{fmt::Write as _, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    corpus::{self, Error},
    verdict::Verdict,
};

/// Parses a node in proto3 JSON (snake_case names) and gives back what was understood, or why nothing was.
///
/// The closure must put the node through the very parser that the server uses, and render the *parsed* value:
/// giving back parts of its input would prove nothing.
pub type ParseNode<'a> = dyn Fn(&Value) -> Result<ParsedNode, String> + Sync + 'a;

/// A node as it was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedNode {
    /// `type~address~name~domain`.
    pub id: String,
    /// Region, zone and subzone; empty where not given.
    pub locality: [String; 3],
    /// All metadata, in the JSON form in which it was announced: `INSTANCE_IPS` joined by commas, keys that
    /// have no meaning for the control plane included.
    pub metadata: Map<String, Value>,
}

#[derive(Deserialize)]
struct Manifest {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    node: String,
}

/// Judges every node of the family: parsed id, locality and metadata equal the file.
pub fn judge(root: &Path, parse: &ParseNode<'_>) -> Result<Vec<Verdict>, Error> {
    let family = root.join("bootstrap-nodes");
    let manifest: Manifest = corpus::json(&family.join("manifest.json"))?;
    let verdict = |case: Case| {
        let node: Value = corpus::json(&family.join(&case.node))?;
        Ok(Verdict { id: case.id, failure: failure(&node, parse(&node)) })
    };
    manifest.cases.into_iter().map(verdict).collect()
}

fn failure(node: &Value, parsed: Result<ParsedNode, String>) -> Option<String> {
    let parsed = match parsed {
        Err(message) => return Some(format!("refused: {message}")),
        Ok(parsed) => parsed,
    };
    let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let locality = ["/locality/region", "/locality/zone", "/locality/sub_zone"].map(text);
    let mut wrong = String::new();
    if parsed.id != text("/id") {
        let _ = write!(wrong, "id: expected {}, got {}; ", text("/id"), parsed.id);
    }
    if parsed.locality != locality {
        let _ = write!(wrong, "locality: expected {locality:?}, got {:?}; ", parsed.locality);
    }
    for difference in crate::golden::compare::differences(&node["metadata"], &Value::Object(parsed.metadata))
    {
        let (expected, actual) = (&difference.expected, &difference.actual);
        let _ = write!(wrong, "metadata {}: expected {expected}, got {actual}; ", difference.path);
    }
    (!wrong.is_empty()).then(|| wrong.trim_end_matches("; ").to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> Value {
        json!({"id": "sidecar~1.2.3.4~a~b", "locality": {"region": "r", "sub_zone": "s"}, "metadata": {"A": {"b": 1}}})
    }

    fn parsed() -> ParsedNode {
        let metadata = json!({"A": {"b": 1}}).as_object().expect("a map").clone();
        let locality = ["r".to_owned(), String::new(), "s".to_owned()];
        ParsedNode { id: "sidecar~1.2.3.4~a~b".to_owned(), locality, metadata }
    }

    #[test]
    fn everything_must_equal_the_file() {
        assert_eq!(failure(&node(), Ok(parsed())), None);
        assert_eq!(failure(&node(), Err("no".to_owned())), Some("refused: no".to_owned()));
        let wrong = ParsedNode { id: "x".to_owned(), locality: Default::default(), metadata: Map::new() };
        let wanted = "id: expected sidecar~1.2.3.4~a~b, got x; \
                      locality: expected [\"r\", \"\", \"s\"], got [\"\", \"\", \"\"]; \
                      metadata A: expected {\"b\":1}, got null";
        assert_eq!(failure(&node(), Ok(wrong)).as_deref(), Some(wanted));
    }
}
