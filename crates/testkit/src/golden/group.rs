//! Failures grouped by their cause, the biggest first: what to mend next.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    compare::{Difference, Kind},
    judge::{FileVerdict, Finding, Scoreboard},
};

/// Findings of one type that look alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Type of the resources.
    pub kind: String,
    /// Kind and place of the difference, names and indexes erased.
    pub key: String,
    /// Files (ids) that have it.
    pub files: BTreeSet<String>,
    /// Files that have nothing else wrong: mending this group makes them pass.
    pub alone: usize,
    /// Files whose first finding this is.
    pub first: usize,
    /// Findings in all files.
    pub findings: usize,
    /// One of them, with its file.
    pub example: (String, Finding),
}

/// The key of a difference: its kind, its erased path, and its values where they are of a closed vocabulary.
pub fn key(difference: &Difference) -> String {
    let path = difference.path.erased();
    let (expected, actual) = (plain(&difference.expected), plain(&difference.actual));
    match (difference.kind, expected, actual) {
        (Kind::Changed, Some(expected), Some(actual)) => format!("changed {path}: {expected} -> {actual}"),
        (Kind::Changed, ..) => format!("changed {path}"),
        (Kind::Missing, Some(expected), _) => format!("missing {path}: {expected}"),
        (Kind::Missing, ..) => format!("missing {path}"),
        (Kind::Extra, _, Some(actual)) => format!("extra {path}: {actual}"),
        (Kind::Extra, ..) => format!("extra {path}"),
        (Kind::Order, ..) => format!("order of {path}"),
    }
}

/// Booleans, numbers, durations, enums and type URLs, which no user chose.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(_) | Value::Number(_) => return Some(value.to_string()),
        Value::String(text) => text,
        Value::Object(fields) if fields.is_empty() => return Some("{}".to_owned()),
        _ => return None,
    };
    let enumeration =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '_' | '0'..='9'));
    let duration = text.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
    (enumeration || duration || text.starts_with("type.googleapis.com/")).then(|| text.clone())
}

/// All groups of a scoreboard: most files first, then most files that need nothing else.
pub fn groups(board: &Scoreboard) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for file in board.counted().filter(|file| !file.passed()) {
        add_file(&mut groups, file);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|one, other| {
        let rank = |group: &Group| (group.files.len(), group.alone, group.first);
        rank(other).cmp(&rank(one)).then_with(|| one.key.cmp(&other.key))
    });
    groups
}

fn add_file(groups: &mut BTreeMap<(String, String), Group>, file: &FileVerdict) {
    let keys: Vec<String> = file.findings.iter().map(Finding::key).collect();
    let alone = keys.iter().collect::<BTreeSet<_>>().len() == 1;
    for (index, (key, finding)) in keys.iter().zip(&file.findings).enumerate() {
        let group = groups.entry((file.kind.clone(), key.clone())).or_insert_with(|| Group {
            kind: file.kind.clone(),
            key: key.clone(),
            files: BTreeSet::new(),
            alone: 0,
            first: 0,
            findings: 0,
            example: (file.id(), finding.clone()),
        });
        let new = group.files.insert(file.id());
        group.alone += usize::from(new && alone);
        group.first += usize::from(index == 0);
        group.findings += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::golden::compare::differences;

    fn file(set: &str, expected: &[&Value], actual: &[&Value]) -> FileVerdict {
        let pairs = expected.iter().zip(actual);
        let findings = pairs.flat_map(|(one, other)| differences(one, other));
        FileVerdict {
            set: set.to_owned(),
            proxy: "p".to_owned(),
            kind: "cds".to_owned(),
            family: 1,
            unstable: false,
            reordered: false,
            findings: findings.map(|one| Finding::Differs("r".to_owned(), Box::new(one))).collect(),
        }
    }

    #[test]
    fn values_of_a_closed_vocabulary_stand_in_the_key_and_names_do_not() {
        let of = |one: Value, other: Value| {
            differences(&json!({"x": one}), &json!({"x": other})).iter().map(key).collect::<Vec<_>>()
        };
        assert_eq!(of(json!(1), json!(2)), ["changed x: 1 -> 2"]);
        assert_eq!(of(json!("10s"), json!("1.500s")), ["changed x: 10s -> 1.500s"]);
        assert_eq!(
            of(json!("ROUND_ROBIN"), json!("LEAST_REQUEST")),
            ["changed x: ROUND_ROBIN -> LEAST_REQUEST"]
        );
        assert_eq!(of(json!("reviews"), json!("ratings")), ["changed x"]);
    }

    #[test]
    fn the_group_of_most_files_comes_first_and_knows_what_it_blocks_alone() {
        let (good, bad) = (json!({"a": 1, "b": true}), json!({"a": 2, "b": true}));
        let worse = json!({"a": 2, "b": false});
        let board = Scoreboard {
            files: vec![
                file("one", &[&good], &[&bad]),
                file("two", &[&good, &good], &[&bad, &worse]),
                file("three", &[&good], &[&good]),
            ],
            ..Scoreboard::default()
        };
        let groups = groups(&board);
        let rows: Vec<_> =
            groups.iter().map(|g| (g.key.as_str(), g.files.len(), g.alone, g.first, g.findings)).collect();
        assert_eq!(rows, [("changed a: 1 -> 2", 2, 1, 2, 3), ("changed b: true -> false", 1, 0, 0, 1)]);
    }
}
