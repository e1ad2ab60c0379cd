//! `translate`: what a proxy would be served, printed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use pilothouse::offline::{Request, translate};
use serde_json::{Map, Value as Json, json};

/// Types that have resources.
const TYPES: [&str; 5] = ["cds", "eds", "lds", "rds", "nds"];

/// What to translate.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of YAML and JSON files, read recursively.
    #[arg(long = "configDir")]
    config_dir: PathBuf,
    /// The proxy's node in JSON.
    #[arg(long)]
    node: PathBuf,
    /// MeshConfig in YAML, over the built-in defaults.
    #[arg(long = "meshConfig")]
    mesh_config: Option<PathBuf>,
    /// Types to print: cds, eds, lds, rds, and nds for a proxy that captures DNS; all if none is named.
    #[arg(long, value_delimiter = ',')]
    types: Vec<String>,
    /// Names to ask for beside those that the proxy would, as TYPE=NAME.
    #[arg(long, value_delimiter = ',')]
    names: Vec<String>,
}

/// Prints the resources to standard output and problems to standard error.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let node = fs::read_to_string(&arguments.node)
        .with_context(|| format!("reading {}", arguments.node.display()))?;
    for kind in arguments.types.iter().filter(|kind| !TYPES.contains(&kind.as_str())) {
        eprintln!("--types {kind}: there is nothing of it; types are {}", TYPES.join(", "));
    }
    let mesh = arguments.mesh_config.as_deref().map(read).transpose()?;
    let (files, unreadable) = sources::read_folder(&arguments.config_dir)?;
    let request = Request {
        files,
        mesh,
        mesh_path: arguments.mesh_config.clone().unwrap_or_default(),
        env: pilothouse::settings::environment(),
        node: serde_json::from_str(&node).with_context(|| format!("{}", arguments.node.display()))?,
        types: arguments.types.clone(),
        names: names(&arguments.names)?,
    };
    let answer = translate(&request).map_err(|error| anyhow!("{}: {error}", arguments.node.display()))?;
    for problem in unreadable.iter().chain(&answer.problems) {
        eprintln!("{problem}");
    }
    let types = answer.resources.into_iter().map(|(kind, list)| {
        let list = list.into_iter().map(|(name, resource)| json!({"name": name, "resource": resource}));
        (kind, Json::Array(list.collect()))
    });
    print(&Json::Object(types.collect::<Map<_, _>>()))
}

/// Somebody who has read enough closes the pipe.
fn print(answer: &Json) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{answer}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("printing"),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn names(words: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in words {
        let (kind, name) =
            word.split_once('=').with_context(|| format!("--names {word}: write TYPE=NAME"))?;
        names.entry(kind.to_owned()).or_default().push(name.to_owned());
    }
    Ok(names)
}
