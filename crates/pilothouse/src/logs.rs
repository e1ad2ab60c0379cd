//! Log lines: where they go and which of them.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// istiod's scopes (istiod-surface 10.7); those without a counterpart here are taken and do nothing.
const SCOPES: &str = "ads delta adsc model push authn authorization ca serverca pkica pkira rootcertrotator spiffe \
     security validation validationServer validationController kube controllers gateway gatewaycommon grpcgen \
     ip-autoallocate krt monitoring processing analysis retry sds secretcontroller serviceentry status tag-watcher \
     trustBundle untaint util wle default all grpc";
const LEVELS: [&str; 6] = ["debug", "info", "warn", "error", "fatal", "none"];

/// Which lines, as istiod's `--log_output_level` says it: `scope:level` with commas between; `default` is everything.
#[derive(Clone, Debug)]
pub(crate) struct Levels(Vec<(String, String)>);

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (scope, level) = part.split_once(':').unwrap_or(("default", part));
            match LEVELS.contains(&level) {
                true => Ok((scope.to_owned(), level.to_owned())),
                false => Err(format!("no level '{level}'; levels are {}", LEVELS.join(", "))),
            }
        };
        text.split(',').filter(|part| !part.is_empty()).map(part).collect::<Result<_, _>>().map(Self)
    }
}

/// Starts logging to standard error.
pub(crate) fn start(levels: &Levels, as_json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // Words that nobody takes are no reason to end; without this they are one.
        .log_internal_errors(false)
        .with_env_filter(filter(levels));
    // An error means that logging has been started before, as in tests.
    let _ = match as_json {
        true => lines.json().try_init(),
        false => lines.with_target(false).with_timer(tracing_subscriber::fmt::time::SystemTime).try_init(),
    };
    for (scope, _) in levels.0.iter().filter(|(scope, _)| !SCOPES.split(' ').any(|known| known == scope)) {
        tracing::warn!("--log_output_level: no scope '{scope}'; it is left out");
    }
}

fn filter(levels: &Levels) -> EnvFilter {
    // The libraries that watch folders and clusters tell of each failure; so do we, once and in words.
    let quiet = ["notify=error", "kube_client=off", "kube_runtime=off", "tower=warn"];
    let mut filter = quiet.iter().filter_map(|quiet| quiet.parse().ok()).fold(EnvFilter::new("info"), EnvFilter::add_directive);
    for (scope, level) in &levels.0 {
        let level = match level.as_str() {
            "none" => "off",
            "fatal" => "error",
            other => other,
        };
        let directive = match scope.as_str() {
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
