//! What goes wrong, told to whoever can mend it.

/// Why there is no answer but no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The injection configuration cannot be read.
    #[error("injection configuration: {0}")]
    Config(String),
    /// The values cannot be read.
    #[error("injection values: {0}")]
    Values(String),
    /// A template cannot be parsed.
    #[error("template {name:?} cannot be parsed: {reason}")]
    Unparsable {
        /// The template.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// A template failed on this pod.
    #[error("failed to run injection template {name:?}: {reason}")]
    Template {
        /// The template.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// What a template gave is no YAML.
    #[error("injection template {name:?} gave no YAML (check the injector's configuration): {reason}")]
    Rendered {
        /// The template.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// A template is asked for that is not there.
    #[error("requested template {name:?} not found; have {known}")]
    UnknownTemplate {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A list cannot be merged.
    #[error("strategic merge: an item of {list} has no {key}, by which the list is merged")]
    NoKey {
        /// The list.
        list: String,
        /// What each of its items must have.
        key: &'static str,
    },
    /// A merge directive is unknown.
    #[error("strategic merge: {field}: $patch cannot be {directive:?}")]
    Directive {
        /// Where it stands.
        field: String,
        /// What it says.
        directive: String,
    },
    /// Annotations that cannot be followed.
    #[error("{}", .0.join("; "))]
    Annotations(Vec<String>),
    /// What the pod's own annotation says of its proxy cannot be read.
    #[error("annotation {0}: {1}")]
    Annotation(&'static str, String),
    /// Metrics cannot be merged.
    #[error("invalid prometheus scrape {0}")]
    Scrape(String),
    /// The pod is none, before or after injection.
    #[error("{0}")]
    Pod(String),
}
