//! Programs that are built from Go modules, whose `go.mod` and `go.sum` are in this repository, once for each state of those.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use xxhash_rust::xxh3::Xxh3;

use super::{GO, folder};
use crate::output::say;
use crate::repo;

/// A Go module of ours, and what is made with it.
pub(super) struct Module {
    /// Begins the folder's name in `.tools/`.
    name: &'static str,
    /// Where `go.mod` is, below the root of the repository.
    folder: &'static str,
    programs: &'static [Program],
    /// What the programs read, copied out of other modules.
    files: &'static [Files],
    /// What a first build costs on two cores.
    minutes: u32,
}

struct Program {
    name: &'static str,
    package: &'static str,
    tags: &'static str,
    /// What the linker writes into it.
    link: &'static str,
}

struct Files {
    module: &'static str,
    path: &'static str,
    name: &'static str,
}

/// The control plane of a cluster. Without a version, the server says one that clients cannot read.
pub(super) const KUBETEST: Module = Module {
    name: "kubetest",
    folder: "tests/kubetest",
    programs: &[
        Program {
            name: "kubetest",
            package: ".",
            tags: "",
            link: "-X k8s.io/component-base/version.gitVersion=v1.35.4 \
                   -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
        },
        Program { name: "kubestream", package: "./kubestream", tags: "", link: "" },
    ],
    files: &[],
    minutes: 7,
};

/// What Istio's own programs say of themselves; node metadata carries it.
const ISTIO_VERSION: &str = "-X istio.io/istio/pkg/version.buildVersion=1.32.0 \
                             -X istio.io/istio/pkg/version.buildTag=1.32.0 \
                             -X istio.io/istio/pkg/version.buildStatus=Clean \
                             -X istio.io/istio/pkg/version.buildHub=example.test/istio";

/// The living peers. The tags are those of Istio's own releases: other ones make another istiod.
pub(super) const REFERENCE: Module = Module {
    name: "reference-programs",
    folder: "tests/reference-programs",
    programs: &[
        Program {
            name: "pilot-agent",
            package: "istio.io/istio/pilot/cmd/pilot-agent",
            tags: "agent,disable_pgv,grpcnotrace,retrynotrace",
            link: ISTIO_VERSION,
        },
        Program {
            name: "pilot-discovery",
            package: "istio.io/istio/pilot/cmd/pilot-discovery",
            tags: "vtprotobuf,disable_pgv",
            link: ISTIO_VERSION,
        },
        Program {
            name: "istioctl",
            package: "istio.io/istio/istioctl/cmd/istioctl",
            tags: "vtprotobuf,disable_pgv",
            link: ISTIO_VERSION,
        },
        Program { name: "helm", package: "helm.sh/helm/v4/cmd/helm", tags: "", link: "" },
    ],
    files: &[
        Files { module: "istio.io/istio", path: "manifests/charts", name: "charts" },
        Files {
            module: "istio.io/istio",
            path: "tools/packaging/common/envoy_bootstrap.json",
            name: "envoy_bootstrap_tmpl.json",
        },
        Files { module: "sigs.k8s.io/gateway-api", path: "config/crd", name: "gateway-api" },
    ],
    minutes: 10,
};

impl Module {
    /// The folder with the programs and files, made first if need be.
    pub(super) fn install(&self, tools: &Path) -> Result<PathBuf> {
        let folder = tools.join(format!("{}-{:016x}", self.name, self.hash()?));
        if folder.is_dir() {
            return Ok(folder);
        }
        let go = find_go(tools)?;
        say!("Building {} (Go modules; {} minutes on two cores, the first time)", self.list(), self.minutes)?;
        let begin = Instant::now();
        folder::make(&folder, |partial| {
            self.programs.iter().try_for_each(|program| self.build(&go, program, partial))?;
            self.files.iter().try_for_each(|files| self.copy(&go, files, partial))
        })?;
        say!("  {} is in {} after {} s", self.name, folder.display(), begin.elapsed().as_secs())?;
        Ok(folder)
    }

    fn list(&self) -> String {
        let names: Vec<&str> = self.programs.iter().map(|program| program.name).collect();
        names.join(", ")
    }

    /// Of everything that the outcome hangs on.
    fn hash(&self) -> Result<u64> {
        let mut hash = Xxh3::new();
        for file in sources(&repo::root().join(self.folder))? {
            hash.update(&fs::read(&file).with_context(|| format!("reading {}", file.display()))?);
        }
        for program in self.programs {
            for word in [program.name, program.package, program.tags, program.link] {
                hash.update(word.as_bytes());
            }
        }
        for files in self.files {
            hash.update(files.path.as_bytes());
        }
        Ok(hash.digest())
    }

    fn build(&self, go: &Path, program: &Program, into: &Path) -> Result<()> {
        let mut build = self.go(go);
        build.args(["build", "-v", "-trimpath", "-buildvcs=false", "-tags", program.tags]);
        build.arg("-ldflags").arg(format!("-s -w {}", program.link));
        build.arg("-o").arg(into.join(program.name)).arg(program.package);
        watch(program.name, &mut build)
    }

    fn copy(&self, go: &Path, files: &Files, into: &Path) -> Result<()> {
        let output = self.go(go).args(["list", "-m", "-f", "{{.Dir}}", files.module]).output();
        let output = output.with_context(|| format!("asking where {} is", files.module))?;
        let place = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {}", files.module, String::from_utf8_lossy(&output.stderr));
        folder::copy(&Path::new(place.trim()).join(files.path), &into.join(files.name))
    }

    /// A `go` that stays with itself and with what `go.sum` names.
    fn go(&self, go: &Path) -> Command {
        let mut command = Command::new(go);
        command.current_dir(repo::root().join(self.folder)).stdin(Stdio::null());
        command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local").env("GOWORK", "off");
        command.env("GOFLAGS", "-mod=readonly");
        command
    }
}

/// What of a module's folder is compiled or says what is, in a fixed order.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| ["go", "mod", "sum"].iter().any(|one| extension == *one))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// How often a build says that it goes on.
const EVERY: Duration = Duration::from_secs(20);

/// Runs a build and counts the packages that it names; what else it says is its complaint.
fn watch(name: &str, build: &mut Command) -> Result<()> {
    let mut child = build.stderr(Stdio::piped()).spawn().context("starting go")?;
    let (begin, mut said, mut packages) = (Instant::now(), Instant::now(), 0_usize);
    let mut complaints = Vec::new();
    for line in BufReader::new(child.stderr.take().context("its messages")?).lines() {
        let line = line.context("reading its messages")?;
        if line.contains(' ') {
            complaints.push(line);
        } else {
            packages += 1;
        }
        if said.elapsed() > EVERY {
            said = Instant::now();
            say!("  {name}: {packages} packages, {} s", begin.elapsed().as_secs())?;
        }
    }
    let status = child.wait().context("waiting for go")?;
    let last = complaints.len().saturating_sub(20);
    let complaint = complaints.get(last..).unwrap_or_default().join("\n");
    ensure!(status.success(), "building {name} ended with {status}:\n{complaint}");
    say!("  {name}: {} s", begin.elapsed().as_secs())?;
    Ok(())
}

/// The Go of the path if it is as new as the pinned one, else the pinned one.
fn find_go(tools: &Path) -> Result<PathBuf> {
    let output = Command::new("go").arg("version").env("GOTOOLCHAIN", "local").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version {
        Ok(text) if minor(&text) >= minor(&format!("go version go{} ", GO.version)) => Ok("go".into()),
        _ => GO.install(tools),
    }
}

/// The release in what `go version` prints; patches make no difference to us.
fn minor(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut numbers = version.split(['.', '-']).map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_is_new_enough_by_its_release() {
        assert_eq!(minor("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(minor("go version go1.19 linux/amd64"), Some((1, 19)));
        assert_eq!(minor("sh: go: not found"), None);
        assert!(minor("go version go1.27.0 linux/amd64") > minor("go version go1.26.8 linux/amd64"));
    }

    #[test]
    fn what_a_module_is_made_of_is_there_and_decides_its_name() {
        let names = [KUBETEST, REFERENCE].map(|module| module.hash().unwrap());
        assert_ne!(names[0], names[1]);
        let files = sources(&repo::root().join(KUBETEST.folder)).unwrap();
        assert!(files.iter().any(|file| file.ends_with("go.sum")));
        assert!(files.iter().any(|file| file.ends_with("kubestream/main.go")));
    }

    #[test]
    fn failed_build_tells_the_complaint() {
        let mut build = Command::new("sh");
        let error =
            watch("x", build.args(["-c", "echo a/b >&2; echo 'it is wrong' >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().ends_with("it is wrong"), "{error}");
    }
}
