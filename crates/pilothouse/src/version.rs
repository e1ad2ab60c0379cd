//! `version`, in the shape that istioctl reads.

use anyhow::Result;
use clap::{Args, ValueEnum};

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
    match (arguments.output, arguments.short) {
        (Some(Output::Json), _) => println!("{}", serde_json::to_string_pretty(&json())?),
        (Some(Output::Yaml), _) => {
            println!("clientVersion:\n  version: {VERSION}\n  revision: unknown\n  status: Clean")
        }
        (None, true) => println!("{VERSION}"),
        (None, false) => println!("pilothouse {VERSION}"),
    }
    Ok(())
}

fn json() -> serde_json::Value {
    serde_json::json!({"clientVersion": {
        "version": VERSION, "revision": "unknown", "golang_version": "", "status": "Clean", "tag": VERSION}})
}
