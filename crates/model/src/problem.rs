//! A user's mistake, as it is told to the user.

use std::fmt;

use crate::{Key, Kind, Text};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The object, or the part of it, does nothing.
    Error,
    /// It works, but hardly as meant.
    Warning,
}

impl Severity {
    /// The word for it in metrics and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is wrong with an object: one message with object, field and cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// The object.
    pub key: Key,
    /// How bad it is.
    pub severity: Severity,
    /// A stable code in kebab case, for metrics and for looking it up.
    pub code: &'static str,
    /// The path of the field, such as `spec.http[0].route[1].weight`; empty for the whole object.
    pub field: Text,
    /// The cause, in words for the person who has only the log.
    pub detail: Text,
    /// What becomes of the field or of the object, such as `it is left out`, if that is known.
    pub outcome: Option<Text>,
    /// The file, where it is not the one that the object is read from.
    pub file: Option<Text>,
    /// The line in that file where the field stands, from 1; 0 if it is not known.
    pub line: u32,
}

impl Problem {
    /// An error.
    pub fn error(key: &Key, code: &'static str, field: impl Into<Text>, detail: impl Into<Text>) -> Self {
        Self {
            key: key.clone(),
            severity: Severity::Error,
            code,
            field: field.into(),
            detail: detail.into(),
            outcome: None,
            file: None,
            line: 0,
        }
    }

    /// A warning.
    pub fn warning(key: &Key, code: &'static str, field: impl Into<Text>, detail: impl Into<Text>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(key, code, field, detail) }
    }

    /// The same, and what becomes of what is wrong.
    #[must_use]
    pub fn with_outcome(self, outcome: impl Into<Text>) -> Self {
        Self { outcome: Some(outcome.into()), ..self }
    }

    /// One line with its place: the file that its object is read from (or its own), and the line there.
    pub fn located(&self, file: &str, line: u32) -> String {
        let place = match &self.file {
            Some(file) => (&**file, self.line),
            None if self.line > 0 => (file, self.line),
            None => (file, line),
        };
        match place {
            ("", _) => self.to_string(),
            (file, 0) => format!("{file}: {self}"),
            (file, line) => format!("{file}:{line}: {self}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file is named by its place.
        if self.key.kind != Kind::File {
            write!(f, "{}: ", self.key)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.detail)?;
        if let Some(outcome) = &self.outcome {
            write!(f, "; {outcome}")?;
        }
        write!(f, " [{}]", self.code)
    }
}
