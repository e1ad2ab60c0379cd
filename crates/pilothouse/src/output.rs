//! Standard output.

use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Prints a text and ends the line. Somebody who has read enough closes the pipe.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("printing"),
        _ => Ok(()),
    }
}
