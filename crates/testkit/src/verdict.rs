//! Verdicts against the list of expected failures, which only shrinks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::corpus::Error;

/// The verdict on one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The case, unique in its family.
    pub id: String,
    /// Why it failed, in one line; `None`: it passed.
    pub failure: Option<String>,
}

/// The failures that a family is known to have: one a line, an id, then the reason.
///
/// Empty lines and lines that begin with `#` are comments. An id without a reason, or one listed twice, is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, String>);

impl Expected {
    /// Parses the text of a list.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut entries = BTreeMap::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let error = |message: &str| Error::List { line: index + 1, message: message.to_owned() };
            let (id, reason) =
                line.split_once(char::is_whitespace).ok_or_else(|| error("no reason given"))?;
            if entries.insert(id.to_owned(), reason.trim().to_owned()).is_some() {
                return Err(error("listed twice"));
            }
        }
        Ok(Self(entries))
    }

    /// Number of failures listed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no failure is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Verdicts after they met the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Cases that passed, listed or not.
    pub passed: usize,
    /// Failures that were listed.
    pub expected: usize,
    /// Failures that were not listed: errors.
    pub unexpected: Vec<Verdict>,
    /// Listed failures that passed: errors, for the line must go.
    pub mended: Vec<String>,
    /// Listed ids that name no case: errors. Empty unless the whole family was judged.
    pub unknown: Vec<String>,
    /// Cases that were not judged (out of scope, or known to differ between runs of istiod).
    pub left_out: usize,
}

impl Judgement {
    /// Joins verdicts with the list. `whole`: no filter was set, so that every listed id must have been judged.
    pub fn new(verdicts: &[Verdict], expected: &Expected, left_out: usize, whole: bool) -> Self {
        let mut judgement = Self { left_out, ..Self::default() };
        for verdict in verdicts {
            match (&verdict.failure, expected.0.contains_key(&verdict.id)) {
                (None, listed) => {
                    judgement.passed += 1;
                    judgement.mended.extend(listed.then(|| verdict.id.clone()));
                }
                (Some(_), true) => judgement.expected += 1,
                (Some(_), false) => judgement.unexpected.push(verdict.clone()),
            }
        }
        if whole {
            let judged: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.id.as_str()).collect();
            let unknown = expected.0.keys().filter(|id| !judged.contains(id.as_str()));
            judgement.unknown = unknown.cloned().collect();
        }
        judgement
    }

    /// Whether verdicts and list agree.
    pub fn holds(&self) -> bool {
        self.unexpected.is_empty() && self.mended.is_empty() && self.unknown.is_empty()
    }

    /// What does not agree, a line each (at most `most` of each kind), then the closing line with the counts.
    pub fn text(&self, family: &str, most: usize) -> String {
        let mut text = String::new();
        let lines = |text: &mut String, head: &str, lines: Vec<String>| {
            for line in lines.iter().take(most) {
                let _ = writeln!(text, "{head} {line}");
            }
            if lines.len() > most {
                let _ = writeln!(text, "… {} more", lines.len() - most);
            }
        };
        let failed = self.unexpected.iter();
        let failed =
            failed.map(|verdict| format!("{}: {}", verdict.id, verdict.failure.as_deref().unwrap_or("")));
        lines(&mut text, "FAILED", failed.collect());
        lines(&mut text, "PASSES NOW (remove it from the list)", self.mended.clone());
        lines(&mut text, "NO SUCH CASE (remove it from the list)", self.unknown.clone());
        let _ = writeln!(text, "{}", self.closing_line(family));
        text
    }

    /// The counts in one line.
    pub fn closing_line(&self, family: &str) -> String {
        let judged = self.passed + self.expected + self.unexpected.len();
        format!(
            "{family}: {} of {judged} passed, {} expected failures, {} unexpected failures, {} pass unexpectedly, \
             {} listed without a case, {} left out",
            self.passed,
            self.expected,
            self.unexpected.len(),
            self.mended.len(),
            self.unknown.len(),
            self.left_out,
        )
    }
}

/// The text of a list that expects exactly the failures among these verdicts, with their reasons.
pub fn list(family: &str, verdicts: &[Verdict]) -> String {
    let mut text = format!("# {family}: one id a line, then the reason. This list only shrinks.\n");
    let mut lines: Vec<_> =
        verdicts.iter().filter_map(|one| Some((&one.id, one.failure.as_ref()?))).collect();
    lines.sort();
    for (id, reason) in lines {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "{id} {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(id: &str) -> Verdict {
        Verdict { id: id.to_owned(), failure: None }
    }

    fn failed(id: &str) -> Verdict {
        Verdict { id: id.to_owned(), failure: Some("differs".to_owned()) }
    }

    fn judge(verdicts: &[Verdict], list: &str, whole: bool) -> Judgement {
        Judgement::new(verdicts, &Expected::parse(list).expect("a list"), 0, whole)
    }

    #[test]
    fn listed_failures_are_fine_and_unlisted_ones_are_not() {
        assert!(judge(&[passed("a"), failed("b")], "# later\n\nb not yet\n", true).holds());
        let judgement = judge(&[passed("a"), failed("b")], "", true);
        assert_eq!(judgement.unexpected, [failed("b")]);
        assert!(!judgement.holds());
    }

    #[test]
    fn a_listed_failure_that_passes_is_an_error() {
        let judgement = judge(&[passed("a")], "a not yet", true);
        assert_eq!(judgement.mended, ["a"]);
        assert!(!judgement.holds());
    }

    #[test]
    fn a_listed_id_without_a_case_is_an_error_of_the_whole_run_only() {
        assert_eq!(judge(&[passed("a")], "gone not yet", true).unknown, ["gone"]);
        assert!(judge(&[passed("a")], "gone not yet", false).holds());
    }

    #[test]
    fn a_line_needs_a_reason_and_comes_once() {
        assert!(Expected::parse("a").is_err());
        assert!(Expected::parse("a one\na two").is_err());
    }

    #[test]
    fn the_closing_line_counts() {
        let judgement = judge(&[passed("a"), failed("b"), failed("c")], "b not yet", true);
        let line = "f: 1 of 3 passed, 1 expected failures, 1 unexpected failures, 0 pass unexpectedly, \
                    0 listed without a case, 0 left out";
        assert_eq!(judgement.closing_line("f"), line);
        assert_eq!(judgement.text("f", 5), format!("FAILED c: differs\n{line}\n"));
    }

    #[test]
    fn a_written_list_expects_what_failed() {
        let verdicts = [failed("b"), passed("a")];
        assert!(judge(&verdicts, &list("f", &verdicts), true).holds());
    }
}
