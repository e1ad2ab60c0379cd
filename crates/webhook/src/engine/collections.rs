//! Sprig's functions of lists and maps, and of what is not given.

use std::collections::{HashMap, HashSet};

use gtmpl_ng::{FuncError, Value};

use super::value::{fields, is_empty, shown, type_name};
use super::{Answer, Table, argument, text_at, wrong};

pub(super) const TABLE: &Table = &[
    ("default", default),
    ("empty", empty),
    ("coalesce", coalesce),
    ("ternary", ternary),
    ("fail", fail),
    ("kindOf", kind_of),
    ("typeOf", kind_of),
    ("kindIs", kind_is),
    ("typeIs", kind_is),
    ("list", list),
    ("tuple", list),
    ("append", append),
    ("push", append),
    ("prepend", prepend),
    ("concat", concat),
    ("first", first),
    ("last", last),
    ("rest", rest),
    ("initial", initial),
    ("reverse", reverse),
    ("uniq", uniq),
    ("compact", compact),
    ("without", without),
    ("has", has),
    ("sortAlpha", sort_alpha),
    ("dict", dict),
    ("get", get),
    ("set", set),
    ("unset", unset),
    ("hasKey", has_key),
    ("keys", keys),
    ("values", values),
    ("pick", pick),
    ("merge", merge),
    ("mergeOverwrite", merge_overwrite),
    ("dig", dig),
    ("all", all),
    ("any", any),
    ("deepCopy", deep_copy),
];

fn default(arguments: &[Value]) -> Answer {
    let otherwise = argument(arguments, 0)?;
    Ok(arguments.get(1).filter(|given| !is_empty(given)).unwrap_or(otherwise).clone())
}

fn empty(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(is_empty(argument(arguments, 0)?)))
}

fn coalesce(arguments: &[Value]) -> Answer {
    Ok(arguments.iter().find(|value| !is_empty(value)).cloned().unwrap_or(Value::Nil))
}

fn ternary(arguments: &[Value]) -> Answer {
    let chosen = if is_empty(argument(arguments, 2)?) { 1 } else { 0 };
    argument(arguments, chosen).cloned()
}

fn fail(arguments: &[Value]) -> Answer {
    Err(wrong(text_at(arguments, 0)?))
}

fn kind_of(arguments: &[Value]) -> Answer {
    Ok(Value::from(type_name(argument(arguments, 0)?)))
}

fn kind_is(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(text_at(arguments, 0)? == type_name(argument(arguments, 1)?)))
}

fn items(arguments: &[Value], at: usize) -> Result<&[Value], FuncError> {
    match argument(arguments, at)? {
        Value::Array(items) => Ok(items),
        Value::NoValue | Value::Nil => Ok(&[]),
        other => Err(wrong(format!("argument {} is {}; a list is expected", at + 1, type_name(other)))),
    }
}

fn entries(arguments: &[Value], at: usize) -> Result<&HashMap<String, Value>, FuncError> {
    let given = argument(arguments, at)?;
    fields(given)
        .ok_or_else(|| wrong(format!("argument {} is {}; a map is expected", at + 1, type_name(given))))
}

fn list(arguments: &[Value]) -> Answer {
    Ok(Value::Array(arguments.to_vec()))
}

fn append(arguments: &[Value]) -> Answer {
    let mut longer = items(arguments, 0)?.to_vec();
    longer.push(argument(arguments, 1)?.clone());
    Ok(Value::Array(longer))
}

fn prepend(arguments: &[Value]) -> Answer {
    let mut longer = vec![argument(arguments, 1)?.clone()];
    longer.extend_from_slice(items(arguments, 0)?);
    Ok(Value::Array(longer))
}

fn concat(arguments: &[Value]) -> Answer {
    let mut longer = Vec::new();
    for at in 0..arguments.len() {
        longer.extend_from_slice(items(arguments, at)?);
    }
    Ok(Value::Array(longer))
}

fn first(arguments: &[Value]) -> Answer {
    Ok(items(arguments, 0)?.first().cloned().unwrap_or(Value::Nil))
}

fn last(arguments: &[Value]) -> Answer {
    Ok(items(arguments, 0)?.last().cloned().unwrap_or(Value::Nil))
}

fn rest(arguments: &[Value]) -> Answer {
    Ok(Value::Array(items(arguments, 0)?.iter().skip(1).cloned().collect()))
}

fn initial(arguments: &[Value]) -> Answer {
    let items = items(arguments, 0)?;
    Ok(Value::Array(items.iter().take(items.len().saturating_sub(1)).cloned().collect()))
}

fn reverse(arguments: &[Value]) -> Answer {
    Ok(Value::Array(items(arguments, 0)?.iter().rev().cloned().collect()))
}

fn uniq(arguments: &[Value]) -> Answer {
    let mut seen = HashSet::new();
    let items = items(arguments, 0)?.iter().filter(|item| seen.insert((type_name(item), shown(item))));
    Ok(Value::Array(items.cloned().collect()))
}

fn compact(arguments: &[Value]) -> Answer {
    Ok(Value::Array(items(arguments, 0)?.iter().filter(|item| !is_empty(item)).cloned().collect()))
}

fn without(arguments: &[Value]) -> Answer {
    let left_out = arguments.get(1..).unwrap_or_default();
    Ok(Value::Array(items(arguments, 0)?.iter().filter(|item| !left_out.contains(item)).cloned().collect()))
}

fn has(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(items(arguments, 1)?.contains(argument(arguments, 0)?)))
}

fn sort_alpha(arguments: &[Value]) -> Answer {
    let mut sorted: Vec<_> = items(arguments, 0)?.iter().map(shown).collect();
    sorted.sort();
    Ok(Value::Array(sorted.into_iter().map(Value::from).collect()))
}

fn dict(arguments: &[Value]) -> Answer {
    let pairs = arguments.chunks(2).map(|pair| {
        let name = pair.first().map(shown).unwrap_or_default();
        (name, pair.get(1).cloned().unwrap_or_else(|| Value::from("")))
    });
    Ok(Value::Map(pairs.collect()))
}

fn get(arguments: &[Value]) -> Answer {
    let found = entries(arguments, 0)?.get(text_at(arguments, 1)?);
    Ok(found.cloned().unwrap_or_else(|| Value::from("")))
}

/// `set`: answers the map with the entry. Values are no references here, so it must be assigned.
fn set(arguments: &[Value]) -> Answer {
    let mut map = entries(arguments, 0)?.clone();
    map.insert(text_at(arguments, 1)?.to_owned(), argument(arguments, 2)?.clone());
    Ok(Value::Map(map))
}

fn unset(arguments: &[Value]) -> Answer {
    let mut map = entries(arguments, 0)?.clone();
    map.remove(text_at(arguments, 1)?);
    Ok(Value::Map(map))
}

fn has_key(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(entries(arguments, 0)?.contains_key(text_at(arguments, 1)?)))
}

/// Sorted, unlike sprig's, so that a pod is injected the same twice.
fn keys(arguments: &[Value]) -> Answer {
    let mut keys = Vec::new();
    for at in 0..arguments.len() {
        keys.extend(entries(arguments, at)?.keys().cloned());
    }
    keys.sort();
    Ok(Value::Array(keys.into_iter().map(Value::from).collect()))
}

fn values(arguments: &[Value]) -> Answer {
    let mut pairs: Vec<_> = entries(arguments, 0)?.iter().collect();
    pairs.sort_by_key(|(name, _)| *name);
    Ok(Value::Array(pairs.into_iter().map(|(_, value)| value.clone()).collect()))
}

fn pick(arguments: &[Value]) -> Answer {
    let wanted: Vec<_> = arguments.iter().skip(1).map(shown).collect();
    let map = entries(arguments, 0)?.iter().filter(|(name, _)| wanted.contains(name));
    Ok(Value::Map(map.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

fn merge(arguments: &[Value]) -> Answer {
    let mut merged = entries(arguments, 0)?.clone();
    for at in 1..arguments.len() {
        below(&mut merged, entries(arguments, at)?);
    }
    Ok(Value::Map(merged))
}

fn below(target: &mut HashMap<String, Value>, other: &HashMap<String, Value>) {
    for (name, value) in other {
        match (target.get_mut(name), value) {
            (Some(Value::Map(inner)), Value::Map(other)) => below(inner, other),
            (Some(present), _) if !is_empty(present) => {}
            _ => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

fn merge_overwrite(arguments: &[Value]) -> Answer {
    let mut turned = arguments.to_vec();
    turned.reverse();
    merge(&turned)
}

fn dig(arguments: &[Value]) -> Answer {
    let [path @ .., otherwise, map] = arguments else {
        return Err(wrong("dig needs a path, a default and a map"));
    };
    let mut at = map;
    for name in path {
        match fields(at).and_then(|fields| fields.get(&shown(name))) {
            Some(next) => at = next,
            None => return Ok(otherwise.clone()),
        }
    }
    Ok(at.clone())
}

fn all(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(!arguments.iter().any(is_empty)))
}

fn any(arguments: &[Value]) -> Answer {
    Ok(Value::Bool(arguments.iter().any(|value| !is_empty(value))))
}

fn deep_copy(arguments: &[Value]) -> Answer {
    argument(arguments, 0).cloned()
}
