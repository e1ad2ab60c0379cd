//! Log lines: which of them are written, and how they look (istiod-surface 10.7).

mod line;
mod scopes;

use std::str::FromStr;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub(crate) use scopes::Scopes;

/// Which lines, as istiod's `--log_output_level` says it: `scope:level` with commas between.
///
/// What is said of `default` holds for every scope that is not named; `all` is another word for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels(Vec<(String, &'static str)>);

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (scope, level) = part.split_once(':').unwrap_or(("default", part));
            match admin::LEVELS.into_iter().find(|known| *known == level) {
                Some(level) => Ok((scope.to_owned(), level)),
                None => Err(format!("no level '{level}'; levels are {}", admin::LEVELS.join(", "))),
            }
        };
        text.split(',').filter(|part| !part.is_empty()).map(part).collect::<Result<_, _>>().map(Self)
    }
}

/// Starts logging to standard error.
pub(crate) fn start(levels: &Levels, as_json: bool) {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // Words that nobody takes are no reason to end; without this they are one.
        .log_internal_errors(false)
        .event_format(line::Line { as_json });
    // An error means that logging has been started before, as in tests.
    let _ = tracing_subscriber::registry().with(scopes::filter(levels)).with(lines).try_init();
    for (scope, _) in levels.0.iter().filter(|(scope, _)| !scopes::is_known(scope)) {
        tracing::warn!("--log_output_level: no scope '{scope}'; it is left out");
    }
}
