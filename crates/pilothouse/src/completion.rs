//! `completion`: what a shell loads to complete the words of this program.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// For which shell.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments, mut program: Command) -> Result<()> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, name, &mut script);
    crate::output::print(&String::from_utf8_lossy(&script))
}
