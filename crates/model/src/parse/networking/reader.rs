//! What all parsers share: the place in the object, the problems found, values of common form.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::IpAddr;
use std::time::Duration;

use istio_api::leniency;

use super::Outcome;
use crate::key::Meta;
use crate::networking::ExportTo;
use crate::{Host, Key, Labels, Problem, Text};

/// Walks through one object and gathers what is wrong with it.
pub(in crate::parse) struct Reader<'a> {
    key: Key,
    domain: &'a str,
    path: String,
    refused: bool,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(in crate::parse) fn new(meta: &Meta, domain: &'a str) -> Self {
        Self { path: "spec".to_owned(), domain, ..Self::of_whole(&meta.key) }
    }

    /// A reader of something that is no object with a spec, such as a file.
    pub(in crate::parse) fn of_whole(key: &Key) -> Self {
        Self { key: key.clone(), domain: "", path: String::new(), refused: false, problems: Vec::new() }
    }

    /// The value with its problems; no value if the object was refused.
    pub(in crate::parse) fn finish<T>(self, value: T) -> Outcome<T> {
        ((!self.refused).then_some(value), self.problems)
    }

    /// The object's namespace.
    pub(in crate::parse) fn namespace(&self) -> &Text {
        &self.key.namespace
    }

    /// Reads what stands one step further in.
    pub(in crate::parse) fn inside<T>(&mut self, step: impl Display, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        let dot = if length == 0 { "" } else { "." };
        // Writing to a string does not fail.
        let _ = write!(self.path, "{dot}{step}");
        let value = read(self);
        self.path.truncate(length);
        value
    }

    /// Reads what may stand one step further in.
    pub(in crate::parse) fn optional<A, T>(
        &mut self,
        step: &str,
        value: Option<&A>,
        read: impl FnOnce(&mut Self, &A) -> T,
    ) -> Option<T> {
        value.map(|value| self.inside(step, |reader| read(reader, value)))
    }

    /// Reads the elements of a list.
    pub(in crate::parse) fn each<A, T>(
        &mut self,
        field: &str,
        list: &[A],
        mut read: impl FnMut(&mut Self, &A) -> T,
    ) -> Vec<T> {
        let numbered = list.iter().enumerate();
        numbered
            .map(|(at, element)| self.inside(format_args!("{field}[{at}]"), |reader| read(reader, element)))
            .collect()
    }

    /// Something without which the object cannot be used.
    pub(in crate::parse) fn refuse(&mut self, field: &str, code: &'static str, detail: impl Into<Text>) {
        self.refused = true;
        self.leave_out(field, code, detail);
    }

    /// Something that is left out.
    pub(in crate::parse) fn leave_out(&mut self, field: &str, code: &'static str, detail: impl Into<Text>) {
        let problem = Problem::error(&self.key, code, self.place(field), detail);
        self.problems.push(problem);
    }

    /// Something of which `outcome` says what becomes, such as that it stays and fails visibly.
    pub(in crate::parse) fn fail(
        &mut self,
        field: &str,
        code: &'static str,
        (detail, outcome): (&str, &'static str),
    ) {
        let problem = Problem::error(&self.key, code, self.place(field), detail);
        self.problems.push(problem.with_outcome(outcome));
    }

    /// Something that works, but hardly as meant.
    pub(in crate::parse) fn warn(&mut self, field: &str, code: &'static str, detail: impl Into<Text>) {
        let problem = Problem::warning(&self.key, code, self.place(field), detail);
        self.problems.push(problem);
    }

    fn place(&self, field: &str) -> Text {
        match (self.path.as_str(), field) {
            (path, "") => path.into(),
            ("", field) => field.into(),
            (path, field) => format!("{path}.{field}").into(),
        }
    }

    /// A host whose short name the object's namespace completes.
    pub(in crate::parse) fn host(&self, name: &str) -> Host {
        if name.parse::<IpAddr>().is_ok() {
            return Host::new(name);
        }
        Host::resolve(name, self.namespace(), self.domain)
    }

    /// A port, 0 if nothing was said.
    pub(in crate::parse) fn port(&mut self, field: &str, number: u32) -> u16 {
        u16::try_from(number).unwrap_or_else(|_| {
            self.refuse(field, "port-out-of-range", format!("port {number} is not in the range 1 to 65535"));
            0
        })
    }

    /// A port that must be there.
    pub(in crate::parse) fn required_port(&mut self, field: &str, number: u32) -> u16 {
        if number == 0 {
            self.refuse(field, "port-missing", "a port from 1 to 65535 is due");
        }
        self.port(field, number)
    }

    /// A duration that is not negative.
    pub(in crate::parse) fn duration(
        &mut self,
        field: &str,
        written: Option<leniency::Duration>,
    ) -> Option<Duration> {
        let written = written?;
        let duration = written.to_std();
        if duration.is_none() {
            self.refuse(field, "duration-negative", format!("{written} is negative"));
        }
        duration
    }

    /// A duration that proxies accept only if it is longer than nothing; zero is left out.
    pub(in crate::parse) fn positive_duration(
        &mut self,
        field: &str,
        written: Option<leniency::Duration>,
    ) -> Option<Duration> {
        let duration = self.duration(field, written)?;
        if duration.is_zero() {
            self.leave_out(field, "duration-zero", "a duration of zero is not possible here");
            return None;
        }
        Some(duration)
    }

    /// A number of which zero and less mean "not said".
    pub(in crate::parse) fn limit(&mut self, field: &str, number: i32) -> Option<u32> {
        if number < 0 {
            self.refuse(field, "number-negative", format!("{number} is negative"));
        }
        u32::try_from(number).ok().filter(|number| *number > 0)
    }

    /// A share of weights.
    pub(in crate::parse) fn weight(&mut self, number: i32) -> u32 {
        u32::try_from(number).unwrap_or_else(|_| {
            self.refuse("weight", "weight-negative", format!("weight {number} is negative"));
            0
        })
    }

    /// Destinations of which at least one must have a weight, if there are several.
    pub(in crate::parse) fn weights(&mut self, field: &str, weights: impl Iterator<Item = u32>) {
        let weights: Vec<_> = weights.collect();
        if weights.len() > 1 && weights.iter().all(|weight| *weight == 0) {
            self.refuse(field, "weights-zero", "no destination has a weight");
        }
    }

    /// A regular expression of which proxies can make something.
    pub(in crate::parse) fn regex(&mut self, field: &str, pattern: &str) -> Text {
        if let Err(error) = regex::Regex::new(pattern) {
            // The long form of the error draws an arrow over several lines; its last line is the cause.
            let text = error.to_string();
            let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.refuse(field, "regex-invalid", format!("{pattern:?} is not a regular expression: {cause}"));
        }
        pattern.into()
    }

    /// Who may see the object: `*` wins, then `~`; `.` is the object's namespace.
    pub(in crate::parse) fn export_to(&self, list: &[String]) -> ExportTo {
        let has = |word: &str| list.iter().any(|one| one == word);
        if list.is_empty() {
            return ExportTo::Unset;
        }
        if has("*") {
            return ExportTo::Public;
        }
        if has("~") {
            return ExportTo::Namespaces(Vec::new());
        }
        let namespaces = list.iter().map(|one| if one == "." { self.namespace().clone() } else { text(one) });
        let mut namespaces: Vec<_> = namespaces.collect();
        namespaces.sort();
        namespaces.dedup();
        ExportTo::Namespaces(namespaces)
    }
}

/// Shared text.
pub(in crate::parse) fn text(written: &str) -> Text {
    written.into()
}

/// A list of shared text.
pub(in crate::parse) fn texts(written: &[String]) -> Vec<Text> {
    written.iter().map(|one| text(one)).collect()
}

/// Labels.
pub(in crate::parse) fn labels(written: &BTreeMap<String, String>) -> Labels {
    written.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Pairs in the order of their names.
pub(in crate::parse) fn pairs(written: &BTreeMap<String, String>) -> Vec<(Text, Text)> {
    written.iter().map(|(key, value)| (text(key), text(value))).collect()
}
