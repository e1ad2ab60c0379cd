//! Standard output: who has read enough closes the pipe, and that ends a chore without a word.

use std::fmt;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};

/// Nobody reads what is said.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output")
    }
}

impl std::error::Error for Closed {}

/// Says a line, as `println!` does.
///
/// # Errors
/// `Closed`, or why it cannot be written.
macro_rules! say {
    ($($word:tt)*) => { $crate::output::line(format_args!($($word)*)) };
}
pub(crate) use say;

/// Says a line; what `say!` is made of.
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        result => result.context("writing to standard output"),
    }
}

/// Says an error on standard error. If nobody takes it, there is nowhere to say so.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
