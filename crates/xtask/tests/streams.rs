//! A chore whose standard output nobody takes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

/// How a chore ends that says one line, and what it complains of.
fn tidy(output: Stdio) -> (Option<i32>, String) {
    let mut chore = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let ended = chore.arg("tidy").stdout(output).stderr(Stdio::piped()).output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_closed_pipe_ends_a_chore_quietly_and_a_full_disk_with_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(tidy(writer.into()), (Some(141), String::new()));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (status, complaint) = tidy(full.into());
    assert_eq!(status, Some(1));
    assert!(complaint.starts_with("error: writing to standard output: "), "{complaint}");
}
