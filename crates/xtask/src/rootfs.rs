//! The image's root file system without an engine: what `Containerfile` copies, assembled in a folder, measured, and run.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::output::say;
use crate::repo;

/// What the image's root file system is made of, and where.
#[derive(Args)]
pub(crate) struct RootfsArguments {
    /// A binary that is there already; otherwise it is built for release.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// The folder that becomes the root; it is made anew.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only assemble it.
    #[arg(long)]
    no_run: bool,
}

/// Where the program is in the image; istiod's name leads to it, since charts and istioctl of old use that.
const PROGRAM: &str = "usr/local/bin/pilothouse";
const ISTIODS_NAME: &str = "usr/local/bin/pilot-discovery";
/// What charts mount things at; the first is written to.
const MOUNTS: [&str; 7] = [
    "var/run/secrets/istio-dns",
    "var/run/secrets/tokens",
    "var/run/secrets/remote",
    "var/run/secrets/istiod/tls",
    "var/run/secrets/istiod/ca",
    "etc/cacerts",
    "tmp",
];
/// The largest image, compressed.
const LIMIT_MEGABYTES: f64 = 25.0;
/// The user of the image: nobody's, and the one that istiod's has.
const USER: &str = "1337:1337";

/// Assembles it, says how large it is, and runs the program in it where we are root.
pub(crate) fn run(arguments: &RootfsArguments) -> Result<()> {
    let root = arguments.folder.clone().unwrap_or_else(|| repo::target().join("image/root"));
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => build()?,
    };
    assemble(&binary, &root)?;
    let megabytes = f64::from(compressed(&root)?) / 1e6;
    say!("  {} is {megabytes:.1} MB compressed, of {LIMIT_MEGABYTES} MB at most", root.display())?;
    ensure!(megabytes <= LIMIT_MEGABYTES, "the image would be {megabytes:.1} MB");
    if arguments.no_run {
        return Ok(());
    }
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        say!("  SKIPPED running it: a root of its own needs root")?;
        return Ok(());
    }
    let version = output(&mut inside(&root, &["version", "--short"]))?;
    say!("  in it as user {USER}, with nothing writable: {}", version.trim_end())?;
    serves(&root)
}

fn build() -> Result<PathBuf> {
    let mut cargo = repo::cargo();
    repo::run(cargo.args(["build", "--release", "--locked", "--package", "pilothouse"]))?;
    Ok(repo::target().join("release/pilothouse"))
}

/// The program without symbols, whatever it loads, and the places where charts mount things.
fn assemble(binary: &Path, root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("removing {}", root.display()))?;
    }
    for folder in MOUNTS {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("making {folder}"))?;
    }
    let program = root.join(PROGRAM);
    create_parent(&program)?;
    repo::run(Command::new("strip").arg("--strip-all").arg("-o").arg(&program).arg(binary))?;
    symlink("pilothouse", root.join(ISTIODS_NAME)).context("linking istiod's name")?;
    for library in loaded(&output(Command::new("ldd").arg(binary))?) {
        let place = root.join(library.trim_start_matches('/'));
        create_parent(&place)?;
        fs::copy(library, &place).with_context(|| format!("copying {library}"))?;
    }
    Ok(())
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))
}

/// The files of what `ldd` prints: libraries and the loader.
fn loaded(text: &str) -> Vec<&str> {
    text.split_whitespace().filter(|word| word.starts_with('/')).collect()
}

/// The bytes of the one layer that the image has.
fn compressed(root: &Path) -> Result<u32> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"]).arg(root);
    let mut tar = tar.args(["-cf", "-", "."]).stdout(Stdio::piped()).spawn().context("starting tar")?;
    let layer = tar.stdout.take().context("reading from tar")?;
    let gzip = Command::new("gzip").args(["-9", "-n"]).stdin(layer).output().context("starting gzip")?;
    ensure!(tar.wait()?.success() && gzip.status.success(), "tar or gzip failed");
    u32::try_from(gzip.stdout.len()).context("the image is larger than 4 GB")
}

/// The program in its root: nothing of it can be written but the memory-backed folder that charts mount.
fn inside(root: &Path, words: &[&str]) -> Command {
    let script = "root=$1; shift
        mount --bind \"$root\" \"$root\"
        mount -o remount,bind,ro \"$root\"
        mount -t tmpfs -o mode=0700,uid=1337,gid=1337 tmpfs \"$root/var/run/secrets/istio-dns\"
        echo '{apiVersion: v1, kind: Namespace, metadata: {name: default}}' > \"$root/var/run/secrets/istio-dns/mesh.yaml\"
        chmod 0644 \"$root/var/run/secrets/istio-dns/mesh.yaml\"
        exec chroot --userspec=1337:1337 \"$root\" /usr/local/bin/pilot-discovery \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(root).args(words);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Starts the control plane in it, asks whether it is ready, and ends it.
fn serves(root: &Path) -> Result<()> {
    let words = [
        "discovery",
        "--configDir=/var/run/secrets/istio-dns",
        "--httpAddr=127.0.0.1:0",
        "--grpcAddr=127.0.0.1:0",
        "--monitoringAddr=",
    ];
    let mut child = inside(root, &words).stderr(Stdio::piped()).spawn().context("starting the program")?;
    // It is read from until it ends, since a program whose words nobody takes may end of that.
    let mut said = BufReader::new(child.stderr.take().context("reading what it says")?);
    let asked = ready(&mut said);
    let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let status = child.wait().context("waiting for its end")?;
    let address = asked?;
    ensure!(ended.is_ok_and(|kill| kill.success()) && status.success(), "it ended with {status}");
    say!("  it was ready at {address} and ended when it was told to")?;
    Ok(())
}

/// Where it said that it serves readiness, once it is ready.
fn ready(said: &mut impl BufRead) -> Result<String> {
    let mut lines = String::new();
    for line in said.lines() {
        let line = line?;
        if let Some(address) = address(&line) {
            ensure!(becomes_ready(address), "it was not ready within five seconds");
            return Ok(address.to_owned());
        }
        lines = lines + &line + "\n";
    }
    bail!("it ended and said:\n{lines}")
}

#[allow(clippy::disallowed_methods, reason = "no runtime waits here")]
fn becomes_ready(address: &str) -> bool {
    (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        get_ready(address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
    })
}

/// The address in the line that says where readiness is served.
fn address(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("serving readiness")?;
    rest.split_whitespace().find_map(|word| word.strip_prefix("address=")).map(|word| word.trim_matches('"'))
}

fn get_ready(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("starting a program")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {complaint}", command.get_program());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_has_a_file() {
        let text = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x7f)\n";
        assert_eq!(loaded(text), ["/lib/x/libc.so.6", "/lib64/ld.so.2"]);
        assert_eq!(loaded("\tstatically linked\n"), Vec::<&str>::new());
    }

    #[test]
    fn the_address_is_read_from_the_log() {
        let line =
            "2026-11-24T14:29:51Z  INFO serving readiness, metrics and debug pages address=127.0.0.1:8080";
        assert_eq!(address(line), Some("127.0.0.1:8080"));
        assert_eq!(address("serving xDS in plaintext address=127.0.0.1:1"), None);
    }
}
