//! Sprig's functions of text.

use gtmpl_ng::{FuncError, Value};

use super::value::{is_empty, shown};
use super::{Answer, Table, argument, number_at, text_at, wrong};

pub(super) const TABLE: &Table = &[
    ("quote", quote),
    ("squote", squote),
    ("lower", lower),
    ("toLower", lower),
    ("upper", upper),
    ("title", title),
    ("untitle", untitle),
    ("trim", trim),
    ("trimAll", trim_all),
    ("trimall", trim_all),
    ("trimPrefix", trim_prefix),
    ("trimSuffix", trim_suffix),
    ("nospace", nospace),
    ("trunc", trunc),
    ("abbrev", abbrev),
    ("substr", substr),
    ("replace", replace),
    ("repeat", repeat),
    ("contains", contains),
    ("hasPrefix", has_prefix),
    ("hasSuffix", has_suffix),
    ("indent", indent),
    ("nindent", nindent),
    ("cat", cat),
    ("plural", plural),
    ("toString", to_string),
    ("split", split),
    ("splitList", split_list),
    ("splitn", splitn),
    ("join", join),
    ("toStrings", to_strings),
    ("regexMatch", regex_match),
    ("mustRegexMatch", regex_match),
    ("regexFind", regex_find),
    ("regexReplaceAll", regex_replace_all),
    ("regexReplaceAllLiteral", regex_replace_literal),
    ("kebabcase", kebabcase),
    ("snakecase", snakecase),
];

/// Characters that one function may produce; the engine's own bound comes after the fact.
const MOST: usize = 1 << 20;

fn plain(text: impl Into<String>) -> Answer {
    Ok(Value::String(text.into()))
}

fn quote(arguments: &[Value]) -> Answer {
    wrapped(arguments, go_quoted)
}

fn squote(arguments: &[Value]) -> Answer {
    wrapped(arguments, |text| format!("'{text}'"))
}

fn wrapped(arguments: &[Value], wrap: impl Fn(&str) -> String) -> Answer {
    let given = arguments.iter().filter(|value| !matches!(value, Value::Nil | Value::NoValue));
    plain(given.map(|value| wrap(&shown(value))).collect::<Vec<_>>().join(" "))
}

/// Text in double quotes with Go's escapes.
pub(super) fn go_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            low if u32::from(low) < 0x20 || low == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(low)))
            }
            control if control.is_control() || control == '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn lower(arguments: &[Value]) -> Answer {
    plain(text_at(arguments, 0)?.to_lowercase())
}

fn upper(arguments: &[Value]) -> Answer {
    plain(text_at(arguments, 0)?.to_uppercase())
}

fn title(arguments: &[Value]) -> Answer {
    plain(by_word(text_at(arguments, 0)?, |first| first.to_uppercase().collect()))
}

fn untitle(arguments: &[Value]) -> Answer {
    plain(by_word(text_at(arguments, 0)?, |first| first.to_lowercase().collect()))
}

fn by_word(text: &str, change: impl Fn(char) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for character in text.chars() {
        if begins {
            out.push_str(&change(character));
        } else {
            out.push(character);
        }
        begins = !(character.is_alphanumeric() || character == '_' || character == '\'');
    }
    out
}

fn trim(arguments: &[Value]) -> Answer {
    plain(text_at(arguments, 0)?.trim())
}

fn trim_all(arguments: &[Value]) -> Answer {
    let set = text_at(arguments, 0)?;
    plain(text_at(arguments, 1)?.trim_matches(|character| set.contains(character)))
}

fn trim_prefix(arguments: &[Value]) -> Answer {
    let (prefix, text) = (text_at(arguments, 0)?, text_at(arguments, 1)?);
    plain(text.strip_prefix(prefix).unwrap_or(text))
}

fn trim_suffix(arguments: &[Value]) -> Answer {
    let (suffix, text) = (text_at(arguments, 0)?, text_at(arguments, 1)?);
    plain(text.strip_suffix(suffix).unwrap_or(text))
}

fn nospace(arguments: &[Value]) -> Answer {
    plain(text_at(arguments, 0)?.split_whitespace().collect::<String>())
}

/// `trunc`: bytes from the front, or with a negative number from the back; never half a character.
fn trunc(arguments: &[Value]) -> Answer {
    let (length, text) = (number_at(arguments, 0)?, text_at(arguments, 1)?);
    let size = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    if text.len() <= size {
        return plain(text);
    }
    if length < 0 {
        let start = (text.len() - size..=text.len()).find(|at| text.is_char_boundary(*at));
        return plain(start.and_then(|start| text.get(start..)).unwrap_or_default());
    }
    plain(front(text, size))
}

fn front(text: &str, size: usize) -> &str {
    let end = (0..=size.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

fn abbrev(arguments: &[Value]) -> Answer {
    let (width, text) = (number_at(arguments, 0)?, text_at(arguments, 1)?);
    let width = usize::try_from(width).unwrap_or_default();
    if width < 4 || text.len() <= width {
        return plain(text);
    }
    plain(format!("{}...", front(text, width - 3)))
}

fn substr(arguments: &[Value]) -> Answer {
    let (start, end, text) = (number_at(arguments, 0)?, number_at(arguments, 1)?, text_at(arguments, 2)?);
    let start = usize::try_from(start).unwrap_or_default();
    let end = usize::try_from(end).unwrap_or(text.len()).min(text.len());
    plain(text.get(start.min(end)..end).unwrap_or_default())
}

fn replace(arguments: &[Value]) -> Answer {
    let (old, new, text) = (text_at(arguments, 0)?, text_at(arguments, 1)?, text_at(arguments, 2)?);
    bounded(text.matches(old).count().saturating_mul(new.len()).saturating_add(text.len()))?;
    plain(text.replace(old, new))
}

fn repeat(arguments: &[Value]) -> Answer {
    let (times, text) = (number_at(arguments, 0)?, text_at(arguments, 1)?);
    let times = usize::try_from(times).unwrap_or_default();
    bounded(times.saturating_mul(text.len()))?;
    plain(text.repeat(times))
}

fn bounded(size: usize) -> Result<(), FuncError> {
    if size > MOST { Err(wrong(format!("a text of {size} bytes; {MOST} are allowed"))) } else { Ok(()) }
}

fn contains(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(text_at(arguments, 1)?.contains(text_at(arguments, 0)?)))
}

fn has_prefix(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(text_at(arguments, 1)?.starts_with(text_at(arguments, 0)?)))
}

fn has_suffix(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(text_at(arguments, 1)?.ends_with(text_at(arguments, 0)?)))
}

/// Istio's `indent`: every line but the first is moved to the right (istiod-surface 5.5).
fn indent(arguments: &[Value]) -> Answer {
    let (by, text) = (number_at(arguments, 0)?, text_at(arguments, 1)?);
    moved(by, text).map(Value::String)
}

/// Sprig's `nindent`: a new line, and then every line is moved to the right.
fn nindent(arguments: &[Value]) -> Answer {
    let (by, text) = (number_at(arguments, 0)?, text_at(arguments, 1)?);
    moved(by, &format!("\n{text}")).map(Value::String)
}

fn moved(by: i64, text: &str) -> Result<String, FuncError> {
    let by = usize::try_from(by).unwrap_or_default();
    bounded(by.saturating_mul(text.matches('\n').count()).saturating_add(text.len()))?;
    Ok(text.replace('\n', &format!("\n{}", " ".repeat(by))))
}

fn cat(arguments: &[Value]) -> Answer {
    let given = arguments.iter().filter(|value| !matches!(value, Value::Nil | Value::NoValue));
    plain(given.map(shown).collect::<Vec<_>>().join(" "))
}

fn plural(arguments: &[Value]) -> Answer {
    plain(text_at(arguments, usize::from(number_at(arguments, 2)? != 1))?)
}

fn to_string(arguments: &[Value]) -> Answer {
    plain(shown(argument(arguments, 0)?))
}

/// `split`: a map `_0`, `_1`, …
fn split(arguments: &[Value]) -> Answer {
    let parts = text_at(arguments, 1)?.split(text_at(arguments, 0)?);
    Ok(Value::Map(parts.enumerate().map(|(at, part)| (format!("_{at}"), Value::from(part))).collect()))
}

fn splitn(arguments: &[Value]) -> Answer {
    let most = usize::try_from(number_at(arguments, 1)?).unwrap_or(usize::MAX);
    let parts = text_at(arguments, 2)?.splitn(most, text_at(arguments, 0)?);
    Ok(Value::Map(parts.enumerate().map(|(at, part)| (format!("_{at}"), Value::from(part))).collect()))
}

fn split_list(arguments: &[Value]) -> Answer {
    let parts = text_at(arguments, 1)?.split(text_at(arguments, 0)?);
    Ok(Value::Array(parts.map(Value::from).collect()))
}

fn join(arguments: &[Value]) -> Answer {
    let between = text_at(arguments, 0)?;
    plain(strings(argument(arguments, 1)?).join(between))
}

fn to_strings(arguments: &[Value]) -> Answer {
    Ok(Value::Array(strings(argument(arguments, 0)?).into_iter().map(Value::from).collect()))
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => {
            items.iter().filter(|item| !matches!(item, Value::Nil | Value::NoValue)).map(shown).collect()
        }
        other if is_empty(other) => Vec::new(),
        other => vec![shown(other)],
    }
}

fn pattern(text: &str) -> Result<regex::Regex, FuncError> {
    let built = regex::RegexBuilder::new(text).size_limit(1 << 18).build();
    built.map_err(|error| wrong(format!("regular expression {text}: {error}")))
}

fn regex_match(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(pattern(text_at(arguments, 0)?)?.is_match(text_at(arguments, 1)?)))
}

fn regex_find(arguments: &[Value]) -> Answer {
    let found = pattern(text_at(arguments, 0)?)?.find(text_at(arguments, 1)?).map(|found| found.as_str());
    plain(found.unwrap_or_default())
}

fn regex_replace_all(arguments: &[Value]) -> Answer {
    let (text, new) = (text_at(arguments, 1)?, text_at(arguments, 2)?);
    plain(pattern(text_at(arguments, 0)?)?.replace_all(text, new))
}

fn regex_replace_literal(arguments: &[Value]) -> Answer {
    let (text, new) = (text_at(arguments, 1)?, text_at(arguments, 2)?);
    plain(pattern(text_at(arguments, 0)?)?.replace_all(text, regex::NoExpand(new)))
}

fn kebabcase(arguments: &[Value]) -> Answer {
    plain(separated(text_at(arguments, 0)?, '-'))
}

fn snakecase(arguments: &[Value]) -> Answer {
    plain(separated(text_at(arguments, 0)?, '_'))
}

fn separated(text: &str, separator: char) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        if character.is_uppercase() && !out.is_empty() && !out.ends_with(separator) {
            out.push(separator);
        }
        if character.is_alphanumeric() {
            out.extend(character.to_lowercase());
        } else if !out.ends_with(separator) {
            out.push(separator);
        }
    }
    out
}
