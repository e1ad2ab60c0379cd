//! `inject`: the proxy put into files, as `istioctl kube-inject` does it, without a cluster.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use webhook::{Configuration, Injector, Mesh, NativeSidecars, Settings, Surroundings, Values, offline};

use crate::output;

/// Standard input or output.
const STANDARD: &str = "-";

/// What to inject, and with what.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file of YAML documents to inject into; `-` is standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    filename: PathBuf,
    /// The injection configuration: what the injector's ConfigMap has under `config`.
    #[arg(long = "injectConfigFile", value_name = "FILE")]
    inject_config: PathBuf,
    /// The values: what the injector's ConfigMap has under `values`.
    #[arg(long = "valuesFile", value_name = "FILE")]
    values: PathBuf,
    /// MeshConfig in YAML, over the built-in defaults.
    #[arg(long = "meshConfigFile", value_name = "FILE")]
    mesh_config: Option<PathBuf>,
    /// The revision that pods are to belong to.
    #[arg(long, default_value = "")]
    revision: String,
    /// Where to write; standard output if not given.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the injected documents, and tells on standard error what was left as it was.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let injector = injector(arguments)?;
    let input = read(&arguments.filename)?;
    let injected = offline::inject_text(&injector, &input)
        .with_context(|| format!("injecting into {}", arguments.filename.display()))?;
    for warning in &injected.warnings {
        output::tell(warning);
    }
    match arguments.output.as_deref() {
        Some(path) if path != Path::new(STANDARD) => {
            fs::write(path, &injected.text).with_context(|| format!("writing {}", path.display()))
        }
        _ => output::print_whole(&injected.text),
    }
}

fn injector(arguments: &Arguments) -> Result<Injector> {
    let environment = pilothouse::settings::environment();
    let variable = |name: &str| environment.get(name).map_or("", String::as_str);
    let told = |path: &Path| format!("{}", path.display());
    let configuration = Configuration::parse(&read(&arguments.inject_config)?)
        .with_context(|| told(&arguments.inject_config))?;
    let values = Values::parse(&read(&arguments.values)?).with_context(|| told(&arguments.values))?;
    let mesh = match arguments.mesh_config.as_deref() {
        Some(path) => Mesh::parse([read(path)?.as_str()]).with_context(|| told(path))?,
        None => Mesh::parse([])?,
    };
    // Nobody knows the nodes here; what is not asked for is not assumed.
    let native_sidecars = match NativeSidecars::parse(variable("ENABLE_NATIVE_SIDECARS")) {
        NativeSidecars::On => NativeSidecars::On,
        NativeSidecars::Auto | NativeSidecars::Off => NativeSidecars::Off,
    };
    let settings = Settings {
        revision: arguments.revision.clone(),
        native_sidecars,
        openshift: false,
        compliance_policy: variable("COMPLIANCE_POLICY").to_owned(),
    };
    Ok(Injector {
        configuration: Arc::new(configuration.offline()),
        values: Arc::new(values),
        mesh: Arc::new(mesh),
        around: Arc::new(Surroundings::default()),
        settings: Arc::new(settings),
        environment: Arc::new(environment),
    })
}

fn read(path: &Path) -> Result<String> {
    if path != Path::new(STANDARD) {
        return fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("reading standard input")?;
    if text.trim().is_empty() {
        bail!("standard input is empty; -f - reads documents from it");
    }
    Ok(text)
}
