//! Standard output and standard error that nobody takes.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::{PILOTHOUSE, Running, text};

/// Where a pipe ends that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

const BOOTSTRAP: [&str; 5] = ["bootstrap", "--name", "a", "--ip", "127.0.0.1"];

/// A folder with something to complain of; its path, and that of a proxy's node in it.
fn with_a_broken_file() -> (TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), "kind: [").unwrap();
    let node = folder.path().join("node.json");
    fs::write(&node, run(&BOOTSTRAP, Stdio::piped(), Stdio::piped()).stdout).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let paths = (path(folder.path()), path(&node));
    (folder, paths.0, paths.1)
}

fn run(words: &[&str], output: Stdio, error: Stdio) -> Output {
    Command::new(PILOTHOUSE).args(words).stdout(output).stderr(error).output().unwrap()
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
    let (_folder, config, node) = with_a_broken_file();
    let translate = ["translate", "--configDir", &config, "--node", &node];
    let running = Running::start(&[], &[]);
    let address = running.address();
    let status = ["proxy-status", "--plaintext", "--xds-address", &address];
    for words in [
        &["version"][..],
        &["version", "-o", "json"],
        &["completion", "bash"],
        &BOOTSTRAP,
        &translate,
        &status,
    ] {
        let output = run(words, closed(), Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("error:"), "{words:?}: {}", text(&output.stderr));
        let output = run(words, full(), Stdio::piped());
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", text(&output.stderr));
        let told = text(&output.stderr);
        assert!(told.contains("error: writing to standard output: No space left"), "{words:?}: {told}");
    }
}

#[test]
fn what_is_said_to_nobody_changes_nothing() {
    let (_folder, config, node) = with_a_broken_file();
    let translate = ["translate", "--configDir", &config, "--node", &node];
    let nowhere = [
        "discovery",
        "--configDir",
        "/nonexist",
        "--grpcAddr",
        "127.0.0.1:0",
        "--httpAddr",
        "",
        "--monitoringAddr",
        "",
    ];
    for error in [closed, full] {
        let output = run(&translate, Stdio::piped(), error());
        assert_eq!((output.status.code(), text(&output.stdout).trim().is_empty()), (Some(0), false));
        assert_eq!(run(&nowhere, Stdio::piped(), error()).status.code(), Some(1));
    }
}
