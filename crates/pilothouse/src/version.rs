//! `version`, in the shape that istioctl reads.

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::output;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How to print the version.
#[derive(Args)]
pub(crate) struct Arguments {
    /// In which form.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Only the number.
    #[arg(short, long)]
    short: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Yaml,
}

/// Prints the version.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    output::print(&match (arguments.output, arguments.short) {
        (Some(Output::Json), _) => serde_json::to_string_pretty(&json())?,
        (Some(Output::Yaml), _) => {
            format!("clientVersion:\n  version: {VERSION}\n  revision: unknown\n  status: Clean")
        }
        (None, true) => VERSION.to_owned(),
        (None, false) => format!("pilothouse {VERSION}"),
    })
}

fn json() -> serde_json::Value {
    serde_json::json!({"clientVersion": {
        "version": VERSION, "revision": "unknown", "golang_version": "", "status": "Clean", "tag": VERSION}})
}
