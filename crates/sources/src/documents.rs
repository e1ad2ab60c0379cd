//! A file's text into documents: YAML or JSON, each with the line on which it begins.

use serde_json::Value as Json;

use crate::yaml::{Allowance, Broken, json};

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document<'a> {
    /// The line on which it begins, from 1.
    pub(crate) line: u32,
    /// Its text.
    pub(crate) text: &'a str,
    /// Its value, or what is wrong with it and on which line of the file.
    pub(crate) value: Result<Json, Broken>,
}

/// The documents of a file, empty ones left out. A document that is broken does not harm the others.
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    let allowance = Allowance::default();
    pieces(text).filter_map(|(line, piece)| document(line, piece, &allowance)).collect()
}

fn document<'a>(line: u32, text: &'a str, allowance: &Allowance) -> Option<Document<'a>> {
    let value = match json(text, allowance) {
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
