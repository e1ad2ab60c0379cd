//! A scoreboard as text: scores by family and type, groups of failures, differences.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{
    compare::Kind,
    group::{Group, groups},
    judge::{FileVerdict, Finding, Scoreboard},
};

/// How much to print.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// Groups, at most.
    pub groups: usize,
    /// Differences of each failing file, at most; 0: the files are not listed.
    pub differences: usize,
}

/// The whole report: what to mend first stands first, the scores last, where a terminal leaves the eye.
pub fn text(board: &Scoreboard, detail: Detail) -> String {
    let mut text = String::new();
    if detail.differences > 0 {
        for file in board.counted().filter(|file| !file.passed()) {
            text.push_str(&file_text(file, detail.differences));
        }
    }
    text.push_str(&groups_text(&groups(board), detail.groups));
    text.push_str(&problems_text(board));
    text.push_str(&scores_text(board));
    text
}

/// One failing file with its first differences.
pub fn file_text(file: &FileVerdict, most: usize) -> String {
    let mut text = format!("{}: {} differences\n", file.id(), file.findings.len());
    for finding in file.findings.iter().take(most) {
        let _ = writeln!(text, "  {}", finding_text(finding));
    }
    if file.findings.len() > most {
        let _ = writeln!(text, "  … {} more", file.findings.len() - most);
    }
    text
}

/// One finding in one line: kind, resource, place, expected and actual value.
pub fn finding_text(finding: &Finding) -> String {
    match finding {
        Finding::Refused(message) => format!("refused: {message}"),
        Finding::Missing(name) => format!("missing resource {name}"),
        Finding::Extra(name) => format!("extra resource {name}"),
        Finding::Differs(name, difference) => {
            let (path, expected, actual) = (&difference.path, &difference.expected, &difference.actual);
            match difference.kind {
                Kind::Missing => format!("{name} {path}: missing {}", short(expected)),
                Kind::Extra => format!("{name} {path}: extra {}", short(actual)),
                Kind::Changed => {
                    format!("{name} {path}: expected {}, got {}", short(expected), short(actual))
                }
                Kind::Order => {
                    format!("{name} {path}: expected order {}, got {}", short(expected), short(actual))
                }
            }
        }
    }
}

/// A value in at most 160 characters.
fn short(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn groups_text(groups: &[Group], most: usize) -> String {
    if groups.is_empty() || most == 0 {
        return String::new();
    }
    let mut text =
        String::from("files  alone  first  type  difference (alone: files with nothing else wrong)\n");
    for group in groups.iter().take(most) {
        let counts = (group.files.len(), group.alone, group.first);
        let _ = writeln!(
            text,
            "{:>5}  {:>5}  {:>5}  {:<4}  {}",
            counts.0, counts.1, counts.2, group.kind, group.key
        );
        let _ = writeln!(text, "{:27}e.g. {}: {}", "", group.example.0, finding_text(&group.example.1));
    }
    if groups.len() > most {
        let _ = writeln!(text, "… {} more groups", groups.len() - most);
    }
    text.push('\n');
    text
}

fn problems_text(board: &Scoreboard) -> String {
    const MOST: usize = 10;
    let mut problems: Vec<_> = board.problems.iter().collect();
    problems.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut text = String::new();
    for (problem, count) in problems.iter().take(MOST) {
        let _ = writeln!(text, "problem reported {count} times: {problem}");
    }
    if problems.len() > MOST {
        let _ = writeln!(text, "… {} more problems", problems.len() - MOST);
    }
    text
}

/// Equal and counted files.
type Score = (usize, usize);

/// Scores by type and family, a row for each type, the sum last.
pub fn scores_text(board: &Scoreboard) -> String {
    let families: BTreeSet<u32> = board.counted().map(|file| file.family).collect();
    let mut text = format!("{:<6}", "type");
    families.iter().for_each(|family| text.push_str(&format!("{:>9}", format!("fam {family}"))));
    text.push_str("      all\n");
    for (kind, row) in scores(board) {
        let _ = write!(text, "{kind:<6}");
        for family in &families {
            let cell = row.get(family).map(|(passed, all)| format!("{passed}/{all}")).unwrap_or_default();
            let _ = write!(text, "{cell:>9}");
        }
        let (passed, all) = row.values().fold((0, 0), |sum: Score, one| (sum.0 + one.0, sum.1 + one.1));
        let _ = writeln!(text, "{:>9}  {:5.1} %", format!("{passed}/{all}"), percent(passed, all));
    }
    let reordered = board.counted().filter(|file| file.reordered).count();
    if reordered > 0 {
        let _ = writeln!(
            text,
            "{reordered} of the equal files have their resources in another order than istiod's"
        );
    }
    let _ = writeln!(text, "{:.1} s", board.elapsed.as_secs_f64());
    text
}

fn scores(board: &Scoreboard) -> BTreeMap<String, BTreeMap<u32, Score>> {
    let mut scores: BTreeMap<String, BTreeMap<u32, Score>> = BTreeMap::new();
    for file in board.counted() {
        for kind in [file.kind.as_str(), "~all"] {
            let score = scores.entry(kind.to_owned()).or_default().entry(file.family).or_default();
            score.0 += usize::from(file.passed());
            score.1 += 1;
        }
    }
    scores
}

/// Files equal in percent by type, over all families that were judged: what limits are set on.
pub fn percentages(board: &Scoreboard) -> BTreeMap<String, f64> {
    let sum =
        |row: BTreeMap<u32, Score>| row.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let of = |(kind, row): (String, BTreeMap<u32, Score>)| {
        let (passed, all) = sum(row);
        (kind, percent(passed, all))
    };
    scores(board).into_iter().filter(|(kind, _)| kind != "~all").map(of).collect()
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand files")]
fn percent(passed: usize, all: usize) -> f64 {
    if all == 0 { 100.0 } else { 100.0 * passed as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::golden::compare::differences;

    fn file(set: &str, kind: &str, family: u32, findings: Vec<Finding>) -> FileVerdict {
        FileVerdict {
            set: set.to_owned(),
            proxy: "p".to_owned(),
            kind: kind.to_owned(),
            family,
            unstable: set == "shaky",
            reordered: false,
            findings,
        }
    }

    fn board() -> Scoreboard {
        let difference = differences(&json!({"x": 1}), &json!({"x": 2})).remove(0);
        let differs = Finding::Differs("r".to_owned(), Box::new(difference));
        let files = vec![
            file("a", "cds", 1, vec![]),
            file("b", "cds", 2, vec![Finding::Missing("outbound|80||a.b".to_owned()), differs]),
            file("a", "eds", 1, vec![]),
            file("shaky", "eds", 1, vec![]),
        ];
        Scoreboard { files, ..Scoreboard::default() }
    }

    #[test]
    fn scores_count_whole_files_and_leave_unstable_ones_out() {
        let wanted = "type      fam 1    fam 2      all\n\
                      cds         1/1      0/1      1/2   50.0 %\n\
                      eds         1/1               1/1  100.0 %\n\
                      ~all        2/2      0/1      2/3   66.7 %\n\
                      0.0 s\n";
        assert_eq!(scores_text(&board()), wanted);
        assert_eq!(percentages(&board()), [("cds".to_owned(), 50.0), ("eds".to_owned(), 100.0)].into());
    }

    #[test]
    fn a_report_names_file_resource_place_and_values() {
        let text = text(&board(), Detail { groups: 1, differences: 1 });
        assert!(
            text.contains("b/p/cds: 2 differences\n  missing resource outbound|80||a.b\n  … 1 more\n"),
            "{text}"
        );
        assert!(text.contains("    1      0      1  cds   missing resource outbound|N||host\n"), "{text}");
        assert!(text.contains("… 1 more groups"), "{text}");
        assert_eq!(finding_text(&board().files[1].findings[1]), "r x: expected 1, got 2");
    }
}
