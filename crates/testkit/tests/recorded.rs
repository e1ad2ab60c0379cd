//! The judge judged: the recorded answers themselves must pass, and a damaged answer must not.
#![allow(clippy::expect_used, reason = "a test's own helpers may fail the test")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;
use testkit::{
    corpus,
    envoy::{self, Envoy},
    family::simulation,
    golden::{self, Filter, case},
    offline::{Answer, Request},
    simulate::Configuration,
};

/// The folder of the corpora; without one a visible line, or a failure where `CI` is set.
fn folder() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let configured = env::var_os("PILOTHOUSE_CORPUS").map(PathBuf::from);
    let found = corpus::find(configured, &repository, env::var_os("CI").is_some()).expect("the corpora");
    if found.is_none() {
        eprintln!("SKIPPED: no corpora beside the repository; set PILOTHOUSE_CORPUS");
    }
    found
}

/// A product that knows the recorded answers by heart.
struct Parrot(HashMap<(String, String), Resources>);

type Resources = BTreeMap<String, Vec<(String, Value)>>;

impl Parrot {
    fn new(root: &Path, filter: &Filter) -> Self {
        let mut known = HashMap::new();
        for set in case::sets(root, filter).expect("sets") {
            for proxy in &set.proxies {
                let request = set.request(proxy, filter).expect("a request");
                let read = |kind: &String| {
                    let recorded = set.recorded(&proxy.name, kind).expect("recorded");
                    (kind.clone(), recorded.into_iter().map(|one| (one.name, one.resource)).collect())
                };
                known.insert(Self::key(&request), request.types.iter().map(read).collect());
            }
        }
        Self(known)
    }

    fn key(request: &Request) -> (String, String) {
        let node = format!("{} {}", request.node["id"], request.node["metadata"]);
        (format!("{:?} {:?} {:?}", request.files, request.mesh, request.env), node)
    }

    fn answer(&self, request: &Request) -> Answer {
        Answer { resources: self.0[&Self::key(request)].clone(), problems: Vec::new() }
    }
}

#[test]
fn recorded_answers_pass_and_damaged_ones_fail() {
    let Some(root) = folder() else { return };
    let filter = Filter { families: [1, 5].into(), ..Filter::default() };
    let parrot = Parrot::new(&root, &filter);

    let board = golden::judge(&root, &filter, &|request| Ok(parrot.answer(request))).expect("judged");
    assert_eq!(board.counted().filter(|file| !file.passed()).count(), 0);
    assert!(board.files.len() > 100, "{} files", board.files.len());

    let damaged = |request: &Request| {
        let mut answer = parrot.answer(request);
        let resources = answer.resources.values_mut().flatten();
        resources.for_each(|(_, resource)| resource["name"] = Value::from("damaged"));
        Ok(answer)
    };
    let board = golden::judge(&root, &filter, &damaged).expect("judged");
    let empty = |file: &golden::FileVerdict| {
        let set =
            case::sets(&root, &Filter { case: Some(file.set.clone()), ..Filter::default() }).expect("sets");
        set[0].recorded(&file.proxy, &file.kind).expect("recorded").is_empty()
    };
    assert!(board.counted().all(|file| file.passed() == empty(file)));
}

/// The recording knows this proxy by the labels of its ServiceEntry's endpoint (there are none), the simulation
/// by those of its node, so that only in the latter the PeerAuthentication's selector matches.
const OTHER_LABELS: &str = "testpeerauthenticationpassthrough-global-plaintext-and-port-9000-permi-2";

/// Calls through what was recorded for the configuration of the simulation family arrive.
#[test]
fn simulated_calls_arrive_where_istiod_sends_them() {
    let Some(root) = folder() else { return };
    let filter = Filter { families: [14].into(), ..Filter::default() };
    let sets = case::sets(&root, &filter).expect("sets");
    let mut failures = Vec::new();
    let mut judged = 0;
    for case in simulation::cases(&root).expect("cases") {
        let set = sets.iter().find(|set| set.name == format!("sim-{}", case.id));
        let Some(configuration) = set.and_then(recorded_configuration) else { continue };
        judged += 1;
        // In the recording short hosts have the cluster's domain, in the simulation they have none.
        let failure =
            case.failure(&configuration).and_then(|_| case.failure(&without_domain(&configuration)));
        failures.extend(failure.map(|failure| format!("{}: {failure}", case.id)));
    }
    assert!(judged > 30, "{judged} cases judged");
    assert!(failures.len() == 1 && failures[0].starts_with(OTHER_LABELS), "{failures:#?}");
}

fn without_domain(configuration: &Configuration) -> Configuration {
    let strip = |list: &[Value]| {
        let text = |value: &Value| value.to_string().replace(".svc.cluster.local\"", "\"");
        list.iter().map(|value| serde_json::from_str(&text(value)).expect("JSON")).collect()
    };
    let Configuration { listeners, clusters, routes } = configuration;
    Configuration { listeners: strip(listeners), clusters: strip(clusters), routes: strip(routes) }
}

/// What was recorded for the only proxy of a set, if nothing of it was left out.
fn recorded_configuration(set: &case::Set) -> Option<Configuration> {
    let [proxy] = &set.proxies[..] else { return None };
    let of = |kind: &str| {
        let listed = proxy.types.iter().any(|one| one == kind);
        let recorded = listed.then(|| set.recorded(&proxy.name, kind).expect("recorded"))?;
        Some(recorded.into_iter().map(|one| one.resource).collect())
    };
    let routes = of("rds").unwrap_or_default();
    Some(Configuration { listeners: of("lds")?, clusters: of("cds").unwrap_or_default(), routes })
}

/// What istiod sent to its own proxy is accepted by a real Envoy once the filters that only Istio's has are gone.
#[test]
fn a_real_envoy_accepts_what_was_recorded_and_refuses_damage() {
    let Some(root) = folder() else { return };
    let Some(program) = env::var_os("PILOTHOUSE_ENVOY").map(PathBuf::from) else {
        eprintln!("SKIPPED: PILOTHOUSE_ENVOY names no Envoy");
        return;
    };
    let scratch = tempfile::tempdir().expect("a folder");
    let envoy = Envoy { program, folder: scratch.path().to_owned() };
    let filter = Filter { families: [5].into(), ..Filter::default() };
    let parrot = Parrot::new(&root, &filter);
    let known = known_types();
    let stripped = |request: &Request| {
        let mut answer = parrot.answer(request);
        answer.resources.values_mut().flatten().for_each(|(_, resource)| strip(resource, &known));
        Ok(answer)
    };
    let verdicts = envoy::judge(&root, &filter, &envoy, &stripped).expect("judged");
    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.failure.is_some()).collect();
    assert!(failed.is_empty() && verdicts.len() > 20, "{failed:#?} of {}", verdicts.len());

    let one = Filter { case: Some("gw-bind".to_owned()), ..filter };
    let verdicts = envoy::judge(&root, &one, &envoy, &|request| Ok(parrot.answer(request))).expect("judged");
    assert!(
        !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.failure.is_some()),
        "{verdicts:#?}"
    );
}

/// The type URLs that stock Envoy announces.
fn known_types() -> HashSet<String> {
    let facts = envoy::stock::facts().expect("facts");
    let extensions = facts["extensions"].as_array().expect("a list");
    let urls = extensions.iter().filter_map(|one| one["type_urls"].as_array()).flatten();
    urls.filter_map(Value::as_str).map(|url| format!("type.googleapis.com/{url}")).collect()
}

/// Removes the elements of lists whose configuration is of a type that Envoy does not know.
fn strip(value: &mut Value, known: &HashSet<String>) {
    match value {
        Value::Array(list) => {
            list.retain(|element| match config_type(element) {
                Some(url) => known.contains(url),
                None => true,
            });
            list.iter_mut().for_each(|element| strip(element, known));
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| strip(field, known)),
        _ => {}
    }
}

fn config_type(element: &Value) -> Option<&str> {
    let config = element.get("typedConfig")?;
    let url = config["@type"].as_str()?;
    if url.ends_with(".TypedStruct") { config["typeUrl"].as_str() } else { Some(url) }
}
