//! Two resources compared as JSON trees, with the recorded corpus's rule on lists.

use std::mem;

use serde_json::{Map, Number, Value};

use super::path::{Path, Step};

/// Lists whose order Envoy ignores, by the field that holds them (xds-golden README, "Comparing").
const UNORDERED: [&str; 5] = ["virtualHosts", "domains", "filterChains", "endpoints", "lbEndpoints"];

/// In what way two trees differ at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Expected, and absent.
    Missing,
    /// Present, and not expected.
    Extra,
    /// Present in both, with different values.
    Changed,
    /// The same elements in a different order.
    Order,
}

/// One difference between an expected tree and the actual one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where.
    pub path: Path,
    /// How.
    pub kind: Kind,
    /// The expected value; `Null` if there should be none.
    pub expected: Value,
    /// The actual value; `Null` if there is none.
    pub actual: Value,
}

/// All differences, by place; none if the trees are equal by the rules.
pub fn differences(expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut walk = Walk::default();
    walk.values(&Path::default(), &canonical(expected, false), &canonical(actual, false));
    walk.found.sort_by_cached_key(|one| (one.path.to_string(), one.kind));
    walk.found
}

/// The tree with numbers in one spelling and lists without order sorted, so that equal trees are `==`.
fn canonical(value: &Value, unordered: bool) -> Value {
    match value {
        Value::Number(number) => Value::Number(one_spelling(number)),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(|element| canonical(element, false)).collect();
            if unordered {
                list.sort_by_cached_key(Value::to_string);
            }
            Value::Array(list)
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                (key.clone(), canonical(value, UNORDERED.contains(&key.as_str())))
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// `100.0` and `100` are one number, whatever the writer preferred.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn one_spelling(number: &Number) -> Number {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            Number::from(float as i64)
        }
        _ => number.clone(),
    }
}

#[derive(Default)]
struct Walk {
    found: Vec<Difference>,
}

impl Walk {
    fn add(&mut self, path: &Path, kind: Kind, expected: &Value, actual: &Value) {
        let (expected, actual) = (expected.clone(), actual.clone());
        self.found.push(Difference { path: path.clone(), kind, expected, actual });
    }

    fn missing(&mut self, path: &Path, expected: &Value) {
        self.add(path, Kind::Missing, expected, &Value::Null);
    }

    fn extra(&mut self, path: &Path, actual: &Value) {
        self.add(path, Kind::Extra, &Value::Null, actual);
    }

    fn values(&mut self, path: &Path, expected: &Value, actual: &Value) {
        match (expected, actual) {
            _ if expected == actual => {}
            (Value::Object(expected), Value::Object(actual)) => self.objects(path, expected, actual),
            (Value::Array(expected), Value::Array(actual)) if UNORDERED.contains(&path.last_field()) => {
                self.multisets(path, expected, actual);
            }
            (Value::Array(expected), Value::Array(actual)) => self.lists(path, expected, actual),
            _ => self.add(path, Kind::Changed, expected, actual),
        }
    }

    /// Messages of different types have nothing to compare below their type.
    fn objects(&mut self, path: &Path, expected: &Map<String, Value>, actual: &Map<String, Value>) {
        let field = |key: &str| path.then(Step::Field(key.to_owned()));
        if let (Some(one), Some(other)) = (expected.get("@type"), actual.get("@type"))
            && one != other
        {
            return self.add(&field("@type"), Kind::Changed, one, other);
        }
        for (key, value) in expected {
            match actual.get(key) {
                Some(other) => self.values(&field(key), value, other),
                None => self.missing(&field(key), value),
            }
        }
        for (key, value) in actual.iter().filter(|(key, _)| !expected.contains_key(*key)) {
            self.extra(&field(key), value);
        }
    }

    fn lists(&mut self, path: &Path, expected: &[Value], actual: &[Value]) {
        let labels = |list: &[Value]| list.iter().map(label).collect::<Option<Vec<String>>>();
        if let (Some(one), Some(other)) = (labels(expected), labels(actual)) {
            return self.labelled(path, &with(one, expected), &with(other, actual));
        }
        if expected.iter().chain(actual).all(|element| !element.is_object() && !element.is_array()) {
            return self.scalars(path, expected, actual);
        }
        for index in 0..expected.len().max(actual.len()) {
            let place = path.then(Step::Element(index.to_string()));
            match (expected.get(index), actual.get(index)) {
                (Some(one), Some(other)) => self.values(&place, one, other),
                (Some(one), None) => self.missing(&place, one),
                (None, Some(other)) => self.extra(&place, other),
                (None, None) => {}
            }
        }
    }

    /// A list of plain values is one difference, short enough to read as a whole.
    fn scalars(&mut self, path: &Path, expected: &[Value], actual: &[Value]) {
        let sorted = |list: &[Value]| {
            let mut list = list.to_vec();
            list.sort_by_key(Value::to_string);
            list
        };
        let kind = if sorted(expected) == sorted(actual) { Kind::Order } else { Kind::Changed };
        self.add(path, kind, &Value::from(expected), &Value::from(actual));
    }

    /// Elements with names are paired by name, so that one filter too few is one difference.
    fn labelled(&mut self, path: &Path, expected: &[Labelled<'_>], actual: &[Labelled<'_>]) {
        let mut rest: Vec<Option<&Labelled<'_>>> = actual.iter().map(Some).collect();
        let mut places = Vec::new();
        for (label, value) in expected {
            let place = path.then(Step::Element(label.clone()));
            match rest.iter().position(|one| one.is_some_and(|(name, _)| name == label)) {
                Some(index) => {
                    let pair = mem::take(&mut rest[index]);
                    places.push((index, label));
                    pair.into_iter().for_each(|(_, other)| self.values(&place, value, other));
                }
                None => self.missing(&place, value),
            }
        }
        for (label, value) in rest.into_iter().flatten() {
            self.extra(&path.then(Step::Element(label.clone())), value);
        }
        if !places.is_sorted_by_key(|(index, _)| *index) {
            let expected: Value = places.iter().map(|(_, label)| label.as_str()).collect();
            places.sort();
            let actual: Value = places.iter().map(|(_, label)| label.as_str()).collect();
            self.add(path, Kind::Order, &expected, &actual);
        }
    }

    /// Equal elements leave, then elements of one identity are compared, then what is left is missing or extra.
    fn multisets(&mut self, path: &Path, expected: &[Value], actual: &[Value]) {
        let mut expected: Vec<&Value> = expected.iter().collect();
        let mut actual: Vec<&Value> = actual.iter().collect();
        take_pairs(&mut expected, &mut actual, |one, other| one == other);
        for precision in 0..IDENTITIES {
            let pairs = take_pairs(&mut expected, &mut actual, |one, other| {
                identity(one, precision).is_some_and(|key| Some(key) == identity(other, precision))
            });
            for (one, other) in pairs {
                self.values(&path.then(Step::Element(title(one))), one, other);
            }
        }
        if let ([one @ Value::Object(_)], [other @ Value::Object(_)]) = (&expected[..], &actual[..]) {
            return self.values(&path.then(Step::Element(title(one))), one, other);
        }
        for one in expected {
            self.missing(&path.then(Step::Element(title(one))), one);
        }
        for other in actual {
            self.extra(&path.then(Step::Element(title(other))), other);
        }
    }
}

type Labelled<'a> = (String, &'a Value);

fn with(labels: Vec<String>, list: &[Value]) -> Vec<Labelled<'_>> {
    labels.into_iter().zip(list).collect()
}

/// Removes from both lists the pairs that `same` finds, each element once, and returns them.
fn take_pairs<'a>(
    expected: &mut Vec<&'a Value>,
    actual: &mut Vec<&'a Value>,
    same: impl Fn(&Value, &Value) -> bool,
) -> Vec<(&'a Value, &'a Value)> {
    let mut pairs = Vec::new();
    expected.retain(|one| match actual.iter().position(|other| same(one, other)) {
        Some(index) => {
            pairs.push((*one, actual.remove(index)));
            false
        }
        None => true,
    });
    pairs
}

/// The name that tells an element of an ordered list from its neighbours.
fn label(element: &Value) -> Option<String> {
    const POINTERS: [&str; 5] = ["/name", "/tag", "/upgradeType", "/header/key", "/typedConfig/@type"];
    POINTERS.iter().find_map(|pointer| Some(element.pointer(pointer)?.as_str()?.to_owned()))
}

/// How many precisions [`identity`] knows, the most exact first.
const IDENTITIES: usize = 3;

/// What makes two elements of a list without order the same thing, though they differ elsewhere.
fn identity(element: &Value, precision: usize) -> Option<String> {
    let part = |pointer: &str| element.pointer(pointer).map(Value::to_string);
    let name = part("/name");
    match precision {
        0 => Some(format!("{} {:?}", name?, part("/filterChainMatch"))),
        1 => part("/endpoint/address")
            .or_else(|| Some(format!("{} {:?}", part("/locality")?, part("/priority"))))
            .or_else(|| part("/filterChainMatch")),
        _ => name.or_else(|| part("/locality")),
    }
}

/// A short name for an element of a list without order.
fn title(element: &Value) -> String {
    let text = |pointer: &str| element.pointer(pointer).and_then(Value::as_str);
    if let Some(name) = text("/name").or_else(|| text("/endpoint/address/socketAddress/address")) {
        return name.to_owned();
    }
    match element.pointer("/locality") {
        Some(Value::Object(parts)) => {
            let parts: Vec<&str> = ["region", "zone", "subZone"]
                .iter()
                .filter_map(|part| parts.get(*part).and_then(Value::as_str))
                .collect();
            parts.join("/")
        }
        _ => element.as_str().map(str::to_owned).unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
