//! The corpora against Pilothouse: `cargo xtask corpus` runs this program and hands its words through.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to people")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use clap::Parser;
use testkit::offline::{Answer, Request};
use testkit::suite::{self, Arguments, Places, Product};

/// Cases that others wrote, judged.
#[derive(Parser)]
#[command(name = "corpus")]
struct Program {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(corpora) = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from) else {
        println!("SKIPPED: PILOTHOUSE_CORPUS names no corpora");
        return ExitCode::SUCCESS;
    };
    if let Some(started) = env::var_os("PILOTHOUSE_STARTED_IN")
        && env::set_current_dir(&started).is_err()
    {
        eprintln!("cannot go to {}", started.display());
    }
    let places = Places {
        corpora,
        lists: root.join("tests/corpus/expected-failures"),
        envoy: env::var_os("PILOTHOUSE_ENVOY")
            .map(PathBuf::from)
            .filter(|path| fs::exists(path).unwrap_or(false)),
        required: env::var_os("CI").is_some(),
    };
    let product = Product { translate: Some(&translate), ..Product::default() };
    match suite::run(&Program::parse().arguments, &product, &places, &mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn translate(request: &Request) -> Result<Answer, String> {
    let answer = pilothouse::offline::translate(&pilothouse::offline::Request {
        files: request.files.clone(),
        mesh: request.mesh.clone(),
        env: request.env.clone(),
        node: request.node.clone(),
        types: request.types.clone(),
        names: request.names.clone(),
    })?;
    Ok(Answer { resources: answer.resources, problems: answer.problems })
}
