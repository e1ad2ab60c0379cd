//! The corpora: what Pilothouse makes of other people's cases. `cargo xtask corpus --help` says what can be asked.

mod inject;
mod install;
mod product;
mod scope;
mod tables;

use std::{
    env, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use testkit::{
    corpus::{self, Error},
    suite::{self, Arguments, Places, Product},
};

/// The recorded corpora.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    match judge(Line::parse().arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(mut arguments: Arguments) -> Result<bool, Error> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let required = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let configured = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let Some(corpora) = corpus::find(configured, &repository, required)? else {
        eprintln!("SKIPPED corpus: no corpora beside the repository; PILOTHOUSE_CORPUS names none");
        return Ok(true);
    };
    if let (Some(here), Some(report)) = (env::var_os("PILOTHOUSE_STARTED_IN"), &mut arguments.report) {
        *report = PathBuf::from(here).join(&*report);
    }
    let places = Places {
        corpora,
        lists: repository.join("tests/corpus/expected-failures"),
        envoy: env::var_os("PILOTHOUSE_ENVOY").map(PathBuf::from),
        required,
    };
    let product = Product {
        translate: Some(&product::translate),
        parse_node: Some(&product::parse_node),
        compute_scope: Some(&scope::compute),
        inject: Some(&inject::Injection),
        compute: Some(&tables::compute),
        install: Some(&install::Program),
        recode: Some(&product::recode),
    };
    suite::run(&arguments, &product, &places, &mut io::stdout().lock())
}
