//! What is measured inside this process: the engine with its planner and memos, without files, streams or clocks
//! of others.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use model::parse::Context;
use model::settings::Settings;
use push::{Engine, Handle};
use serde_json::Value as Json;
use sources::{File, Folder};
use tokio::sync::watch;
use tokio::time::Instant;
use xds::View;

use crate::mesh::{Edit, Scale, file};
use crate::server::memory;
use crate::sidecar::TYPES;
use crate::table::{Line, Times, Unit, number};

/// A mesh and the proxies that are connected to it.
pub(crate) struct Mesh {
    scale: Scale,
    folder: Folder,
    pub(crate) engine: Engine,
    handle: Handle,
    proxies: Vec<watch::Receiver<Arc<View>>>,
}

impl Mesh {
    pub(crate) fn new(scale: Scale, nodes: impl Iterator<Item = Json>) -> Result<Self> {
        let settings =
            Settings { cluster: "Kubernetes".into(), domain: "cluster.local".into(), ..Settings::default() };
        let mut folder =
            Folder::new(Context { cluster: settings.cluster.clone(), domain: settings.domain.clone() });
        let (mut engine, handle, _) = Engine::new(settings);
        let files = scale.files().map(|(name, text)| File { path: name.as_str().into(), text: Some(text) });
        engine.change(folder.update(files), Instant::now());
        let mut proxies = Vec::new();
        for node in nodes {
            let node = pilothouse::offline::node(&node).map_err(anyhow::Error::msg)?;
            let proxy = push::proxy(&node).map_err(anyhow::Error::msg)?;
            proxies.push(engine.connect(proxy).1);
        }
        Ok(Self { scale, folder, engine, handle, proxies })
    }

    /// Changes one service, or takes it away.
    pub(crate) fn edit(&mut self, at: usize, edit: Option<Edit>) {
        let text = edit.map(|edit| self.scale.text(at, edit));
        let changes = self.folder.update([File { path: file(at).as_str().into(), text }]);
        self.engine.change(changes, Instant::now());
    }

    /// What every proxy is served.
    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        self.proxies.iter().map(|views| views.borrow().clone()).collect()
    }

    /// Made by family and kind, planned apart from encoded.
    fn made(&self) -> BTreeMap<String, u64> {
        let counts = self.handle.memos.counts().into_iter();
        let kind = |is_encoded| if is_encoded { "encoded" } else { "planned" };
        let made = counts.map(|count| {
            (format!("{} {} {}", count.family, count.what, kind(count.is_encoded)), count.counts.made)
        });
        made.collect()
    }

    fn entries(&self) -> u64 {
        self.handle.memos.counts().iter().map(|count| count.counts.entries).sum()
    }

    /// What an edit made, by family and kind, where it made anything.
    fn makes(&mut self, at: usize, edit: Edit) -> BTreeMap<String, u64> {
        let before = self.made();
        self.edit(at, Some(edit));
        let mut after = self.made();
        after.iter_mut().for_each(|(name, made)| *made -= before.get(name).copied().unwrap_or_default());
        after.retain(|_, made| *made > 0);
        after
    }
}

/// What one view has and the other has not, as a delta client that holds the first is told of the second.
pub(crate) fn difference(
    before: &View,
    after: &View,
    sent: &mut BTreeMap<String, u64>,
    removed: &mut BTreeMap<String, u64>,
) {
    for (short, url) in TYPES {
        let [before, after] = [before, after].map(|view| view.types.get(url));
        let held = |name: &str| before.and_then(|before| before.find(name));
        for resource in after.into_iter().flat_map(|after| after.iter()) {
            if held(&resource.name).is_none_or(|old| old.version != resource.version) {
                *sent.entry(format!("{short} {}", resource.name)).or_default() += 1;
            }
        }
        // A cluster's endpoints go with it and are not told apart.
        let gone = before.filter(|_| short != "eds").into_iter().flat_map(|before| before.iter());
        for resource in gone.filter(|old| after.is_none_or(|after| after.find(&old.name).is_none())) {
            *removed.entry(format!("{short} {}", resource.name)).or_default() += 1;
        }
    }
}

/// Proxies of three localities, and so of three endpoint profiles.
const PROFILES: usize = 3;

/// One endpoint changes.
pub(crate) fn endpoint(ratio: (f64, String), lines: &mut Vec<Line>) -> Result<()> {
    let mut worst = (0, 0);
    for services in [10, 1_000] {
        let scale = Scale { services, ..Scale::B };
        let mut mesh = Mesh::new(scale, (0..30).map(|at| scale.node(at % 10, at / 10)))?;
        let makes = mesh.makes(1, Edit { moved: 1, ..Edit::default() });
        println!("  one endpoint of {services} services makes {makes:?}");
        let of = |wanted: fn(&str) -> bool| {
            makes.iter().filter(|(name, _)| wanted(name)).map(|(_, made)| made).sum::<u64>()
        };
        let others = of(|name| !name.starts_with("endpoints "));
        let own = of(|name| name == "endpoints assignment planned");
        worst = (worst.0.max(others), worst.1.max(own));
    }
    let what = "one endpoint changed, 10 and 1,000 services: clusters, listeners, routes planned; resources encoded for 3 profiles; time";
    lines.push(
        Line::new(what)
            .exactly(number(worst.0), 0.0)
            .exactly(number(worst.1), number(PROFILES as u64))
            .most(ratio.0, 2.0, Unit::Times)
            .note(ratio.1),
    );
    Ok(())
}

/// One service is added to a route table of a thousand hosts.
pub(crate) fn route_table(lines: &mut Vec<Line>) -> Result<()> {
    let mut mesh = Mesh::new(Scale::B, Scale::B.nodes(1))?;
    let makes = mesh.makes(Scale::B.services + 1, Edit::default());
    println!("  one service more makes {makes:?}");
    let of = |name: &str| number(makes.get(name).copied().unwrap_or_default());
    lines.push(
        Line::new("one service added to a route table of 1,000 hosts: virtual hosts planned; encoded")
            .exactly(of("routes virtual-host planned"), 1.0)
            .exactly(of("routes virtual-host encoded"), 1.0),
    );
    Ok(())
}

/// Which service an edit is of, and the edit.
type Nth = (usize, Edit);
/// A kind of change and its nth edit.
type Kind = (&'static str, fn(u8) -> Nth);

/// How long the engine alone takes for each kind of change with a thousand proxies; figures without a limit, for
/// whoever looks where time goes.
pub(crate) fn engine() -> Result<()> {
    let scale = Scale::A;
    let mut mesh = Mesh::new(scale, scale.nodes(1_000))?;
    let edits: [Kind; 3] = [
        ("one endpoint", |n| (5, Edit { moved: n, ..Edit::default() })),
        ("one route weight", |n| (5, Edit { weight: n, ..Edit::default() })),
        ("one new service", |n| (101 + 5 * usize::from(n), Edit::default())),
    ];
    for (what, edit) in edits {
        let mut times = Times::default();
        for n in 1..=30 {
            let (at, edit) = edit(n);
            let begin = std::time::Instant::now();
            mesh.edit(at, Some(edit));
            times.0.push(begin.elapsed());
        }
        println!("  engine, 1,000 proxies, {what}: {} ms", times.raw());
    }
    Ok(())
}

/// Ten thousand edits that return to the start, in a process of its own.
pub(crate) fn edits(lines: &mut Vec<Line>) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let output = std::process::Command::new(program).arg("edits-alone").stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the process of the edits ended with {}", output.status);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [entries, entries_after, memory, memory_after] = numbers.as_slice() else { bail!("edits: {said}") };
    println!(
        "  edits: {entries_after} memo entries of {entries}, {:.1} MB of {:.1}",
        memory_after / 1e6,
        memory / 1e6
    );
    lines.push(
        Line::new("after 10,000 edits that return to the start: memo entries; more memory")
            .exactly(*entries_after, *entries)
            .most((memory_after / memory - 1.0) * 100.0, 5.0, Unit::Percent),
    );
    Ok(())
}

/// The process of [`edits`]: prints entries before and after, memory before and after.
pub(crate) fn play_edits() -> Result<()> {
    let mut mesh = Mesh::new(Scale::A, Scale::A.nodes(30))?;
    // Both ends are reached by the same last edits, so that what a memo keeps for a while is the same.
    let home = |mesh: &mut Mesh| {
        (0..10).for_each(|n| {
            // Of each family: what it no longer uses goes when it is asked for something else.
            for edit in
                [Edit { moved: 1 + n % 2, ..Edit::default() }, Edit { weight: 1 + n % 2, ..Edit::default() }]
            {
                mesh.edit(5, Some(edit));
                mesh.edit(5, Some(Edit::default()));
            }
        })
    };
    home(&mut mesh);
    let before = (mesh.entries(), memory(Path::new("/proc/self"))?.now);
    for n in 0..5_000_usize {
        let (at, change) = (n * 7 % mesh.scale.services, u8::try_from(n % 97 + 1)?);
        let edit = match n % 4 {
            0 => Some(Edit { moved: change, ..Edit::default() }),
            1 => Some(Edit { weight: change, ..Edit::default() }),
            2 => Some(Edit { plain: true, ..Edit::default() }),
            _ => None,
        };
        mesh.edit(at, edit);
        mesh.edit(at, Some(Edit::default()));
    }
    home(&mut mesh);
    println!("{} {} {} {}", before.0, mesh.entries(), before.1, memory(Path::new("/proc/self"))?.now);
    Ok(())
}
