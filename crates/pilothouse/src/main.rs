//! The program: which words it knows, and where each leads.
#![warn(clippy::print_stderr, reason = "`output` knows what to do when nobody takes it")]

mod address;
mod bootstrap;
mod cluster;
mod completion;
mod control;
mod controllers;
mod discovery;
mod flags;
mod identity;
mod inject;
mod logs;
mod output;
mod pages;
mod parts;
mod ports;
mod proxy_status;
mod request;
mod tag;
mod telling;
mod tolerant;
mod translate;
mod usage;
mod version;
mod webhooks;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A control plane for Istio service meshes.
#[derive(Parser)]
#[command(name = "pilothouse", version = version::VERSION, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the control plane.
    // Charts put their users' flags behind their own, and of a flag given twice the last counts, as with istiod.
    #[command(args_override_self = true)]
    Discovery(Box<discovery::Arguments>),
    /// Print what a proxy would be served, from files and without a server; errors and warnings are told on standard
    /// error and leave the exit status 0, unless --strict is given.
    Translate(translate::Arguments),
    /// Put proxies into the workloads of files, without a cluster.
    Inject(inject::Arguments),
    /// Print a bootstrap with which a stock Envoy attaches to Pilothouse.
    Bootstrap(bootstrap::Arguments),
    /// Print how far each connected proxy is.
    ProxyStatus(proxy_status::Arguments),
    /// Names for revisions, which namespaces can be labelled with.
    Tag(tag::Arguments),
    /// Call a page of the control plane that runs beside, and print the answer.
    Request(request::Arguments),
    /// Print what a shell loads to complete these words.
    Completion(completion::Arguments),
    /// Print the version.
    Version(version::Arguments),
}

fn main() -> ExitCode {
    let (words, unknown) = tolerant::known(&Program::command(), std::env::args_os());
    let program = called(words.first().map(|name| name.as_os_str())).get_matches_from(words);
    let program = Program::from_arg_matches(&program).unwrap_or_else(|error| error.exit());
    let result = match program.command {
        Command::Discovery(arguments) => discovery::run(&arguments, &unknown),
        Command::Translate(arguments) => translate::run(&arguments),
        Command::Inject(arguments) => inject::run(&arguments),
        Command::Bootstrap(arguments) => bootstrap::run(&arguments),
        Command::ProxyStatus(arguments) => proxy_status::run(&arguments),
        Command::Tag(arguments) => tag::run(&arguments),
        Command::Request(arguments) => request::run(&arguments),
        Command::Completion(arguments) => completion::run(&arguments, Program::command()),
        Command::Version(arguments) => version::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            format!("error: {error:#}").lines().for_each(output::tell);
            if error.is::<usage::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// The program under the name that it was called by: its own, or that of istiod's program, under which images of
/// istiod have it and istioctl calls it.
fn called(name: Option<&OsStr>) -> clap::Command {
    const ISTIOD: &str = "pilot-discovery";
    let is_istiod = name.and_then(|name| Path::new(name).file_name()) == Some(OsStr::new(ISTIOD));
    let program = Program::command();
    if is_istiod { program.name(ISTIOD).bin_name(ISTIOD) } else { program }
}
