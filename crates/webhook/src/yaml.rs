//! YAML: read within bounds, and written as Go's printer writes it.

use serde::Deserialize as _;
use serde_json::Value as Json;

/// How deep a document may be nested: more than any object is, and less than a thread's stack can take.
const DEPTH: usize = 64;
/// Values that a text may become; aliases let a few lines stand for gigabytes.
const NODES: usize = 400_000;

/// One document as JSON. Of a name that stands twice in a map the last counts, as in Go.
pub(crate) fn read(text: &str) -> Result<Json, String> {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH,
        flow_nesting_limit: DEPTH,
        max_nodes: NODES,
        max_events: NODES * 3,
        max_total_scalar_bytes: 64 << 20,
        enforce_alias_anchor_ratio: false,
    };
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        budget: budget,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |de| Json::deserialize(de))
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// A value in block style with sorted keys and a line's end.
pub(crate) fn write(value: &Json) -> String {
    let mut out = String::new();
    match value {
        Json::Object(fields) if !fields.is_empty() => map(&mut out, fields, 0),
        Json::Array(items) if !items.is_empty() => list(&mut out, items, 0),
        plain => {
            scalar(&mut out, plain, 0);
            out.push('\n');
        }
    }
    out
}

fn map(out: &mut String, fields: &serde_json::Map<String, Json>, indent: usize) {
    for (at, (name, value)) in fields.iter().enumerate() {
        // The first entry may stand behind the dash of a list.
        if at > 0 || out.ends_with('\n') || out.is_empty() {
            spaces(out, indent);
        }
        scalar(out, &Json::String(name.clone()), indent);
        out.push(':');
        entry(out, value, indent);
    }
}

fn entry(out: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            map(out, fields, indent + 2);
        }
        Json::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, indent);
        }
        plain => {
            out.push(' ');
            scalar(out, plain, indent);
            out.push('\n');
        }
    }
}

fn list(out: &mut String, items: &[Json], indent: usize) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 || out.ends_with('\n') || out.is_empty() {
            spaces(out, indent);
        }
        out.push_str("- ");
        match item {
            Json::Object(fields) if !fields.is_empty() => map(out, fields, indent + 2),
            Json::Array(items) if !items.is_empty() => list(out, items, indent + 2),
            plain => {
                scalar(out, plain, indent);
                out.push('\n');
            }
        }
    }
}

fn spaces(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(out: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(_) => out.push_str("{}"),
        Json::Array(_) => out.push_str("[]"),
        Json::String(text) if text.contains('\n') && is_printable(text) && !text.starts_with([' ', '\n']) => {
            block(out, text, indent);
        }
        Json::String(text) => out.push_str(&quoted(text)),
        plain => out.push_str(&plain.to_string()),
    }
}

/// Text of several lines as it is.
fn block(out: &mut String, text: &str, indent: usize) {
    out.push_str(if !text.ends_with('\n') {
        "|-"
    } else if text.ends_with("\n\n") {
        "|+"
    } else {
        "|"
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            spaces(out, indent + 2);
            out.push_str(line);
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|character| matches!(character, '\n' | '\t') || !character.is_control())
}

fn quoted(text: &str) -> String {
    if !is_printable(text) || text.contains(['\n', '\t']) {
        return Json::String(text.to_owned()).to_string();
    }
    if looks_like_something_else(text) {
        return Json::String(text.to_owned()).to_string();
    }
    if must_be_quoted(text) { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() }
}

/// Text that without quotes would be read as a number, a truth value, a time or nothing.
fn looks_like_something_else(text: &str) -> bool {
    const WORDS: [&str; 12] = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<"];
    let low = text.to_ascii_lowercase();
    let number = low.trim_start_matches(['+', '-']);
    let digits = number.replace('_', "");
    WORDS.contains(&low.as_str())
        || digits.parse::<f64>().is_ok()
            && digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        || matches!(number, ".inf" | ".nan")
        || ["0x", "0o", "0b"].iter().any(|prefix| {
            digits.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        })
        || is_sexagesimal(number)
        || is_date(text)
}

fn is_sexagesimal(text: &str) -> bool {
    text.contains(':')
        && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_date(text: &str) -> bool {
    let day = text.get(..10).unwrap_or_default();
    day.len() == 10
        && day.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && text.get(10..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['T', 't', ' ']))
}

/// Text that without quotes would be no plain scalar.
fn must_be_quoted(text: &str) -> bool {
    let begins = text.starts_with([
        '!', '&', '*', '#', '|', '>', '\'', '"', '%', '@', '`', '{', '}', '[', ']', ',', ' ', '=',
    ]);
    let marks = text.starts_with(['-', '?', ':'])
        && text.get(1..).is_none_or(|rest| rest.is_empty() || rest.starts_with(' '));
    let document = text.starts_with("---") || text.starts_with("...");
    begins || marks || document || text.ends_with([' ', ':']) || text.contains(": ") || text.contains(" #")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let value = json!({
            "a": ["1", 1, true, "true", "", "x: y", "- a", "-a", "*", "a b", " a", "2026-01-31", "1:20", "0x1f",
                "1e3", "yes", "~", "#", "a\nb", "a\nb\n", "a\n\n", "\ta", "é", "{}", "'", "\"", "a'b", ".5", "1_0"],
            "b": {"c": {}, "d": [], "e": null, "f": [[1, 2], {"g": [{"h": 1, "i": 2}]}]},
        });
        let text = write(&value);
        assert_eq!(read(&text).unwrap(), value, "{text}");
    }

    #[test]
    fn it_looks_like_gos() {
        let value =
            json!({"b": [{"name": "x", "args": ["-m", ""]}], "a": {"c": "15020", "d": "*"}, "e": "x\ny"});
        assert_eq!(
            write(&value),
            "a:\n  c: \"15020\"\n  d: '*'\nb:\n- args:\n  - -m\n  - \"\"\n  name: x\ne: |-\n  x\n  y\n"
        );
    }

    #[test]
    fn what_explodes_is_refused() {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x]\n");
        for (next, last) in "bcdefghi".chars().zip("abcdefgh".chars()) {
            let items = vec![format!("*{last}"); 8].join(", ");
            text.push_str(&format!("{next}: &{next} [{items}]\n"));
        }
        assert!(read(&text).is_err());
    }
}
