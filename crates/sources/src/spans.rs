//! Where in a document a field stands, for messages.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::yaml::again;

/// Where the fields of one document stand. The document is parsed for it when that is first asked, once.
pub(crate) struct Places<'a> {
    text: &'a str,
    /// The document's first line within its file, from 1.
    first: u32,
    root: OnceCell<Option<Spanned<Tree>>>,
}

impl<'a> Places<'a> {
    /// Of a document that begins on this line.
    pub(crate) fn new(text: &'a str, first: u32) -> Self {
        Self { text, first, root: OnceCell::new() }
    }

    /// The line within the file, from 1, of the field at `path` (`spec.http[0].route[1].weight`), or of the
    /// innermost part of the path that is there; of that item, if the document is a list.
    pub(crate) fn line(&self, item: Option<usize>, path: &str) -> u32 {
        let root = self.root.get_or_init(|| again(self.text));
        let Some(root) = root else { return self.first };
        let item = item.map(|at| at.to_string());
        let prefix = item.iter().flat_map(|at| ["items", at]);
        let mut place = root;
        for step in prefix.chain(steps(path)) {
            let Some(next) = place.value.child(step) else { break };
            place = next;
        }
        let within = u32::try_from(place.referenced.line()).unwrap_or(1);
        self.first + within.saturating_sub(1)
    }
}

/// `spec.http[0].name` as `spec`, `http`, `0`, `name`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// A document's shape with the places of its parts.
enum Tree {
    Map(HashMap<String, Spanned<Tree>>),
    List(Vec<Spanned<Tree>>),
    Leaf,
}

impl Tree {
    fn child(&self, step: &str) -> Option<&Spanned<Self>> {
        match self {
            Self::Map(fields) => fields.get(step),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Leaf => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

macro_rules! leaves {
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E>(self, _: $type) -> Result<Tree, E> { Ok(Tree::Leaf) })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut fields = HashMap::new();
        while let Some((name, value)) = access.next_entry()? {
            fields.insert(name, value);
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_line() {
        let text = "kind: A\nspec:\n  http:\n  - name: one\n  - name: two\n    timeout: 5\n";
        let places = Places::new(text, 10);
        assert_eq!(places.line(None, "spec.http[1].timeout"), 15);
        assert_eq!(places.line(None, "spec.http[1].retries.attempts"), 14);
        assert_eq!(places.line(None, ""), 10);
        assert_eq!(Places::new("kind: [", 3).line(None, "kind"), 3);
        assert_eq!(Places::new("items:\n- a: 1\n- a: 2\n", 1).line(Some(1), "a"), 3);
        assert_eq!(Places::new("{\"a\": 1,\n\"b\": 2}", 1).line(None, "b"), 2);
    }

    #[test]
    fn the_deepest_document_has_places() {
        let depth = crate::yaml::DEPTH;
        let text = (0..depth).map(|at| format!("{}a:\n", " ".repeat(at))).collect::<String>();
        assert_eq!(Places::new(&text, 1).line(None, &vec!["a"; depth].join(".")), 64);
    }
}
