//! The fuzz targets with generated input, half a minute of it, and with every input that ever broke one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, which are not told from the tests themselves"
)]

mod generate;
mod targets;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, panic};

use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_api::{google, type_url};
use pilothouse::offline;
use prost::Message;
use serde_json::{Value, json};
use testkit::random::Random;

/// How long each kind of input is generated.
const LONG: Duration = Duration::from_secs(10);
/// What one input may take; the slowest known one takes a twentieth of it.
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn what_once_broke_a_target_breaks_none() {
    for (name, target) in targets::TARGETS {
        let folder = fuzz().join("regressions").join(name);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        files.sort();
        for file in files {
            run(name, *target, &fs::read(&file).unwrap());
        }
    }
}

#[test]
fn generated_objects() {
    let seeds = documents(&["objects.yaml"]);
    generated(1, |random| ("objects", targets::objects, generate::file(random, &seeds)));
}

#[test]
fn generated_meshes() {
    let seeds = documents(&["mesh.yaml"]);
    let one = |random: &mut Random| {
        let mesh = generate::mutated(random, seeds[0].clone(), &seeds);
        generate::damaged(random, mesh.to_string().into_bytes())
    };
    generated(2, |random| ("mesh", targets::mesh, one(random)));
}

#[test]
fn generated_clients() {
    let nodes = nodes();
    generated(3, |random| match random.below(4) {
        0 => ("node", targets::node, generate::bytes(random, 300)),
        1 => ("node", targets::node, node(random, &nodes)),
        2 => ("request", targets::request, message(random)),
        _ => ("stream", targets::stream, stream(random)),
    });
}

#[test]
fn generated_pods() {
    let seeds = documents(&["pods.yaml"]);
    let text = include_str!("injection.yaml").split_once("sidecar: |").unwrap().1;
    generated(4, |random| {
        let document = random.choose(&seeds).clone();
        let pod = generate::mutated(random, document, &seeds);
        match random.below(4) {
            0 => {
                let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
                    "uid": "u", "operation": "CREATE", "namespace": "default", "object": pod}});
                let review = generate::mutated(random, review, &seeds);
                ("review", targets::review, generate::damaged(random, review.to_string().into_bytes()))
            }
            1 => {
                let damage = |text, _| generate::damaged(random, text);
                ("template", targets::template, (0..9).fold(text.as_bytes().to_vec(), damage))
            }
            _ => ("pod", targets::pod, generate::damaged(random, pod.to_string().into_bytes())),
        }
    });
}

type Input = (&'static str, fn(&[u8]), Vec<u8>);

/// The same inputs in every run, as many as there is time for.
fn generated(seed: u64, mut next: impl FnMut(&mut Random) -> Input) {
    let mut random = Random::new(seed);
    let begin = Instant::now();
    let mut count = 0_u32;
    while begin.elapsed() < LONG {
        let (name, target, input) = next(&mut random);
        run(name, target, &input);
        count += 1;
    }
    println!("{count} inputs");
}

/// Runs a target; an input that breaks it is kept for the next runs.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let begin = Instant::now();
    let result = panic::catch_unwind(|| target(input));
    let time = begin.elapsed();
    if result.is_ok() && time < LIMIT {
        return;
    }
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = fuzz().join("regressions").join(name).join(format!("{hash:016x}"));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, input).unwrap();
    let how = if result.is_err() { "panicked".to_owned() } else { format!("took {time:?}") };
    panic!("{name} {how}; the input is kept in {}", file.display());
}

/// The documents of these files of `seeds/`, and of the example.
fn documents(names: &[&str]) -> Vec<Value> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile/seeds");
    let texts = names.iter().map(|name| fs::read_to_string(seeds.join(name)).unwrap());
    let documents = texts.flat_map(|text| {
        let documents = text.split("\n---\n").map(|document| sources::yaml(document).unwrap());
        documents.collect::<Vec<_>>()
    });
    documents.collect()
}

fn nodes() -> Vec<Value> {
    let metadata = json!({
        "NAMESPACE": "default", "NAME": "a", "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0",
        "LABELS": {"app": "a", "version": "v1"}, "INSTANCE_IPS": "10.0.0.1,fd00::1", "INTERCEPTION_MODE": "REDIRECT",
        "SERVICE_ACCOUNT": "s", "MESH_ID": "m", "NETWORK": "n", "DNS_CAPTURE": "true", "HTTP10": "1",
        "UNPRIVILEGED_POD": "true", "ROUTER_MODE": "sni-dnat", "IDLE_TIMEOUT": "5s", "GENERATOR": "grpc",
        "APP_CONTAINERS": "a,b", "POD_PORTS": "[{\"containerPort\":80}]", "ENVOY_STATUS_PORT": 15021,
        "PROXY_CONFIG": {"concurrency": 2, "tracing": {"sampling": 10}, "statNameLength": 100},
        "PLATFORM_METADATA": {"a": "b"}, "TLS_SERVER_CERT_CHAIN": "/a", "ISTIO_PROXY_SHA": "x",
    });
    let node = |id: &str| {
        json!({"id": id, "cluster": "a.default", "metadata": metadata.clone(),
            "locality": {"region": "r", "zone": "z", "subZone": "s"},
            "extensions": [{"name": "x", "category": "y", "typeUrls": ["istio.x"]}]})
    };
    vec![
        node("sidecar~10.0.0.1~a.default~default.svc.cluster.local"),
        node("router~10.0.0.9~ingressgateway.default~default.svc.cluster.local"),
    ]
}

/// A node on the wire; one that the mutations made no node of is sent as it was.
fn node(random: &mut Random, nodes: &[Value]) -> Vec<u8> {
    let good = nodes[random.below(nodes.len())].clone();
    let strange = generate::mutated(random, good.clone(), nodes);
    let message = offline::node(&strange).or_else(|_| offline::node(&good)).unwrap();
    generate::damaged(random, message.encode_to_vec())
}

/// A stream of either protocol, as [`targets::stream`] reads it.
fn stream(random: &mut Random) -> Vec<u8> {
    let mut bytes = generate::bytes(random, 1);
    for _ in 0..random.below(30) {
        let message = message(random);
        if let Ok(length) = u8::try_from(message.len()) {
            bytes.push(length);
            bytes.extend(message);
        }
    }
    bytes
}

/// A request that both protocols can read something in.
fn message(random: &mut Random) -> Vec<u8> {
    let types = [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE, "no.such", ""];
    let type_url = types[random.below(types.len())].to_owned();
    let mut names = || -> Vec<String> {
        (0..random.below(3)).map(|_| ["a", "b", "*", "", "x"][random.below(5)].to_owned()).collect()
    };
    let (some, others, held) = (names(), names(), names());
    let error_detail = (random.below(5) == 0).then(google::rpc::Status::default);
    let bytes = if random.below(2) == 0 {
        DiscoveryRequest { type_url, resource_names: some, error_detail, ..Default::default() }
            .encode_to_vec()
    } else {
        DeltaDiscoveryRequest {
            type_url,
            resource_names_subscribe: some,
            resource_names_unsubscribe: others,
            initial_resource_versions: held.into_iter().map(|name| (name, "AAAAAAAAAAA".into())).collect(),
            error_detail,
            ..Default::default()
        }
        .encode_to_vec()
    };
    generate::damaged(random, bytes)
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}
