//! The build's chores: `cargo xtask --help` lists them, the Makefile names the ones to remember.
//!
//! Nothing here is part of the product. Whatever a test needs as well stands in `testkit`.
#![warn(clippy::print_stderr, reason = "`output` knows what to do when nobody takes it")]

mod app;
mod demo;
mod mutate;
mod output;
mod repo;
mod rootfs;
mod suites;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The build's chores.
#[derive(Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

/// One chore.
#[derive(Subcommand)]
enum Chore {
    /// Bookinfo behind real Envoys and a story told with it; needs no cluster and no root.
    Demo(demo::DemoArguments),
    /// One service of the demo's application.
    App(app::AppArguments),
    /// Installs programs into `.tools/`: without words Envoy and kubectl, which is all that the demo and `test` need.
    Tools(tools::ToolsArguments),
    /// Checks the rules of docs/architecture.md that no compiler checks.
    Tidy,
    /// Formatting, clippy, documentation and tidy, with warnings as failures.
    Lint,
    /// The whole suite: every test, tidy, then the suites that need corpora or a real Envoy.
    Test,
    /// Real Envoys end to end (test targets named `e2e`).
    E2e,
    /// The recorded corpora (test targets named `corpus`).
    Corpus(testkit::suite::Arguments),
    /// A real cluster with real peers (test targets named `kube`); words choose scenarios, `--keep` leaves it up.
    Kube {
        /// Handed to the suite; `--help` among them is answered by it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// The image's root file system in a folder: what it holds, how large it is, and whether the program runs in it.
    Rootfs(rootfs::RootfsArguments),
    /// The table of speeds and sizes, each with its limit; `cluster` asks for what needs a real API server and istiod.
    Bench {
        /// Only the parts whose name has one of these: envoy, inside, engine, scale, cold, micro, edits, inject, cluster.
        words: Vec<std::ffi::OsString>,
    },
    /// Coverage-guided fuzzing, one minute a target.
    Fuzz,
    /// Takes one argument after the other away from indexes and keys, in a copy; a test must notice each. Half an hour at most.
    Mutate(mutate::MutateArguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        // What a shell says of a program that a closed pipe has ended.
        Err(error) if error.is::<output::Closed>() => ExitCode::from(141),
        Err(error) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> Result<()> {
    match chore {
        Chore::Demo(arguments) => demo::run(arguments),
        Chore::App(arguments) => app::run(arguments),
        Chore::Tools(arguments) => tools::run(arguments),
        Chore::Tidy => tidy::run(),
        Chore::Lint => suites::lint(),
        Chore::Test => suites::test(),
        Chore::E2e => suites::end_to_end(),
        // Parsed for its help and its errors; the target reads the same words again.
        Chore::Corpus(_) => suites::corpus(std::env::args_os().skip(2).collect()),
        Chore::Kube { words } => suites::kube(words.clone()),
        Chore::Rootfs(arguments) => rootfs::run(arguments),
        Chore::Bench { words } => suites::bench(words.clone()),
        Chore::Fuzz => suites::fuzz(),
        Chore::Mutate(arguments) => mutate::run(arguments),
    }
}
