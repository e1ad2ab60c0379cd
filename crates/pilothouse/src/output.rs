//! Standard output and standard error, the one way to each: who listens may leave, and a disk may be full.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context as _, Result};

/// Prints a text and ends the line. Somebody who has read enough closes the pipe, which is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    print_whole(&format!("{text}\n"))
}

/// Prints a text that has its lines' ends already.
pub(crate) fn print_whole(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// Says a line on standard error. If nobody takes it, there is nowhere to say so.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", one_line(&line.to_string()));
}

/// A text as one line without control characters: what is named may hold any, and whoever reads may be a terminal.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    // Two more end a line for some readers.
    let is_bad = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    if !text.contains(is_bad) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match is_bad(character) {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line.into()
}
