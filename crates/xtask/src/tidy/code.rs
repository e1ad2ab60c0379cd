//! Rust text without its comments and literals, so that a rule meets code and nothing that only talks about it.

/// The same text with comments, strings and characters blanked; lines stay where they were.
pub(super) fn only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = token(rest, first, out.chars().next_back());
        let (taken, after) = rest.split_at(length);
        if is_code {
            out.push_str(taken);
        } else {
            out.extend(taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// The code before the first test module, which by our rules stands last in its file.
pub(super) fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]").map_or(code, |place| code.get(..place).unwrap_or(code))
}

/// The length in bytes of what the text begins with, and whether it is code.
fn token(text: &str, first: char, before: Option<char>) -> (usize, bool) {
    if text.starts_with("//") {
        return (text.find('\n').unwrap_or(text.len()), false);
    }
    if text.starts_with("/*") {
        return (block_comment(text), false);
    }
    let starts_word = !before.is_some_and(|character| character.is_alphanumeric() || character == '_');
    if let Some(length) = raw_string(text).filter(|_| starts_word) {
        return (length, false);
    }
    match first {
        '"' => (quoted(text, '"'), false),
        '\'' if is_character(text) => (quoted(text, '\''), false),
        other => (other.len_utf8(), true),
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let opens = rest.starts_with("/*");
        let closes = rest.starts_with("*/");
        depth = if opens {
            depth + 1
        } else if closes {
            depth - 1
        } else {
            depth
        };
        place += if opens || closes { 2 } else { rest.chars().next().map_or(1, char::len_utf8) };
        if depth == 0 {
            break;
        }
    }
    place.min(text.len())
}

/// The length of a raw string such as `r#"…"#`, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let marked = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = marked.len() - marked.trim_start_matches('#').len();
    let body = marked.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - body.len();
    Some(body.find(&end).map_or(text.len(), |place| start + place + end.len()))
}

/// The length of a literal between two equal marks, escapes minded.
fn quoted(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (place, character) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == mark {
            return place + 1;
        }
    }
    text.len()
}

/// Tells the literal `'a'` from the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str) {
        assert_eq!(only(text).split_whitespace().collect::<Vec<_>>().join(" "), code);
    }

    #[test]
    fn comments_are_blank() {
        check("a // tokio\nb /* x /* y */ z */ c", "a b c");
        check("//! std::fs\nfn f() {}", "fn f() {}");
    }

    #[test]
    fn literals_are_blank() {
        check(r#"let a = "std::env \" more"; b"#, "let a = ; b");
        check("let a = r#\"std::fs \"quoted\"\"#; b", "let a = ; b");
        check(r"let a = '\''; let b = '/';", "let a = ; let b = ;");
    }

    #[test]
    fn lifetimes_are_code() {
        check("fn f<'a>(x: &'a str) -> &'a str", "fn f<'a>(x: &'a str) -> &'a str");
    }

    #[test]
    fn lines_stay() {
        assert_eq!(only("a\n/* b\n c */\nd \"e\nf\" g").lines().count(), 5);
        assert_eq!(only("é /* ü").chars().count(), 6);
    }

    #[test]
    fn tests_come_last() {
        assert_eq!(without_tests("code\n#[cfg(test)]\nmod tests {}"), "code\n");
    }
}
