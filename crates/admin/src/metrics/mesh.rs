//! Metrics of the mesh: what is in it, what is wrong with it, what was planned.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use mesh::Snapshot;
use model::{Health, Kind, Problem, Resolution, Severity};
use push::Event;

use super::families::Families;
use super::names::{self, Metric};
use crate::State;
use crate::debug::problems;

/// Metrics that count problems of these codes.
pub(crate) const COUNTED: [(Metric, &[&str]); 3] = [
    (names::DUPLICATE_DOMAIN, &["duplicate-host"]),
    (names::CONFLICT_OUTBOUND, &["listener-conflict"]),
    (names::DUPLICATE_SUBSETS, &["subset-twice", "duplicate-subset"]),
];

/// What hangs on a snapshot alone.
pub(super) fn of_snapshot(snapshot: &Snapshot, families: &mut Families) {
    content(snapshot, families);
    problems_of(snapshot, families);
    families.put(names::GENERATION, &[], snapshot.generation as f64);
}

pub(super) fn collect(state: &State, families: &mut Families) {
    changes(state, families);
    plans(state, families);
    if let Some(age) = state.engine.stats.age() {
        families.put(names::CONFIG_AGE, &[], age.as_secs_f64());
    }
}

fn content(snapshot: &Snapshot, families: &mut Families) {
    let (mut services, mut without, mut not_ready) = (0_u64, 0_u64, 0_u64);
    for service in snapshot.services.all() {
        services += 1;
        let found = snapshot.endpoints.of(&service.host, &service.namespace);
        let endpoints = found.map_or(&[][..], |found| &found.endpoints);
        not_ready += endpoints.iter().filter(|one| one.health == Health::Unhealthy).count() as u64;
        if service.resolution == Resolution::Static {
            let empty = |port: &&model::ServicePort| !endpoints.iter().any(|one| one.port_name == port.name);
            without += service.ports.iter().filter(empty).count() as u64;
        }
    }
    families.put(names::SERVICES, &[], services as f64);
    families.put(names::VIRTUAL_SERVICES, &[], snapshot.config.virtual_services.len() as f64);
    families.put(names::NO_INSTANCES, &[], without as f64);
    families.put(names::NOT_READY, &[], not_ready as f64);
}

fn problems_of(snapshot: &Snapshot, families: &mut Families) {
    let all: Vec<Problem> = problems::all(snapshot).into_iter().map(|(problem, _)| problem).collect();
    let mut codes: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    let mut objects: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for problem in &all {
        *codes.entry((problem.code, problem.severity)).or_default() += 1;
        if problem.severity == Severity::Error {
            let name = format!("{}.{}", problem.key.name, problem.key.namespace);
            *objects.entry((problem.key.kind.as_str(), name)).or_default() += 1;
        }
    }
    for ((code, severity), count) in codes {
        families.put(names::PROBLEMS, &[("code", code), ("severity", severity.as_str())], count as f64);
    }
    for ((kind, name), count) in objects {
        families.put(names::REJECTED_CONFIGS, &[("name", &name), ("type", kind)], count as f64);
    }
    for (metric, codes) in COUNTED {
        let count = all.iter().filter(|problem| codes.contains(&problem.code)).count();
        families.put(metric, &[], count as f64);
    }
}

fn changes(state: &State, families: &mut Families) {
    let stats = &state.engine.stats;
    let mut updates: BTreeMap<&str, u64> = BTreeMap::new();
    for ((kind, event), count) in stats.events() {
        *updates.entry(update(kind, event)).or_default() += count;
        let (metric, kind) = match registry(kind) {
            Some(word) => (names::REGISTRY_EVENTS, word),
            None => (names::CONFIG_EVENTS, kind.as_str()),
        };
        families.put(metric, &[("event", word(event)), ("type", kind)], count as f64);
    }
    for (update, count) in updates {
        families.put(names::INBOUND_UPDATES, &[("type", update)], count as f64);
    }
    for (trigger, count) in stats.triggers() {
        families.put(names::PUSH_TRIGGERS, &[("type", trigger)], count as f64);
    }
    families.put_histogram(names::DEBOUNCE_TIME, &[], &stats.waited);
    families.put_histogram(names::PUSHCONTEXT_INIT, &[], &stats.snapshots);
    families.put_histogram(names::PLAN_TIME, &[], &stats.views);
    families.put(names::UNCHANGED, &[], stats.unchanged.load(Relaxed) as f64);
}

fn plans(state: &State, families: &mut Families) {
    for count in state.engine.memos.counts() {
        let labels = [("family", count.family), ("what", count.what)];
        let (made, reused) = match count.is_encoded {
            true => (names::ENCODED, names::ENCODED_REUSED),
            false => (names::PLANS_MADE, names::PLANS_REUSED),
        };
        families.put(made, &labels, count.counts.made as f64);
        families.put(reused, &labels, count.counts.reused as f64);
        let step = if count.is_encoded { "encoded" } else { "planned" };
        let labels = [("family", count.family), ("step", step), ("what", count.what)];
        families.put(names::MEMO_ENTRIES, &labels, count.counts.entries as f64);
    }
    let sets = state.engine.stats.sets();
    for (family, count) in [
        ("outbound-clusters", sets.outbound_sets),
        ("inbound-clusters", sets.inbound_sets),
        ("endpoints", sets.endpoint_sets),
        ("listeners", sets.listener_sets),
        ("routes", sets.route_sets),
        ("names", sets.name_sets),
    ] {
        families.put(names::SETS, &[("family", family)], count as f64);
    }
}

fn word(event: Event) -> &'static str {
    match event {
        Event::Add => "add",
        Event::Update => "update",
        Event::Delete => "delete",
    }
}

/// istiod's word for a kind that its registry of services is made from.
fn registry(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Service => Some("Services"),
        Kind::EndpointSlice => Some("EndpointSlice"),
        Kind::Pod => Some("Pods"),
        Kind::Node => Some("Nodes"),
        Kind::Namespace => Some("Namespaces"),
        _ => None,
    }
}

/// istiod's word for what a change is of (`pilot_inbound_updates`).
fn update(kind: Kind, event: Event) -> &'static str {
    match (kind, event) {
        (Kind::Service, Event::Delete) => "svcdelete",
        (Kind::Service, _) => "svc",
        (Kind::EndpointSlice | Kind::Pod, _) => "eds",
        _ => "config",
    }
}
