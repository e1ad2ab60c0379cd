//! Where in a document a field stands, for messages.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::documents::yaml;

/// The line, from 1, within `text` of the field at `path` (`spec.http[0].route[1].weight`), or of the
/// innermost part of the path that is there.
pub(crate) fn line_of(text: &str, path: &str) -> Option<u32> {
    let root: Spanned<Tree> = yaml(text).ok()?;
    let mut line = root.referenced.line();
    let mut tree = &root.value;
    for step in steps(path) {
        let Some(next) = tree.child(step) else { break };
        line = next.referenced.line();
        tree = &next.value;
    }
    u32::try_from(line).ok()
}

/// `spec.http[0].name` as `spec`, `http`, `0`, `name`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

/// A document's shape with the places of its parts.
enum Tree {
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
    List(Vec<Spanned<Tree>>),
    Leaf,
}

impl Tree {
    fn child(&self, step: &str) -> Option<&Spanned<Self>> {
        match self {
            Self::Map(fields) => fields.iter().find(|(key, _)| key.value == step).map(|(_, value)| value),
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
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
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
        assert_eq!(line_of(text, "spec.http[1].timeout"), Some(6));
        assert_eq!(line_of(text, "spec.http[1].retries.attempts"), Some(5));
        assert_eq!(line_of(text, ""), Some(1));
    }
}
