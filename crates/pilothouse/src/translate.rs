//! `translate`: what a proxy would be served, printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use pilothouse::offline::{Request, translate};
use serde_json::{Map, Value as Json, json};

use crate::output;

/// Types that have resources.
const TYPES: [&str; 5] = ["cds", "eds", "lds", "rds", "nds"];

/// What to translate.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of YAML and JSON files, read recursively.
    #[arg(long = "configDir")]
    config_dir: PathBuf,
    /// The proxy's node in JSON, or a bootstrap that has it.
    #[arg(long)]
    node: PathBuf,
    /// MeshConfig in YAML, over the built-in defaults.
    #[arg(long = "meshConfig")]
    mesh_config: Option<PathBuf>,
    /// Types to print: cds, eds, lds, rds, and nds for a proxy that captures DNS; all if none is named.
    #[arg(long, value_delimiter = ',', value_parser = kind)]
    types: Vec<String>,
    /// Names to ask for beside those that the proxy would, as TYPE=NAME.
    #[arg(long, value_delimiter = ',', value_parser = name)]
    names: Vec<(String, String)>,
    /// End with status 1 if anything is told on standard error, be it an error or a warning.
    #[arg(long)]
    strict: bool,
    /// Print for people: on many lines.
    #[arg(long)]
    pretty: bool,
}

fn kind(text: &str) -> Result<String, String> {
    let kind = text.to_ascii_lowercase();
    match TYPES.contains(&kind.as_str()) {
        true => Ok(kind),
        false => Err(format!("no type '{text}'; types are {}", TYPES.join(", "))),
    }
}

fn name(text: &str) -> Result<(String, String), String> {
    let (of, name) = text.split_once('=').ok_or("write TYPE=NAME")?;
    Ok((kind(of)?, name.to_owned()))
}

/// Prints the resources to standard output and problems to standard error.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let node = fs::read_to_string(&arguments.node)
        .with_context(|| format!("reading {}", arguments.node.display()))?;
    let mesh = arguments.mesh_config.as_deref().map(read).transpose()?;
    let (files, unreadable) = sources::read_folder(&arguments.config_dir)?;
    let request = Request {
        files,
        unreadable,
        mesh,
        mesh_path: arguments.mesh_config.clone().unwrap_or_default(),
        env: pilothouse::settings::environment(),
        node: within(serde_json::from_str(&node).with_context(|| format!("{}", arguments.node.display()))?),
        types: arguments.types.clone(),
        names: names(&arguments.names),
    };
    let answer = translate(&request).map_err(|error| anyhow!("{}: {error}", arguments.node.display()))?;
    for problem in &answer.problems {
        output::tell(problem);
    }
    let types = answer.resources.into_iter().map(|(kind, list)| {
        let list = list.into_iter().map(|(name, resource)| json!({"name": name, "resource": resource}));
        (kind, Json::Array(list.collect()))
    });
    let shown = Json::Object(types.collect::<Map<_, _>>());
    output::print(&if arguments.pretty { format!("{shown:#}") } else { shown.to_string() })?;
    if arguments.strict && !answer.problems.is_empty() {
        let warnings = answer.problems.len() - answer.errors;
        bail!("the configuration is not faultless: errors {}, warnings {warnings}", answer.errors);
    }
    Ok(())
}

/// The node, also of a bootstrap as Envoy reads it.
fn within(mut given: Json) -> Json {
    match given.get_mut("node") {
        Some(node) if node.is_object() => node.take(),
        _ => given,
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn names(given: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, name) in given {
        names.entry(kind.clone()).or_default().push(name.clone());
    }
    names
}
