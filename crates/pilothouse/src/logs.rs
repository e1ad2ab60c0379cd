//! Log lines: where they go and which of them.

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error.
///
/// `levels` is istiod's `--log_output_level`, `scope:level` with commas between; `default` is everything.
/// Scopes of istiod that have no counterpart here are left out.
pub(crate) fn start(levels: &str, as_json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_env_filter(filter(levels));
    // An error means that logging has been started before, as in tests.
    let _ = match as_json {
        true => lines.json().try_init(),
        false => lines.with_target(false).with_timer(tracing_subscriber::fmt::time::SystemTime).try_init(),
    };
}

fn filter(levels: &str) -> EnvFilter {
    let mut filter = EnvFilter::new("info");
    for part in levels.split(',').filter(|part| !part.is_empty()) {
        let (scope, level) = part.split_once(':').unwrap_or(("default", part));
        let level = match level {
            "none" => "off",
            "fatal" => "error",
            other => other,
        };
        let directive = match scope {
            "default" | "all" => level.parse(),
            "ads" | "delta" => format!("xds={level}").parse(),
            _ => continue,
        };
        if let Ok(directive) = directive {
            filter = filter.add_directive(directive);
        }
    }
    filter
}
