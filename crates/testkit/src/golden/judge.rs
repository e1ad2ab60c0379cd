//! Every recorded file judged: the same names, and under each name an equal resource.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    case::{self, Filter, Proxy, Recorded, Set},
    compare::{self, Difference},
    path::erased_name,
};
use crate::{
    corpus::Error,
    offline::{self, Answer, Translate},
    verdict::Verdict,
};

/// Findings kept of one file; a file with more is as wrong as one with these.
const MOST_FINDINGS: usize = 400;

/// Something wrong with one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// The product refused the proxy, or panicked.
    Refused(String),
    /// A recorded resource is not in the answer.
    Missing(String),
    /// The answer has a resource that was not recorded.
    Extra(String),
    /// A resource differs at one place.
    Differs(String, Box<Difference>),
}

impl Finding {
    /// What findings of one cause have in common: kind and place, names and indexes erased.
    pub fn key(&self) -> String {
        match self {
            Self::Refused(message) => format!("refused: {}", message.chars().take(120).collect::<String>()),
            Self::Missing(name) => format!("missing resource {}", erased_name(name)),
            Self::Extra(name) => format!("extra resource {}", erased_name(name)),
            Self::Differs(_, difference) => super::group::key(difference),
        }
    }
}

/// The verdict on one recorded file.
#[derive(Clone, Debug)]
pub struct FileVerdict {
    /// Set, proxy and type: the file is `cases/<set>/expected/<proxy>/<type>.json`.
    pub set: String,
    /// Name of the proxy.
    pub proxy: String,
    /// Type of the resources.
    pub kind: String,
    /// Number of the family.
    pub family: u32,
    /// The file is named in `unstable`; it counts neither way.
    pub unstable: bool,
    /// All resources are equal, but sent in another order than istiod's.
    pub reordered: bool,
    /// What is wrong. None: the file is equal.
    pub findings: Vec<Finding>,
}

impl FileVerdict {
    /// `set/proxy/type`, the id in the list of expected failures.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.set, self.proxy, self.kind)
    }

    /// Whether the whole file is equal.
    pub fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The verdicts on all files that were wanted.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    /// By set, proxy and type.
    pub files: Vec<FileVerdict>,
    /// Problems that the product reported, with the number of requests that met each.
    pub problems: BTreeMap<String, usize>,
    /// Time for everything, reading of the corpus included.
    pub elapsed: Duration,
}

impl Scoreboard {
    /// The files that count.
    pub fn counted(&self) -> impl Iterator<Item = &FileVerdict> {
        self.files.iter().filter(|file| !file.unstable)
    }

    /// Files that were left out as unstable.
    pub fn left_out(&self) -> usize {
        self.files.len() - self.counted().count()
    }

    /// For the list of expected failures: the reason is the first difference.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let verdict =
            |file: &FileVerdict| Verdict { id: file.id(), failure: file.findings.first().map(Finding::key) };
        self.counted().map(verdict).collect()
    }
}

/// Asks the product for every proxy of every set that the filter lets through, and compares.
pub fn judge(root: &Path, filter: &Filter, translate: &Translate<'_>) -> Result<Scoreboard, Error> {
    let start = Instant::now();
    let queue: Mutex<VecDeque<Set>> = Mutex::new(case::sets(root, filter)?.into());
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
    let work = || -> Result<Scoreboard, Error> {
        let mut board = Scoreboard::default();
        while let Some(set) = next() {
            for proxy in &set.proxies {
                judge_proxy(&set, proxy, filter, translate, &mut board)?;
            }
        }
        Ok(board)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let boards = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Result<Vec<_>, _>>()
    })?;
    let mut all = Scoreboard::default();
    for board in boards {
        all.files.extend(board.files);
        board
            .problems
            .into_iter()
            .for_each(|(problem, count)| *all.problems.entry(problem).or_default() += count);
    }
    all.files.sort_by_key(FileVerdict::id);
    all.elapsed = start.elapsed();
    Ok(all)
}

fn judge_proxy(
    set: &Set,
    proxy: &Proxy,
    filter: &Filter,
    translate: &Translate<'_>,
    board: &mut Scoreboard,
) -> Result<(), Error> {
    let request = set.request(proxy, filter)?;
    if request.types.is_empty() {
        return Ok(());
    }
    let answer = offline::ask(translate, &request);
    for problem in answer.iter().flat_map(|answer| &answer.problems) {
        *board.problems.entry(problem.clone()).or_default() += 1;
    }
    for kind in &request.types {
        let mut verdict = FileVerdict {
            set: set.name.clone(),
            proxy: proxy.name.clone(),
            kind: kind.clone(),
            family: set.family,
            unstable: set.is_unstable(&proxy.name, kind),
            reordered: false,
            findings: Vec::new(),
        };
        if !verdict.unstable {
            (verdict.findings, verdict.reordered) =
                judge_file(&set.recorded(&proxy.name, kind)?, &answer, kind);
        }
        board.files.push(verdict);
    }
    Ok(())
}

fn judge_file(recorded: &[Recorded], answer: &Result<Answer, String>, kind: &str) -> (Vec<Finding>, bool) {
    match answer {
        Err(message) => (vec![Finding::Refused(message.clone())], false),
        Ok(answer) => {
            let findings = findings(recorded, answer.of(kind));
            let names =
                || recorded.iter().map(|one| &one.name).zip(answer.of(kind).iter().map(|(name, _)| name));
            (findings.clone(), findings.is_empty() && names().any(|(one, other)| one != other))
        }
    }
}

/// Compares a recorded file with an answer: names first, then each resource under its name.
///
/// A name that occurs twice is two resources, paired in turn.
pub fn findings(recorded: &[Recorded], answer: &[(String, Value)]) -> Vec<Finding> {
    let mut ours: BTreeMap<&str, VecDeque<&Value>> = BTreeMap::new();
    answer.iter().for_each(|(name, value)| ours.entry(name).or_default().push_back(value));
    let mut found = Vec::new();
    let mut differing = Vec::new();
    for one in recorded {
        match ours.get_mut(one.name.as_str()).and_then(VecDeque::pop_front) {
            None => found.push(Finding::Missing(one.name.clone())),
            Some(actual) => {
                let differences = compare::differences(&one.resource, actual);
                differing.extend(
                    differences
                        .into_iter()
                        .map(|one_difference| Finding::Differs(one.name.clone(), Box::new(one_difference))),
                );
            }
        }
    }
    let extra = ours.iter().flat_map(|(name, rest)| rest.iter().map(|_| Finding::Extra((*name).to_owned())));
    found.extend(extra);
    found.extend(differing);
    found.truncate(MOST_FINDINGS);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded(names: &[&str]) -> Vec<Recorded> {
        names
            .iter()
            .map(|name| Recorded { name: (*name).to_owned(), resource: json!({"name": name}) })
            .collect()
    }

    fn answer(names: &[&str]) -> Vec<(String, Value)> {
        names.iter().map(|name| ((*name).to_owned(), json!({"name": name}))).collect()
    }

    #[test]
    fn names_are_compared_as_a_multiset() {
        assert_eq!(findings(&recorded(&["a", "b"]), &answer(&["b", "a"])), []);
        assert_eq!(findings(&recorded(&["a", "b"]), &answer(&["b"])), [Finding::Missing("a".to_owned())]);
        assert_eq!(findings(&recorded(&["a"]), &answer(&["a", "a"])), [Finding::Extra("a".to_owned())]);
        assert_eq!(findings(&recorded(&["a", "a"]), &answer(&["a"])), [Finding::Missing("a".to_owned())]);
    }

    #[test]
    fn another_order_of_resources_is_noted_and_no_failure() {
        let ours = |names| {
            Ok(Answer { resources: [("cds".to_owned(), answer(names))].into(), problems: Vec::new() })
        };
        assert_eq!(judge_file(&recorded(&["a", "b"]), &ours(&["b", "a"]), "cds"), (Vec::new(), true));
        assert_eq!(judge_file(&recorded(&["a", "b"]), &ours(&["a", "b"]), "cds"), (Vec::new(), false));
    }

    #[test]
    fn a_difference_names_its_resource() {
        let ours = [("a".to_owned(), json!({"name": "z"}))];
        let found = findings(&recorded(&["a"]), &ours);
        assert_eq!(found.iter().map(Finding::key).collect::<Vec<_>>(), ["changed name"]);
    }

    #[test]
    fn an_absent_type_is_an_empty_answer() {
        let nothing = Ok(Answer::default());
        assert_eq!(judge_file(&recorded(&["a"]), &nothing, "cds").0, [Finding::Missing("a".to_owned())]);
        assert_eq!(judge_file(&[], &nothing, "cds").0, []);
    }
}
