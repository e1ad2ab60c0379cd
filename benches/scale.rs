//! What runs against a server process: a thousand sidecars connect, changes reach them, the server is killed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::fleet::{Fleet, Report};
use crate::inside::Mesh;
use crate::mesh::{Edit, Scale, file};
use crate::server::Server;
use crate::table::{Line, Times, Unit, megabytes, millis, number, peak};

const CLIENTS: usize = 1_000;
/// Repeats of each kind of change.
const REPEATS: u8 = 12;
/// Nothing has come for so long: a change has had all its effects.
const QUIET: Duration = Duration::from_millis(400);
/// When memory is read after all are current.
const REST: Duration = Duration::from_secs(5);

/// A hundred services with ten endpoints each and a thousand sidecars.
pub(crate) async fn thousand(lines: &mut Vec<Line>) -> Result<()> {
    let scale = Scale::A;
    let mut server = Server::new(scale)?;
    server.start().await?;
    let mut fleet = Fleet::start(server.grpc, scale, CLIENTS)?;
    let (took, all) = fleet.connect().await?;
    tokio::time::sleep(REST).await;
    let memory = server.memory()?;
    println!("  connect: {} responses, {:.1} MB", all.responses, megabytes(all.bytes));
    lines.push(
        Line::new("100 services × 10, 1,000 delta clients connect and are current; server's memory")
            .most(took.as_secs_f64(), 4.0, Unit::Seconds)
            .most(megabytes(memory.now), 150.0, Unit::Megabytes)
            .note(peak(memory)),
    );
    let limits = [("one endpoint", (30.0, 60.0)), ("one route weight", (150.0, 300.0))];
    let edits = [|n| Edit { moved: n, ..Edit::default() }, |n| Edit { weight: n, ..Edit::default() }];
    for ((what, limits), edit) in limits.into_iter().zip(edits) {
        let mut repeats = Repeats::new(what);
        for n in 1..=REPEATS {
            let since = server.edit(scale, 5, edit(n))?;
            repeats.add(&fleet.settle(QUIET).await?, since)?;
        }
        lines.push(repeats.line(limits));
        server.edit(scale, 5, Edit::default())?;
        fleet.settle(QUIET).await?;
    }
    let mut repeats = Repeats::new("one new service");
    for n in 0..usize::from(REPEATS) {
        let since = server.edit(scale, scale.services + 1 + 5 * n, Edit::default())?;
        repeats.add(&fleet.settle(QUIET).await?, since)?;
    }
    lines.push(repeats.line((150.0, 300.0)));
    for n in 0..usize::from(REPEATS) {
        std::fs::remove_file(server.path("config").join(file(scale.services + 1 + 5 * n)))?;
    }
    fleet.settle(QUIET).await?;
    let after = server.memory()?;
    println!("  memory after all changes: {:.0} MB{}", megabytes(after.now), peak(after));
    lines.push(restart(&mut server, &mut fleet).await?);
    Ok(())
}

/// Killed; one object is changed and one deleted meanwhile; started again.
async fn restart(server: &mut Server, fleet: &mut Fleet) -> Result<Line> {
    let scale = Scale::A;
    server.kill().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fleet.report().await?;
    server.edit(scale, 10, Edit { moved: 77, ..Edit::default() })?;
    std::fs::remove_file(server.path("config").join(file(11)))?;
    let begin = SystemTime::now();
    server.start().await?;
    let first = fleet.report().await?;
    let all = fleet.until_current(first, Duration::from_secs(60)).await?;
    let more = fleet.settle(Duration::from_secs(2)).await?;
    ensure!(more.responses == 0, "something was sent after all were current");
    let took = all.times(begin).percentile(100);
    let (sent, removed) = expected(scale)?;
    let differs = |is: &BTreeMap<String, u64>, should: &BTreeMap<String, u64>| {
        let all: std::collections::BTreeSet<&String> = is.keys().chain(should.keys()).collect();
        all.into_iter().filter(|name| is.get(*name) != should.get(*name)).count() as u64
    };
    println!("  restart: sent {:?} removed {:?}", short(&all.sent), short(&all.removed));
    if differs(&all.sent, &sent) + differs(&all.removed, &removed) > 0 {
        println!("  expected: sent {:?} removed {:?}", short(&sent), short(&removed));
    }
    Ok(Line::new("… killed and started, one object changed, one deleted: all current; sent or removed amiss")
        .most(took.as_secs_f64(), 2.0, Unit::Seconds)
        .exactly(number(differs(&all.sent, &sent) + differs(&all.removed, &removed)), 0.0))
}

/// The difference between the state before and after for every sidecar, made without any server.
fn expected(scale: Scale) -> Result<(BTreeMap<String, u64>, BTreeMap<String, u64>)> {
    let mut mesh = Mesh::new(scale, scale.nodes(CLIENTS))?;
    let before = mesh.views();
    mesh.edit(10, Some(Edit { moved: 77, ..Edit::default() }));
    mesh.edit(11, None);
    let after = mesh.views();
    let (mut sent, mut removed) = (BTreeMap::new(), BTreeMap::new());
    for (before, after) in before.iter().zip(&after) {
        crate::inside::difference(before, after, &mut sent, &mut removed);
    }
    Ok((sent, removed))
}

fn short(names: &BTreeMap<String, u64>) -> Vec<String> {
    let shown = names.iter().take(12).map(|(name, count)| format!("{name} ×{count}"));
    shown.chain((names.len() > 12).then(|| format!("and {} more", names.len() - 12))).collect()
}

/// One kind of change, several times: percentiles over the sidecars, of which the medians count.
struct Repeats {
    what: &'static str,
    halves: Times,
    ends: Times,
    bytes: u64,
    clients: u64,
}

impl Repeats {
    fn new(what: &'static str) -> Self {
        Self { what, halves: Times::default(), ends: Times::default(), bytes: 0, clients: 0 }
    }

    fn add(&mut self, report: &Report, since: SystemTime) -> Result<()> {
        let times = report.times(since);
        ensure!(!times.0.is_empty(), "{}: nobody was sent anything", self.what);
        self.halves.0.push(times.percentile(50));
        self.ends.0.push(times.percentile(99));
        self.bytes += report.bytes;
        self.clients += times.0.len() as u64;
        Ok(())
    }

    fn line(&self, limits: (f64, f64)) -> Line {
        println!("  {}: p50 of each repeat {} ms", self.what, self.halves.raw());
        println!("  {}: p99 of each repeat {} ms", self.what, self.ends.raw());
        println!("  {}: {:.1} kB to each", self.what, number(self.bytes) / number(self.clients.max(1)) / 1e3);
        Line::new(format!("… {} p50 / p99 (medians of {REPEATS})", self.what))
            .most(millis(self.halves.percentile(50)), limits.0, Unit::Millis)
            .most(millis(self.ends.percentile(50)), limits.1, Unit::Millis)
    }
}

/// A thousand services with five endpoints each, read by a fresh process.
pub(crate) async fn cold_files(lines: &mut Vec<Line>) -> Result<()> {
    let mut server = Server::new(Scale::B)?;
    let mut times = Times::default();
    for _ in 0..5 {
        server.kill().await?;
        times.0.push(server.start().await?);
    }
    println!("  cold files: {} ms", times.raw());
    tokio::time::sleep(REST).await;
    let memory = server.memory()?;
    lines.push(
        Line::new("1,000 services × 5: state built from cold files (median of 5); idle memory")
            .most(times.percentile(50).as_secs_f64(), 0.7, Unit::Seconds)
            .most(megabytes(memory.now), 60.0, Unit::Megabytes)
            .note(peak(memory)),
    );
    Ok(())
}

/// One endpoint's change in a small and in a large mesh, to the last ACK of ten sidecars; ten endpoints' worth of
/// ordinary service in both.
pub(crate) async fn ratio() -> Result<(f64, String)> {
    let mut medians = Vec::new();
    for services in [10, 1_000] {
        let scale = Scale { services, ..Scale::B };
        let mut server = Server::new(scale)?;
        server.start().await?;
        let mut fleet = Fleet::start(server.grpc, scale, 10)?;
        fleet.connect().await?;
        let mut times = Times::default();
        for n in 1..=40 {
            let since = server.edit(scale, 1, Edit { moved: n, ..Edit::default() })?;
            times.0.push(fleet.settle(Duration::from_millis(150)).await?.times(since).percentile(100));
        }
        println!("  one endpoint of {services} services: {} ms", times.raw());
        medians.push(millis(times.percentile(50)));
    }
    let [small, large] = medians.as_slice() else { return Ok((0.0, String::new())) };
    Ok((large / small, format!("({small:.1} and {large:.1} ms to the ACK)")))
}
