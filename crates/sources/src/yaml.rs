//! YAML (and JSON, which is YAML) as values, with bounds on what a text may make of itself.
//!
//! Aliases let a few lines of text stand for gigabytes. What a document becomes is counted while it is made,
//! and ends where it is out of proportion to its text.

use std::cell::Cell;
use std::{fmt, thread};

use serde::Deserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

/// How deep a document may be nested: more than any object is, and less than a thread's stack can take.
pub(crate) const DEPTH: usize = 64;
/// Far more than the deepest document takes of a stack.
const STACK: usize = 16 << 20;
/// What each byte of text may become; eight times what configuration is like.
const PER_BYTE: usize = 32;
/// What the documents of one file may become beyond that, all together.
const BEYOND: usize = 4 << 20;
/// What a value takes beside its text.
const NODE: usize = 32;

/// What is wrong with a text: on which line, from 1, and what.
pub(crate) type Broken = (u32, String);

/// What the documents of one file may become beyond what their texts allow, in bytes.
pub(crate) struct Allowance(Cell<usize>);

impl Default for Allowance {
    fn default() -> Self {
        Self(Cell::new(BEYOND))
    }
}

/// A text as JSON, in proportion to its size.
pub fn yaml(text: &str) -> Result<Json, (u32, String)> {
    json(text, &Allowance::default())
}

/// A document as JSON; what it takes beyond its own size is taken from the file's allowance.
pub(crate) fn json(text: &str, file: &Allowance) -> Result<Json, Broken> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let own = Cell::new(text.len().saturating_mul(PER_BYTE));
    let room = Room { own: &own, file: &file.0 };
    let made = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |de| {
        Counted(room).deserialize(de)
    });
    made.map_err(|error| broken(&error, text))
}

/// A document that [`json`] has read, as something else of about its size; on a thread of its own, as deep
/// documents may take more stack then than they did.
pub(crate) fn again<T: DeserializeOwned + Send>(text: &str) -> Option<T> {
    thread::scope(|scope| {
        let read = || serde_saphyr::from_str_with_options(text, options()).ok();
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
        thread.ok()?.join().ok()?
    })
}

fn options() -> serde_saphyr::Options {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH,
        flow_nesting_limit: DEPTH,
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_documents: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
        enforce_alias_anchor_ratio: false,
    };
    serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false, budget: budget }
}

/// The message without what the library says to programmers, and without the line, which is told beside it.
fn broken(error: &serde_saphyr::Error, text: &str) -> Broken {
    let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
    let message = error.to_string();
    let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let (cause, place) = message.rsplit_once(" at line ").unwrap_or((message, ""));
    let mut cause = match cause.strip_prefix("duplicate mapping key: ") {
        Some(key) => format!("the key {} is there twice", key.split(", set ").next().unwrap_or(key)),
        None => cause.to_owned(),
    };
    if let Some((_, column)) = place.split_once("column ") {
        cause += &format!(" (column {column})");
    }
    if text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains("{{")) {
        cause += "; {{ looks like a template that has not been rendered";
    }
    (u32::try_from(line).unwrap_or(1), cause)
}

/// What may still be made: from the document's own size, then from what the file has left.
#[derive(Clone, Copy)]
struct Room<'a> {
    own: &'a Cell<usize>,
    file: &'a Cell<usize>,
}

impl Room<'_> {
    /// Takes room for one value with so much text; an error if there is none left.
    fn take<E: serde::de::Error>(self, text: usize) -> Result<(), E> {
        let size = NODE + text;
        for pot in [self.own, self.file] {
            if let Some(left) = pot.get().checked_sub(size) {
                pot.set(left);
                return Ok(());
            }
        }
        Err(E::custom("its aliases make it too large: what they stand for is out of proportion to its text"))
    }
}

/// A JSON value that takes its room while it is made.
struct Counted<'a>(Room<'a>);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E: serde::de::Error>(self, value: $type) -> Result<Json, E> {
            self.0.take::<E>(0)?;
            Ok(Json::from(value))
        })*
    };
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        self.0.take::<E>(value.len())?;
        Ok(Json::from(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Json, E> {
        self.0.take::<E>(0)?;
        Ok(Json::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Json, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        self.0.take::<A::Error>(0)?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Counted(self.0))? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        self.0.take::<A::Error>(0)?;
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.0.take::<A::Error>(key.len())?;
            let value = access.next_value_seed(Counted(self.0))?;
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> (u32, String) {
        yaml(text).unwrap_err()
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let value = yaml("base: &base {a: 1}\none: *base\ntwo:\n  <<: *base\n  b: 2\n").unwrap();
        assert_eq!(value, serde_json::json!({"base": {"a": 1}, "one": {"a": 1}, "two": {"a": 1, "b": 2}}));
        assert_eq!(yaml("# nothing\n"), Ok(Json::Null));
        assert_eq!(yaml(""), Ok(Json::Null));
        assert_eq!(yaml("a: 18446744073709551615"), Ok(serde_json::json!({"a": u64::MAX})));
        assert!(message("a: 1\na: 2\n").1.contains("twice"));
    }

    #[test]
    fn a_billion_laughs_are_refused_where_they_stand() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for at in 1..10 {
            let before = vec![format!("*a{}", at - 1); 9].join(", ");
            text += &format!("a{at}: &a{at} [{before}]\n");
        }
        let (line, cause) = message(&text);
        assert!(cause.contains("too large"), "{cause}");
        assert!((4..=10).contains(&line), "{line}");
    }

    #[test]
    fn one_large_text_by_many_aliases_is_refused() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(50_000));
        let (line, cause) = message(&text);
        assert!(cause.contains("too large"), "{cause}");
        assert_eq!(line, 2);
    }

    #[test]
    fn messages_say_what_a_person_needs() {
        assert_eq!(message("a: 1\nb: 1\na: 2\n"), (3, "the key a is there twice (column 1)".into()));
        let (line, cause) = message("a: b: c\n");
        assert!(line == 1 && cause.ends_with(" (column 5)") && !cause.contains("line"), "{cause}");
        for template in ["a: 1\nb: {{ .Release.Namespace }}\n", "{{- if x }}\na: 1\n{{- end }}\n"] {
            let (_, cause) = message(template);
            assert!(cause.ends_with("; {{ looks like a template that has not been rendered"), "{cause}");
        }
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(yaml(&nested(DEPTH)).is_ok());
        for depth in [DEPTH + 1, 1_000_000] {
            let (line, cause) = message(&nested(depth));
            assert!(line == 1 && !cause.is_empty(), "{line} {cause}");
        }
        let blocks: String = (0..2_000).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
        assert!(message(&blocks).0 >= 60);
    }

    #[test]
    fn ordinary_text_has_room_whatever_its_size() {
        let text: String = (0..20_000).map(|at| format!("- a: {{b: {at}}}\n")).collect();
        assert_eq!(yaml(&text).unwrap().as_array().unwrap().len(), 20_000);
        let flow = format!("[{}]", "a,".repeat(50_000));
        assert_eq!(yaml(&flow).unwrap().as_array().unwrap().len(), 50_000);
    }
}
