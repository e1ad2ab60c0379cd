//! The question put to the product and its answer, as the offline translation defines them.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde_json::Value;

/// One proxy's question over one set of files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Path and text of each configuration file.
    pub files: Vec<(String, String)>,
    /// Mesh configuration applied over the built-in defaults, YAML or JSON.
    pub mesh: Option<String>,
    /// Mesh networks, YAML.
    pub networks: Option<String>,
    /// Text of the objects of each further cluster, by its name.
    pub clusters: BTreeMap<String, String>,
    /// Environment switches that differ from the built-in defaults.
    pub env: BTreeMap<String, String>,
    /// The node that the proxy announces, in JSON form; snake_case names are allowed.
    pub node: Value,
    /// The types to show (`cds`, `eds`, `lds`, `rds` …).
    pub types: Vec<String>,
    /// Names to ask for by type, beside those that a proxy asks for by itself.
    pub names: BTreeMap<String, Vec<String>>,
}

/// What the product would serve that proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// By type, name and resource in the order sent.
    pub resources: BTreeMap<String, Vec<(String, Value)>>,
    /// One line for each problem found in the files.
    pub problems: Vec<String>,
}

impl Answer {
    /// The resources of one type; none if the type is absent.
    pub fn of(&self, kind: &str) -> &[(String, Value)] {
        self.resources.get(kind).map_or(&[], Vec::as_slice)
    }
}

/// The product, as the judges see it; an error says why the proxy is not served. Called from several threads at
/// once.
pub type Translate<'a> = dyn Fn(&Request) -> Result<Answer, String> + Sync + 'a;

/// Asks the product, and turns a panic of it into a message so that one bad case does not end the run.
pub fn ask(translate: &Translate<'_>, request: &Request) -> Result<Answer, String> {
    let asked = catch_unwind(AssertUnwindSafe(|| translate(request)));
    asked.unwrap_or_else(|cause| Err(format!("panicked: {}", text(&*cause))))
}

fn text(cause: &(dyn Any + Send)) -> String {
    let literal = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_product_becomes_a_message() {
        let fails = |_: &Request| -> Result<Answer, String> { panic!("no such host") };
        assert_eq!(ask(&fails, &Request::default()), Err("panicked: no such host".to_owned()));
        assert_eq!(ask(&|_| Ok(Answer::default()), &Request::default()), Ok(Answer::default()));
    }
}
