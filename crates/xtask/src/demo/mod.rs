//! `make demo`: Bookinfo behind real Envoys, configured by Pilothouse from a folder, and a story told with it.
//!
//! ```text
//!   examples/bookinfo --copy--> target/demo/N/ --read by--> pilothouse discovery
//!                                  ^                            | xDS
//!                    story: saves files                         v
//!                    and measures traffic --> gateway Envoy --> six sidecar Envoys, each with its application
//! ```

mod mesh;
mod place;
mod story;
mod voice;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{repo, tools};
use mesh::Mesh;
use place::Place;
use voice::Voice;

/// How the demo runs.
#[derive(Args)]
pub(crate) struct DemoArguments {
    /// Run unattended: end after the story, with a failure if anything in it was not as it should be.
    #[arg(long, env = "ONCE", value_parser = clap::builder::FalseyValueParser::new())]
    once: bool,
    /// A Pilothouse that is built already; otherwise it is built first, in the profile of this program.
    #[arg(long, value_name = "PROGRAM")]
    pilothouse: Option<PathBuf>,
}

/// Runs the demo unattended with a program that is built already, as a test of all that takes part in it.
pub(crate) fn once(pilothouse: PathBuf) -> Result<()> {
    run(&DemoArguments { once: true, pilothouse: Some(pilothouse) })
}

/// Runs the demo to its end or until it is interrupted.
pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    let envoy = tools::install()?.envoy;
    let pilothouse = match &arguments.pilothouse {
        Some(program) => program.canonicalize().with_context(|| format!("finding {}", program.display()))?,
        None => build()?,
    };
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        let place = Place::take()?;
        let mut mesh = Mesh::new(place, envoy, pilothouse)?;
        let result = tokio::select! {
            result = tell(&mut mesh, arguments.once) => result,
            () = interrupts.next() => Ok(()),
        };
        mesh.end().await;
        result
    })
}

/// The story, and then the mesh for whoever wants to play with it.
async fn tell(mesh: &mut Mesh, once: bool) -> Result<()> {
    let mut voice = Voice::default();
    story::tell(mesh, &mut voice).await?;
    voice.verdict(once)?;
    if once {
        return Ok(());
    }
    voice.farewell(&mesh.place)?;
    let (name, status) = mesh.until_something_ends().await;
    bail!("{name} ended by itself ({status}); its log is {}", mesh.log(&name).display())
}

/// Builds Pilothouse, together with this program so that what both use is built once.
fn build() -> Result<PathBuf> {
    let mut cargo = repo::cargo();
    cargo.args(["build", "--locked", "--package", "xtask", "--package", "pilothouse"]);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    if profile == "release" {
        cargo.arg("--release");
    }
    repo::run(&mut cargo)?;
    Ok(repo::target().join(profile).join("pilothouse"))
}

/// What a person or a pipeline ends the demo with.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The command's standard output, or its error output as the reason.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}
