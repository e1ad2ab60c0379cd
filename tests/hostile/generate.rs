//! Input that nearly makes sense: good input with pieces left out, exchanged and made strange.

use serde_json::{Map, Value, json};
use testkit::random::Random;

/// Bytes of any kind.
pub(crate) fn bytes(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most + 1)).map(|_| random.next().to_le_bytes()[0]).collect()
}

/// A file: some of the documents, mutated, and now and then a text that is no longer YAML.
pub(crate) fn file(random: &mut Random, documents: &[Value]) -> Vec<u8> {
    let count = 1 + random.below(5);
    let documents: Vec<String> = (0..count)
        .map(|_| {
            let document = random.choose(documents).clone();
            mutated(random, document, documents).to_string()
        })
        .collect();
    damaged(random, documents.join("\n---\n").into_bytes())
}

/// A document with up to six of its places changed.
pub(crate) fn mutated(random: &mut Random, mut document: Value, others: &[Value]) -> Value {
    for _ in 0..random.below(7) {
        let donor = random.choose(others).clone();
        let places = count(&document);
        let place = random.below(places);
        visit(&mut document, place, &mut |value| *value = strange(random, value, &donor));
    }
    document
}

/// How many places a value has, itself included.
fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    };
    1 + inner
}

/// Calls back for one place, counted in the order of reading.
fn visit(value: &mut Value, place: usize, change: &mut dyn FnMut(&mut Value)) {
    if place == 0 {
        return change(value);
    }
    let mut left = place - 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        let inside = count(child);
        if left < inside {
            return visit(child, left, change);
        }
        left -= inside;
    }
}

/// What stands in the place of a value.
fn strange(random: &mut Random, value: &Value, donor: &Value) -> Value {
    match random.below(6) {
        0 => less(random, value),
        1 => more(random, value),
        2 => {
            let places = count(donor);
            let place = random.below(places);
            let mut donor = donor.clone();
            let mut found = Value::Null;
            visit(&mut donor, place, &mut |value| found = value.clone());
            found
        }
        3 => json!(random.choose(TEXTS)),
        4 => random.choose(&numbers()).clone(),
        _ => random
            .choose(&[Value::Null, json!([]), json!({}), json!(true), json!([null]), json!({"": null})])
            .clone(),
    }
}

/// One piece fewer.
fn less(random: &mut Random, value: &Value) -> Value {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let gone = random.below(fields.len());
            let kept = fields.iter().enumerate().filter(|(place, _)| *place != gone);
            kept.map(|(_, (name, value))| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
        }
        Value::Array(list) if !list.is_empty() => {
            let mut list = list.clone();
            list.remove(random.below(list.len()));
            list.into()
        }
        Value::String(text) => text.chars().skip(1).collect::<String>().into(),
        _ => Value::Null,
    }
}

/// The same again, longer or inside out.
fn more(random: &mut Random, value: &Value) -> Value {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields = fields.clone();
            let first = fields.values().next().cloned().unwrap_or_default();
            fields.insert((*random.choose(TEXTS)).to_owned(), first);
            fields.into()
        }
        Value::Array(list) => [list.clone(), list.clone()].concat().into(),
        Value::String(text) => text.repeat(1 + random.below(200)).into(),
        other => json!([other]),
    }
}

const TEXTS: &[&str] = &[
    "",
    "*",
    "**",
    "*.",
    ".",
    "..",
    "~",
    "~/*",
    "*/*",
    "./*",
    "/",
    "//",
    "a",
    "a.default",
    "a.default.svc.cluster.local",
    "*.default.svc.cluster.local",
    "*.com",
    "gateway",
    "mesh",
    "default/gateway",
    "default/",
    "/gateway",
    "v1",
    "10.0.0.1",
    "10.0.0.0/33",
    "0.0.0.0",
    "0.0.0.0/0",
    "::",
    "fd00::/200",
    "[::1]:80",
    "127.0.0.1:99999",
    ":",
    ":80",
    "unix://",
    "unix:///x",
    "0s",
    "-1s",
    "1h1m1s1ms1us1ns",
    "999999999999999999h",
    "0.000000000001s",
    "1e9s",
    "inf",
    "NaN",
    "-0",
    "18446744073709551616",
    "HTTP",
    "HTTPS",
    "TLS",
    "TCP",
    "http",
    "GRPC",
    "MONGO",
    "STRICT",
    "NONE",
    "DNS",
    "STATIC",
    "DYNAMIC_DNS",
    "DNS_ROUND_ROBIN",
    "ISTIO_MUTUAL",
    "PASSTHROUGH",
    "MAGLEV",
    "topology.kubernetes.io/region",
    "(",
    "[",
    "a{1000000}",
    "(a*)*b",
    "\\",
    "%",
    "%REQ(",
    "%{",
    "\0",
    "\u{feff}",
    "é",
    "\u{202e}",
    "a\nb",
    "a\r\n\r\nb",
    "outbound|80||a",
    "|||",
    "true",
    "null",
    "---",
    "...",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    " a ",
    "a,b,,c",
    "=",
    "a=b=c",
];

fn numbers() -> Vec<Value> {
    let edges = [0, 1, -1, 80, 443, 8080, 65_535, 65_536, 4_294_967_295, 4_294_967_296, i64::MAX, i64::MIN];
    let fractions = [0.5, -0.1, 1e-300, 1e300, 100.000_000_1, 2_147_483_648.5];
    edges.into_iter().map(Value::from).chain(fractions.into_iter().map(Value::from)).collect()
}

/// Now and then bytes are lost, doubled or exchanged.
pub(crate) fn damaged(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    if !random.one_in(8) || bytes.is_empty() {
        return bytes;
    }
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len());
        match random.below(3) {
            0 => bytes.truncate(place.max(1)),
            1 => bytes[place] = random.next().to_le_bytes()[0],
            _ => bytes.insert(place, *random.choose(b"{}[]:,-&*!|>'\"%@`\t\n #\0")),
        }
    }
    bytes
}
