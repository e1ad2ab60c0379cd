//! Incremental equals fresh, the order of input does not matter, and clients of both protocols end equal.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::time::Instant;

use envoy_api::type_url;
use model::Change;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use testkit::random::Random;
use xds::View;

use crate::clients::Client;
use crate::house::{Files, House, PROXIES, difference, settings};

/// A mesh to begin with and edits of it: each number is what chance makes of one of them.
#[derive(Clone, Debug)]
struct Story {
    settings: u64,
    before: Vec<u64>,
    edits: Vec<u64>,
}

impl Story {
    /// The files after some of its edits.
    fn files<'a>(seeds: impl IntoIterator<Item = &'a u64>) -> Files {
        let mut files = Files::default();
        seeds.into_iter().for_each(|seed| drop(files.edit(&mut Random::new(*seed))));
        files
    }
}

fn stories() -> impl Strategy<Value = Story> {
    let numbers = |count| proptest::collection::vec(any::<u64>().no_shrink(), count);
    (any::<u64>().no_shrink(), numbers(0..=10), numbers(3..=12)).prop_map(|(settings, before, edits)| Story {
        settings,
        before,
        edits,
    })
}

/// Runs so many stories, or as many as `PROPTEST_CASES` says, on all cores; one that fails is made as short as it can be.
fn run(cases: u32, check: fn(&Story) -> Result<(), String>) {
    let begin = Instant::now();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let threads = u32::try_from(std::thread::available_parallelism().map_or(1, NonZero::get)).unwrap();
    let part = || {
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(cases.div_ceil(threads))
        };
        let result =
            TestRunner::new(config).run(&stories(), |story| check(&story).map_err(TestCaseError::fail));
        match result {
            Ok(()) => {}
            Err(TestError::Fail(reason, story)) => panic!("{reason}\n{story:?}"),
            Err(other) => panic!("{other}"),
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(part))));
    println!("{cases} sequences in {:?}", begin.elapsed());
}

/// What the story does, for whoever reads its failure.
fn tell(story: &Story) -> String {
    let mut files = Files::default();
    let mut text = String::new();
    for (at, seed) in story.before.iter().chain(&story.edits).enumerate() {
        let path = files.edit(&mut Random::new(*seed));
        text +=
            &format!("--- {}{}", if at < story.before.len() { "before, " } else { "" }, files.show(&path));
    }
    text
}

fn equal(one: &House, two: &House, story: &Story, when: &str) -> Result<(), String> {
    match difference(&one.served(), &two.served()) {
        None => Ok(()),
        Some(difference) => Err(format!("{when}\n{difference}\n{}", tell(story))),
    }
}

/// Files are saved one or a few at a time, one proxy connects only in the middle; at the end, and now and then on the
/// way, everything is as in a process that has just been started.
fn edited_is_fresh(story: &Story) -> Result<(), String> {
    let mut chance = Random::new(story.settings);
    let settings = settings(&mut chance);
    let mut files = Story::files(&story.before);
    let mut house = House::new(settings.clone());
    house.read(&files, &files.paths());
    house.connect(PROXIES - 1);
    let mut saved = Vec::new();
    for (at, seed) in story.edits.iter().enumerate() {
        saved.push(files.edit(&mut Random::new(*seed)));
        if at == story.edits.len() / 2 {
            house.connect(PROXIES);
        }
        let is_last = at + 1 == story.edits.len();
        if is_last || !chance.one_in(4) {
            house.read(&files, &std::mem::take(&mut saved));
        }
        if is_last || saved.is_empty() && chance.one_in(6) {
            house.connect(PROXIES);
            equal(&house, &House::of(&files, settings.clone()), story, &format!("after edit {at}"))?;
        }
    }
    Ok(())
}

#[test]
fn edits_are_as_good_as_a_fresh_start() {
    run(1000, edited_is_fresh);
}

/// Files are read in any order, some of them more than once in between, with their documents in any order, and what
/// they change arrives in pieces.
fn order_is_nothing(story: &Story) -> Result<(), String> {
    let mut chance = Random::new(story.settings);
    let settings = settings(&mut chance);
    let files = Story::files(story.before.iter().chain(&story.edits));
    let expected = House::of(&files, settings.clone());
    let mut paths = files.paths();
    chance.shuffle(&mut paths);
    let mut house = House::new(settings);
    house.connect(PROXIES / 2);
    let (mut first, mut rest) = (Vec::new(), &paths[..]);
    while !rest.is_empty() {
        let (some, more) = rest.split_at(1 + chance.below(rest.len()));
        rest = more;
        first.extend(house.changes(&files, some, Some(&mut chance)));
        if chance.one_in(2) || rest.is_empty() {
            // What one reading of files says of different objects may come in any order and in pieces.
            let mut changes = newest(std::mem::take(&mut first));
            chance.shuffle(&mut changes);
            while !changes.is_empty() {
                let later = changes.split_off(1 + chance.below(changes.len()));
                house.engine.change(std::mem::replace(&mut changes, later), tokio::time::Instant::now());
            }
        }
    }
    house.connect(PROXIES);
    equal(&house, &expected, story, "in another order")
}

/// A proxy is served the same alone as among others: nobody gets what was made for somebody else.
fn company_is_nothing(story: &Story) -> Result<(), String> {
    let settings = settings(&mut Random::new(story.settings));
    let files = Story::files(story.before.iter().chain(&story.edits));
    let together = House::of(&files, settings.clone()).served();
    let alone: Vec<_> = (0..PROXIES).map(|node| House::alone(&files, settings.clone(), node)).collect();
    match difference(&together, &alone) {
        None => Ok(()),
        Some(difference) => Err(format!("alone\n{difference}\n{}", tell(story))),
    }
}

#[test]
fn company_makes_no_difference() {
    run(300, company_is_nothing);
}

/// Of each object only the last change.
fn newest(changes: Vec<Change>) -> Vec<Change> {
    let by_key: BTreeMap<_, _> = changes.into_iter().map(|change| (change.key.clone(), change)).collect();
    by_key.into_values().collect()
}

#[test]
fn the_order_of_input_is_nothing() {
    run(300, order_is_nothing);
}

/// A sidecar and the gateway, each once in delta and once in state of the world, hold at the end of each edit what a
/// fresh process serves.
fn clients_are_equal(story: &Story) -> Result<(), String> {
    let mut chance = Random::new(story.settings);
    let settings = settings(&mut chance);
    let mut files = Story::files(&story.before);
    let mut house = House::new(settings.clone());
    house.read(&files, &files.paths());
    let mut clients: Vec<Client> = [(0, false), (0, true), (2, false), (2, true)]
        .map(|(node, is_list)| Client::connect(&mut house, node, is_list))
        .into();
    for (at, seed) in story.edits.iter().enumerate() {
        // Some views pass before a client gets to see one.
        for client in &mut clients {
            if !chance.one_in(3) {
                client
                    .settle(&mut house)
                    .map_err(|error| format!("before edit {at}: {error}\n{}", tell(story)))?;
            }
        }
        let path = files.edit(&mut Random::new(*seed));
        house.read(&files, &[path]);
    }
    for client in &mut clients {
        client.settle(&mut house).map_err(|error| format!("at the end: {error}\n{}", tell(story)))?;
    }
    let fresh = House::of(&files, settings);
    for (at, client) in clients.iter().enumerate() {
        let view = fresh.view(at / 2 * 2).1;
        hold(client, &view).map_err(|error| format!("client {at}, {error}\n{}", tell(story)))?;
    }
    Ok(())
}

/// Whether a client holds just what the view has for it.
fn hold(client: &Client, view: &View) -> Result<(), String> {
    for (url, served) in &view.types {
        let held = client.held.get(&**url).cloned().unwrap_or_default();
        let is_named = [type_url::ENDPOINT, type_url::ROUTE].contains(&&**url);
        let names: BTreeSet<String> = match is_named {
            true => client.asked(url),
            false => served.iter().map(|resource| resource.name.to_string()).collect(),
        };
        let expected = names.iter().filter_map(|name| served.get(name));
        let expected: BTreeMap<String, Vec<u8>> =
            expected.map(|one| (one.name.to_string(), one.body.to_bytes().to_vec())).collect();
        let all: BTreeSet<&String> = held.keys().chain(expected.keys()).collect();
        if let Some(name) = all.into_iter().find(|name| held.get(*name) != expected.get(*name)) {
            let there = |has: bool| if has { "has it" } else { "has it not" };
            let (client, view) = (there(held.contains_key(name)), there(expected.contains_key(name)));
            return Err(format!("{url} {name}: the client {client}, the view {view}"));
        }
    }
    Ok(())
}

#[test]
fn delta_and_state_of_the_world_end_equal() {
    run(300, clients_are_equal);
}
