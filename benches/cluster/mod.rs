//! Against a real API server with 1,000 services and 5,000 pods: Pilothouse, and a real istiod beside it.

mod duties;
mod edits;
mod plane;
mod world;

use std::time::Duration;
use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use testkit::cluster::plane::{Place, Plane};

use crate::server::Memory;
use crate::table::{Line, Times, Unit, megabytes, peak};
use plane::{Kind, Process};

/// Starts of each control plane, in turn.
const ROUNDS: usize = 3;
/// When memory is read after the start.
const REST: Duration = Duration::from_secs(5);

/// The programs that `cargo xtask bench cluster` names.
pub(super) struct Means {
    kubetest: PathBuf,
    kubectl: PathBuf,
    /// The folder of Istio's programs and files.
    reference: PathBuf,
    envoy: PathBuf,
}

impl Means {
    fn find() -> Result<Self> {
        let path = |name: &str| {
            let path = env::var_os(name).map(PathBuf::from);
            path.with_context(|| format!("{name} is not set: start this with `cargo xtask bench cluster`"))
        };
        Ok(Self {
            kubetest: path("PILOTHOUSE_KUBETEST")?,
            kubectl: path("PILOTHOUSE_KUBECTL")?,
            reference: path("PILOTHOUSE_REFERENCE")?,
            envoy: path("PILOTHOUSE_ENVOY")?,
        })
    }
}

/// All lines of this part.
pub(crate) async fn lines(lines: &mut Vec<Line>) -> Result<()> {
    let means = Means::find()?;
    let folder = tempfile::Builder::new().prefix("pilothouse-bench-").tempdir()?;
    let plane = Plane::start(&folder.path().join("cluster"), &means.kubetest, Place::loopback()?).await?;
    let result = measure(&means, &plane, folder.path(), lines).await;
    plane.end().await;
    result
}

async fn measure(
    means: &Means,
    plane: &Plane,
    folder: &std::path::Path,
    lines: &mut Vec<Line>,
) -> Result<()> {
    let took = world::fill(means, plane).await?;
    println!("  the cluster is filled after {:.1} s", took.as_secs_f64());
    let mut seen = [Seen::default(), Seen::default()];
    for round in 0..ROUNDS {
        for (kind, seen) in [Kind::Istiod, Kind::Pilothouse].into_iter().zip(&mut seen) {
            let place = folder.join(format!("{kind:?}-{round}").to_lowercase());
            fs::create_dir(&place)?;
            let (process, took) = Process::start(kind, means, plane, &place).await?;
            tokio::time::sleep(REST).await;
            seen.times.0.push(took);
            seen.memory = process.memory()?;
            process.end().await?;
        }
    }
    let [istiod, ours] = &seen;
    println!("  ready: istiod {} ms, Pilothouse {} ms", istiod.times.raw(), ours.times.raw());
    let theirs = (istiod.median(), megabytes(istiod.memory.now));
    lines.push(
        Line::new("API server with 1,000 services, 5,000 pods: started → ready; share of istiod's time")
            .most(ours.median(), 3.0, Unit::Seconds)
            .most(100.0 * ours.median() / theirs.0, 50.0, Unit::Percent)
            .note(format!("of {:.2} s", theirs.0)),
    );
    let now = megabytes(ours.memory.now);
    lines.push(
        Line::new("… idle memory; share of istiod's")
            .most(now, 60.0, Unit::Megabytes)
            .note(peak(ours.memory))
            .most(100.0 * now / theirs.1, 40.0, Unit::Percent)
            .note(format!("of {:.0} MB", theirs.1)),
    );
    let [here, beside] = ["ours", "next"].map(|name| folder.join(name));
    fs::create_dir(&here)?;
    fs::create_dir(&beside)?;
    let (process, _) = Process::start(Kind::Pilothouse, means, plane, &here).await?;
    let times = edits::measure(means, plane, &process, &here).await?;
    println!("  a real Envoy, weights and endpoints in turn: {} ms", times.raw());
    lines.push(
        Line::new("… API write → ACK of a real Envoy, quiet, p50 / p99 (without the write)")
            .percentiles(&times, (10.0, 25.0)),
    );
    let (next, _) = Process::start(Kind::Next, means, plane, &beside).await?;
    duties::measure(means, plane, (&process, &here), lines).await?;
    next.end().await?;
    process.end().await
}

/// What was seen of one control plane.
#[derive(Default)]
struct Seen {
    times: Times,
    memory: Memory,
}

impl Seen {
    fn median(&self) -> f64 {
        self.times.percentile(50).as_secs_f64()
    }
}
