//! A file's text into documents: YAML or JSON, each with the line on which it begins.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document<'a> {
    /// The line on which it begins, from 1.
    pub(crate) line: u32,
    /// Its text.
    pub(crate) text: &'a str,
    /// Its value, or what is wrong with it and on which line of the file.
    pub(crate) value: Result<Json, (u32, String)>,
}

/// The documents of a file, empty ones left out. A document that is broken does not harm the others.
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    pieces(text).filter_map(|(line, piece)| document(line, piece)).collect()
}

fn document(line: u32, text: &str) -> Option<Document<'_>> {
    let value = match yaml::<Json>(text) {
        Ok(Json::Null) => return None,
        Ok(value) => Ok(value),
        Err((at, message)) => Err((line + at.saturating_sub(1), message)),
    };
    Some(Document { line, text, value })
}

/// Pieces between lines that begin with `---`, with the number of their first line that says something.
fn pieces(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = separator(rest).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let first = line;
        line += count_lines(piece);
        rest = match after.split_once('\n') {
            Some((_, after)) => {
                line += 1;
                after
            }
            None => "",
        };
        Some((first, piece))
    })
}

/// Where the next line that begins a document stands.
fn separator(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.trim().is_empty() || rest.starts_with([' ', '\t'])) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

fn count_lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// YAML (or JSON, which is YAML) as `T`; an error is a line, from 1, and what is wrong.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, (u32, String)> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    located(text)
}

/// As [`yaml`], always by the reader that knows places.
pub(crate) fn located<T: DeserializeOwned>(text: &str) -> Result<T, (u32, String)> {
    let mut options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
    // It would refuse long files. Deep nesting and aliases that multiply have limits of their own.
    options.budget = None;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        (u32::try_from(line).unwrap_or(1), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_line_and_a_broken_one_harms_no_other() {
        let documents = split("a: 1\n---\n# nothing\n---\nb: [\n---\nc: 0644\nd: yes\n");
        assert_eq!(documents.len(), 3, "{documents:?}");
        assert_eq!((documents[0].line, &documents[0].value), (1, &Ok(serde_json::json!({"a": 1}))));
        let (line, _) = documents[1].value.clone().unwrap_err();
        assert!((5..=6).contains(&line), "{line}");
        let last = serde_json::json!({"c": 420, "d": true});
        assert_eq!((documents[2].line, &documents[2].value), (7, &Ok(last)));
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(split("{\"a\": 1}")[0].value, Ok(serde_json::json!({"a": 1})));
    }
}
