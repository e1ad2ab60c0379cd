//! One cluster and one endpoint: planned and built for the first time, and known.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use memo::Shared;
use mesh::{ClusterProfile, EndpointProfile, Member, Snapshot};
use translate::{clusters, endpoints};

use crate::inside::Mesh;
use crate::mesh::{Edit, Scale};
use crate::table::{Line, Times, Unit, number};

const REPEATS: usize = 25;

/// Clusters of a thousand services, and endpoints of one with a hundred.
pub(crate) fn lines(lines: &mut Vec<Line>) -> Result<()> {
    let mesh = Mesh::new(Scale::B, Scale::B.nodes(1))?;
    let [cold, known] = cluster(mesh.engine.snapshot(), Scale::B)?;
    lines.push(
        Line::new("one cluster planned and built cold / known").most(cold / 1e3, 8.0, Unit::Micros).most(
            known,
            200.0,
            Unit::Nanos,
        ),
    );
    let scale = Scale { services: 10, endpoints: 100, zones: 1 };
    let mut mesh = Mesh::new(scale, scale.nodes(1))?;
    let before = mesh.engine.snapshot().clone();
    mesh.edit(1, Some(Edit { moved: 1, ..Edit::default() }));
    let [cold, known] = endpoint([&before, mesh.engine.snapshot()], scale)?;
    lines.push(
        Line::new("one endpoint of a 100-endpoint locality cold / known")
            .most(cold / 1e3, 1.5, Unit::Micros)
            .most(known, 100.0, Unit::Nanos),
    );
    Ok(())
}

fn member(snapshot: &Snapshot, scale: Scale) -> Result<Member> {
    let node = pilothouse::offline::node(&scale.node(0, 0)).map_err(anyhow::Error::msg)?;
    Ok(snapshot.member(&Shared::new(push::proxy(&node).map_err(anyhow::Error::msg)?)))
}

/// Nanoseconds for each of all outbound clusters.
fn cluster(snapshot: &Snapshot, scale: Scale) -> Result<[f64; 2]> {
    let member = member(snapshot, scale)?;
    let inputs = clusters::OutboundInputs {
        scope: member.scope.clone(),
        profile: Shared::new(ClusterProfile::of(&member)),
        facts: snapshot.endpoints.facts.clone(),
        authn: snapshot.authn.clone(),
        mesh: snapshot.config.mesh.clone(),
        settings: snapshot.config.settings.clone(),
    };
    let [mut cold, mut known] = [Times::default(), Times::default()];
    let mut count = 1;
    for _ in 0..REPEATS {
        let memos = clusters::Memos::default();
        let (time, made) = timed(|| clusters::outbound(&inputs, &memos));
        cold.0.push(time);
        count = made.len();
        known.0.push(timed(|| clusters::outbound(&inputs, &memos)).0);
    }
    Ok([each("cluster cold", &cold, count), each("cluster known", &known, count)])
}

/// Nanoseconds for each endpoint of one service: all new, and all but one known.
fn endpoint(states: [&Snapshot; 2], scale: Scale) -> Result<[f64; 2]> {
    let [mut cold, mut known] = [Times::default(), Times::default()];
    for _ in 0..REPEATS * 4 {
        let memos = endpoints::Memos::default();
        for (snapshot, times) in states.into_iter().zip([&mut cold, &mut known]) {
            let member = member(snapshot, scale)?;
            let inputs = endpoints::Inputs {
                scope: member.scope.clone(),
                profile: Shared::new(EndpointProfile::of(&member)),
                authn: snapshot.authn.clone(),
                mesh: snapshot.config.mesh.clone(),
                settings: snapshot.config.settings.clone(),
            };
            let service = &member.scope.services.get(1).context("no second service")?.service;
            let found = snapshot.endpoints.of(&service.host, &service.namespace);
            let made = timed(|| endpoints::of_service(&inputs, 1, found, &memos));
            times.0.push(made.0);
        }
    }
    Ok([each("endpoint cold", &cold, scale.endpoints), each("endpoint known", &known, scale.endpoints)])
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let value = std::hint::black_box(work());
    (begin.elapsed(), value)
}

/// The median for one of so many, in nanoseconds.
fn each(what: &str, times: &Times, count: usize) -> f64 {
    let [median, last] =
        [50, 99].map(|percent| times.percentile(percent).as_secs_f64() * 1e9 / number(count as u64));
    println!("  {what}: p50 {median:.0} ns, p99 {last:.0} ns ({count} at once)");
    median
}
