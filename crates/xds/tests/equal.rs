//! Property: whatever happens on the way, a delta client and a state-of-the-world client end up holding the same.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use harness::{Client, House, Mesh, Speaks, pass};
use xds::Config;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Something that happens to the mesh or to both clients.
#[derive(Clone, Debug)]
enum Step {
    View(String),
    Want(&'static str, &'static str),
    Drop(&'static str, &'static str),
    Hear(usize, Answer),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Accept,
    Refuse,
    Nothing,
}

fn view() -> impl Strategy<Value = String> {
    let set = || proptest::collection::vec(0..4u8, NAMES.len());
    let needs = proptest::collection::vec(0..5usize, NAMES.len());
    (set(), set(), set(), set(), needs).prop_map(|(cds, eds, lds, rds, needs)| {
        let plain = |set: &[u8]| write(set, |_| String::new());
        let needing = |set: &[u8]| write(set, |at| need(needs[at]));
        format!("cds {}| eds {}| lds {}| rds {}", plain(&cds), plain(&eds), needing(&lds), needing(&rds))
    })
}

/// Resources with these contents; zero is none.
fn write(set: &[u8], needs: impl Fn(usize) -> String) -> String {
    let present = set.iter().enumerate().filter(|(_, content)| **content > 0);
    present.map(|(at, content)| format!("{}{content}{} ", NAMES[at], needs(at))).collect()
}

fn need(at: usize) -> String {
    NAMES.get(at).map(|name| format!(">{name}")).unwrap_or_default()
}

fn step() -> impl Strategy<Value = Step> {
    let name = || proptest::sample::select(NAMES.to_vec());
    let named = || proptest::sample::select(vec!["eds", "rds"]);
    let answer =
        proptest::sample::select(vec![Answer::Accept, Answer::Accept, Answer::Refuse, Answer::Nothing]);
    prop_oneof![
        3 => view().prop_map(Step::View),
        2 => (named(), name()).prop_map(|(short, name)| Step::Want(short, name)),
        1 => (named(), name()).prop_map(|(short, name)| Step::Drop(short, name)),
        4 => (1..4usize, answer).prop_map(|(count, answer)| Step::Hear(count, answer)),
        1 => (0..7_000u64).prop_map(Step::Pass),
    ]
}

/// A client with what it wants.
struct Actor {
    client: Client,
    list: bool,
    wants: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Actor {
    async fn new(house: &House, speaks: Speaks) -> Self {
        let mut client = Client::connect(&house.serve(Config::default()), speaks).await;
        client.ask("cds");
        client.ask("lds");
        Self { client, list: speaks == Speaks::List, wants: BTreeMap::new() }
    }

    fn all(&self, short: &str) -> String {
        let wants = self.wants.get(short).into_iter().flatten();
        wants.map(|name| format!(" +{name}")).collect()
    }

    fn want(&mut self, short: &'static str, name: &'static str) {
        if self.wants.entry(short).or_default().insert(name) {
            self.say(short, &format!(" +{name}"));
        }
    }

    fn drop(&mut self, short: &'static str, name: &'static str) {
        if self.wants.entry(short).or_default().remove(name) {
            self.say(short, &format!(" -{name}"));
            if let Some(held) = self.client.holds.get_mut(short) {
                held.remove(name);
            }
        }
    }

    /// Says a change of interest: delta says the change, state of the world says all under its last nonce.
    fn say(&mut self, short: &'static str, change: &str) {
        if self.list {
            let all = format!("{short}{}", self.all(short));
            self.client.ack(&all);
        } else {
            self.client.ask(&format!("{short}{change}"));
        }
    }

    /// Hears one answer and says what it makes of it. Whether there was one.
    async fn hear(&mut self, answer: Answer) -> bool {
        let before = self.client.holds.clone();
        let line = self.client.hears_one().await;
        let Some(short) = line.split(' ').next().filter(|short| !short.is_empty()) else { return false };
        let short = ["cds", "eds", "lds", "rds"].into_iter().find(|known| *known == short).unwrap();
        let all = if self.list { format!("{short}{}", self.all(short)) } else { short.to_owned() };
        match answer {
            Answer::Accept => self.client.ack(&all),
            Answer::Refuse => {
                self.client.holds = before;
                self.client.nack(&all);
            }
            Answer::Nothing => {}
        }
        // Neither client keeps what it does not want.
        for short in ["eds", "rds"] {
            let wants = self.wants.get(short).cloned().unwrap_or_default();
            self.client.holds.entry(short).or_default().retain(|name, _| wants.contains(&**name));
        }
        true
    }

    async fn settle(&mut self) {
        for _ in 0..3 {
            for at in 0.. {
                assert!(at < 100, "answers without end");
                if !self.hear(Answer::Accept).await {
                    break;
                }
            }
            pass(Duration::from_secs(6)).await;
        }
    }

    /// Of these resources, those that it wants.
    fn wanted(&self, short: &str, all: &[&str]) -> BTreeMap<String, String> {
        let wants = self.wants.get(short).cloned().unwrap_or_default();
        resources(all).into_iter().filter(|(name, _)| wants.contains(&**name)).collect()
    }

    fn holds(&self) -> BTreeMap<&'static str, BTreeMap<String, String>> {
        let held = self.client.holds.clone();
        held.into_iter().filter(|(_, names)| !names.is_empty()).collect()
    }
}

async fn run(steps: Vec<Step>) {
    let refused = steps.iter().any(|step| matches!(step, Step::Hear(_, Answer::Refuse)));
    let mut mesh = Mesh::default();
    let house = House::new(mesh.then("cds a1 b1| eds a1 b1| lds a1| rds a1"));
    let mut actors = [Actor::new(&house, Speaks::Delta).await, Actor::new(&house, Speaks::List).await];
    for step in steps {
        if let Step::View(text) = &step {
            house.views.send_replace(mesh.then(text));
        }
        for actor in &mut actors {
            match step {
                Step::View(_) => {}
                Step::Want(short, name) => actor.want(short, name),
                Step::Drop(short, name) => actor.drop(short, name),
                Step::Hear(count, answer) => {
                    for _ in 0..count {
                        actor.hear(answer).await;
                    }
                }
                Step::Pass(_) => {}
            }
        }
        if let Step::Pass(millis) = step {
            pass(Duration::from_millis(millis)).await;
        }
    }
    // Contents that nobody has refused (an empty stand-in may have been), and every cluster there, so that all
    // that is wanted is told.
    let end = if refused { ["a9", "b9", "c9", "d9"] } else { ["a9", "b0", "c9", "d0"] };
    let named: String =
        end.iter().filter(|text| text.ends_with('9')).map(|text| format!("{text} ")).collect();
    house.views.send_replace(mesh.then(&format!("cds a9 b9 c9 d9| eds {named}| lds b9>a| rds {named}")));
    for actor in &mut actors {
        actor.settle().await;
        let expected: BTreeMap<_, _> = [
            ("cds", resources(&["a9", "b9", "c9", "d9"])),
            ("eds", actor.wanted("eds", &end)),
            ("lds", resources(&["b9"])),
            ("rds", actor.wanted("rds", &end)),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .collect();
        assert_eq!(actor.holds(), expected, "list: {}", actor.list);
    }
}

/// Resources by name.
fn resources(all: &[&str]) -> BTreeMap<String, String> {
    all.iter().map(|text| (text[..1].to_owned(), (*text).to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delta_and_state_of_the_world_end_equal(steps in proptest::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(run(steps));
    }
}
