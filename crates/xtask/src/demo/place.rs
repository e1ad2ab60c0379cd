//! Where one demo lives: its copy of the example and a range of loopback addresses that nobody else uses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::repo;

/// The addresses as the example has them; another demo on this machine moves to the next range.
const RANGE: &str = "127.18.0.";
/// Its addresses end below this, and listeners of the example have these ports.
const LAST: u8 = 32;
const PORTS: [u16; 2] = [8080, 9080];

/// A folder to edit and the addresses in it.
pub(super) struct Place {
    /// The copy of the example.
    pub(super) folder: PathBuf,
    range: u8,
    /// Held as long as the range is ours.
    _claim: TcpListener,
}

impl Place {
    /// Takes the first free range and copies the example for it.
    pub(super) fn take() -> Result<Self> {
        for range in 0..=u8::MAX {
            let free = |last, port| TcpListener::bind((Ipv4Addr::new(127, 18, range, last), port));
            // An Envoy that somebody has left there would share the ports, and be sent half of the requests.
            let mut ports = (1..LAST).flat_map(|last| PORTS.map(|port| (last, port)));
            if let Ok(claim) = free(254, 15_999)
                && ports.all(|(last, port)| free(last, port).is_ok())
            {
                let folder = repo::target().join("demo").join(range.to_string());
                let place = Self { folder, range, _claim: claim };
                place.copy_example()?;
                return Ok(place);
            }
        }
        bail!("no range of addresses is free in 127.18.0.0/16")
    }

    /// An address of this place by its last number.
    pub(super) fn address(&self, last: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 18, self.range, last)), port)
    }

    /// The folder that Pilothouse reads.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The mesh configuration that Pilothouse reads.
    pub(super) fn mesh_config(&self) -> PathBuf {
        self.folder.join("mesh.yaml")
    }

    /// Where bootstraps and logs go.
    pub(super) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// Puts a prepared file into the configuration under a name, in one move; says when it was saved.
    pub(super) fn save(&self, step: &str, file: &str) -> Result<Instant> {
        let step = self.folder.join("steps").join(step);
        let whole = self.run().join("next.yaml");
        fs::copy(&step, &whole).with_context(|| format!("copying {}", step.display()))?;
        let target = self.config().join(file);
        let now = Instant::now();
        fs::rename(&whole, &target).with_context(|| format!("saving {}", target.display()))?;
        Ok(now)
    }

    fn copy_example(&self) -> Result<()> {
        let example = repo::root().join("examples/bookinfo");
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("emptying {}", self.folder.display()))?;
        }
        self.copy(&example, &self.folder)?;
        fs::create_dir_all(self.run()).context("making the folder for logs")
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                self.copy(&from, &to)?;
            } else {
                let text =
                    fs::read_to_string(&from).with_context(|| format!("reading {}", from.display()))?;
                let text = text.replace(RANGE, &format!("127.18.{}.", self.range));
                fs::write(&to, text).with_context(|| format!("writing {}", to.display()))?;
            }
        }
        Ok(())
    }
}
