//! Rules about one file: how it begins, how long it is, and what it may not mention.

use super::{Finding, code, crates};

/// Most lines of a file, tests included.
const FILE_LINES: usize = 600;

/// Words that no file of ours may contain, in code, comments or strings, and why.
const NOWHERE: &[(&str, &str)] = &[
    (concat!("#[", "ignore"), "a test runs or it is deleted"),
    (concat!("/", "work/"), "a path of one machine"),
    (concat!("/", "home/"), "a path of one machine"),
];

/// What a pure crate may not say in code, and why. Crates of others that it may not import are told by the graph.
const IMPURE: &[(&str, &str)] = &[
    ("async fn", "pure crates have no async"),
    (".await", "pure crates have no async"),
    ("std::fs", "pure crates have no I/O"),
    ("std::io", "pure crates have no I/O"),
    ("std::process", "pure crates have no I/O"),
    ("TcpStream", "pure crates have no I/O"),
    ("TcpListener", "pure crates have no I/O"),
    ("UdpSocket", "pure crates have no I/O"),
    ("UnixStream", "pure crates have no I/O"),
    ("ToSocketAddrs", "pure crates resolve no names"),
    ("std::thread", "pure crates have no threads"),
    ("SystemTime", "pure crates have no clock"),
    ("Instant", "pure crates have no clock"),
    ("println!", "pure crates write nothing"),
    ("RandomState", "pure crates have no randomness"),
    ("DefaultHasher", "its hashes differ between releases"),
    ("HashMap::new(", "its order is random: BTreeMap, or a fixed hasher where no order can reach output"),
    ("HashSet::new(", "its order is random: BTreeSet, or a fixed hasher where no order can reach output"),
    ("HashMap::with_capacity(", "its order is random: BTreeMap, or a fixed hasher"),
    ("HashSet::with_capacity(", "its order is random: BTreeSet, or a fixed hasher"),
];

/// Hash containers and the number of type arguments that includes a hasher.
const HASHED: &[(&str, usize)] = &[("HashMap<", 3), ("HashSet<", 2)];

/// Crates that may read the environment.
const READ_ENVIRONMENT: &[&str] = &["pilothouse", "testkit", "xtask"];

/// Everything that is wrong with one file; the path is relative to the repository.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut broken = mentions(text, NOWHERE);
    if !path.ends_with(".rs") {
        return findings(path, broken);
    }
    broken.extend(shape(text));
    if let Some(name) = crate_of_source(path).filter(|_| !is_tests(path)) {
        let code = code::only(text);
        let code = code::without_tests(&code);
        if crates::is_pure(name) {
            broken.extend(mentions(code, IMPURE));
            broken.extend(hashed(code));
        }
        if !READ_ENVIRONMENT.contains(&name) {
            broken.extend(mentions(code, &[("std::env", "only the binary reads the environment")]));
        }
    }
    findings(path, broken)
}

fn findings(path: &str, broken: Vec<(usize, String)>) -> Vec<Finding> {
    broken.into_iter().map(|(line, rule)| Finding { path: path.to_owned(), line, rule }).collect()
}

/// Whether a file is a test module of its own.
fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

/// The crate whose `src/` a path lies in.
pub(super) fn crate_of_source(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    rest.starts_with("src/").then_some(name)
}

fn shape(text: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    if !text.starts_with("//! ") {
        broken.push((1, "does not begin with a `//!` sentence".to_owned()));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES {
        broken.push((0, format!("{lines} lines, {FILE_LINES} allowed: split the file along meaning")));
    }
    broken
}

fn mentions(text: &str, words: &[(&str, &str)]) -> Vec<(usize, String)> {
    let in_line = |(place, line): (usize, &str)| {
        let found = words.iter().filter(|(word, _)| has_word(line, word));
        found.map(|(word, because)| (place + 1, format!("`{word}`: {because}"))).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(in_line).collect()
}

/// Whether a line contains the word and not merely a longer name around it.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(place, _)| {
        let before = line.get(..place).and_then(|text| text.chars().next_back());
        let after = line.get(place + word.len()..).and_then(|text| text.chars().next());
        let opens = word.starts_with(|c: char| c.is_alphanumeric());
        let closes = word.ends_with(|c: char| c.is_alphanumeric());
        !(opens && is_name(before) || closes && is_name(after))
    })
}

/// Hash containers written without a hasher of their own.
fn hashed(code: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    for (word, wanted) in HASHED {
        for (place, _) in code.match_indices(word) {
            let before = code.get(..place).unwrap_or("");
            let is_longer_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let arguments = code.get(place + word.len()..).map_or(0, type_arguments);
            if !is_longer_name && arguments < *wanted {
                let line = before.matches('\n').count() + 1;
                broken.push((line, format!("`{word}…>` without a fixed hasher: its order is random")));
            }
        }
    }
    broken
}

/// Counts the type arguments up to the closing bracket.
fn type_arguments(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut commas = 0;
    let mut last = ' ';
    for character in text.chars() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' if last == '-' => {}
            '>' if depth == 0 => break,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => commas += 1,
            _ => {}
        }
        last = character;
    }
    commas + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<usize> {
        check(path, text).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn first_line_is_a_sentence() {
        assert_eq!(rules("crates/xds/src/a.rs", "//! A sentence.\n"), [0_usize; 0]);
        assert_eq!(rules("crates/xds/src/a.rs", "use std::fmt;\n"), [1]);
    }

    #[test]
    fn long_file_is_reported() {
        let long = format!("//! A sentence.\n{}", "\n".repeat(FILE_LINES));
        assert_eq!(rules("crates/xds/src/a.rs", &long), [0]);
    }

    #[test]
    fn machine_paths_and_sleeping_tests_are_reported_everywhere() {
        let path = concat!("//! A sentence.\n// see /", "work/x\n");
        assert_eq!(rules("crates/xds/tests/a.rs", path), [2]);
        assert_eq!(rules("docs/a.md", path), [2]);
        assert_eq!(rules("docs/a.md", "# A title\n"), [0_usize; 0]);
        assert_eq!(rules("crates/xds/tests/a.rs", concat!("//! A.\n#[", "ignore]\n")), [2]);
    }

    #[test]
    fn pure_crates_are_pure() {
        let case = |code: &str| rules("crates/model/src/a.rs", &format!("//! A sentence.\n{code}\n"));
        assert_eq!(case("use std::fs;"), [2]);
        assert_eq!(case("let now = std::time::Instant::now();"), [2]);
        assert_eq!(case("let at = std::time::SystemTime::now();"), [2]);
        assert_eq!(case("let name = std::env::var(name);"), [2]);
        assert_eq!(case("use std::net::IpAddr;"), [0_usize; 0]);
        assert_eq!(case("struct Instantly; // Instant"), [0_usize; 0]);
        assert_eq!(case("#[cfg(test)]\nmod tests { use std::fs; }"), [0_usize; 0]);
        assert_eq!(rules("crates/model/src/a/tests.rs", "//! A sentence.\nuse std::fs;\n"), [0_usize; 0]);
    }

    #[test]
    fn rim_crates_may_do_input_and_output_but_read_no_environment() {
        assert_eq!(rules("crates/sources/src/a.rs", "//! A sentence.\nuse std::fs;\n"), [0_usize; 0]);
        assert_eq!(rules("crates/sources/src/a.rs", "//! A sentence.\nuse std::env;\n"), [2]);
        assert_eq!(rules("crates/pilothouse/src/a.rs", "//! A sentence.\nuse std::env;\n"), [0_usize; 0]);
    }

    #[test]
    fn hash_maps_need_a_fixed_hasher() {
        let case = |code: &str| rules("crates/memo/src/a.rs", &format!("//! A sentence.\n{code}\n"));
        assert_eq!(case("a: HashMap<Key<A, B>, Vec<(C, D)>>,"), [2]);
        assert_eq!(case("a: HashMap<Key<A, B>, fn() -> C, Fixed>,"), [0_usize; 0]);
        assert_eq!(case("a: HashSet<Key>,"), [2]);
        assert_eq!(case("a: FixedHashMap<Key, Value>,"), [0_usize; 0]);
        assert_eq!(case("let a = HashMap::new();"), [2]);
    }
}
