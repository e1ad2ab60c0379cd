//! Istio's own functions (istiod-surface 5.5).

use std::collections::HashMap;

use gtmpl_ng::{FuncError, Value};
use serde_json::Value as Json;

use super::otel::otel_resource_attributes;
use super::value::{field_text, fields, shown, to_json};
use super::{Answer, ENVIRONMENT, Table, argument, text_at, wrong};
use crate::{PROXY, duration};

pub(super) const TABLE: &Table = &[
    ("formatDuration", format_duration),
    ("isset", isset),
    ("excludeInboundPort", exclude_inbound_port),
    ("includeInboundPorts", include_inbound_ports),
    ("applicationPorts", application_ports),
    ("kubevirtInterfaces", same),
    ("excludeInterfaces", same),
    ("annotation", annotation),
    ("valueOrDefault", value_or_default),
    ("directory", directory),
    ("appendMultusNetwork", append_multus_network),
    ("env", env),
    ("omit", omit),
    ("strdict", strdict),
    ("toJsonMap", to_json_map),
    ("mergeMaps", merge_maps),
    ("omitNil", omit_nil),
    ("otelResourceAttributes", otel_resource_attributes),
];

fn format_duration(arguments: &[Value]) -> Answer {
    let given = shown(argument(arguments, 0)?);
    Ok(Value::from(duration::go_text(&given).unwrap_or_else(|| "0s".into())))
}

fn isset(arguments: &[Value]) -> Answer {
    let key = text_at(arguments, 1)?;
    Ok(Value::Bool(fields(argument(arguments, 0)?).is_some_and(|map| map.contains_key(key))))
}

/// The port beside those of the list, unless it is there, empty or zero.
fn exclude_inbound_port(arguments: &[Value]) -> Answer {
    let port = shown(argument(arguments, 0)?);
    let (port, excluded) = (port.trim(), text_at(arguments, 1)?);
    if port.is_empty() || port == "0" || excluded.split(',').any(|known| known == port) {
        return Ok(Value::from(excluded));
    }
    let known = excluded.split(',').map(str::trim).filter(|known| !known.is_empty());
    Ok(Value::from(known.chain([port]).collect::<Vec<_>>().join(",")))
}

fn include_inbound_ports(arguments: &[Value]) -> Answer {
    Ok(Value::from(ports(argument(arguments, 0)?, |_| true)))
}

fn application_ports(arguments: &[Value]) -> Answer {
    Ok(Value::from(ports(argument(arguments, 0)?, |name| name != PROXY)))
}

fn ports(containers: &Value, wanted: impl Fn(&str) -> bool) -> String {
    let Value::Array(containers) = containers else { return String::new() };
    let chosen =
        containers.iter().filter(|container| wanted(field_text(container, "Name").unwrap_or_default()));
    chosen.flat_map(tcp_ports).collect::<Vec<_>>().join(",")
}

/// The ports of a container that take TCP.
fn tcp_ports(container: &Value) -> Vec<String> {
    let Some(Value::Array(ports)) = fields(container).and_then(|fields| fields.get("Ports")) else {
        return Vec::new();
    };
    let tcp = ports.iter().filter(|port| !matches!(field_text(port, "Protocol"), Some("UDP" | "SCTP")));
    tcp.filter_map(|port| Some(shown(fields(port)?.get("ContainerPort")?))).collect()
}

fn same(arguments: &[Value]) -> Answer {
    text_at(arguments, 0).map(Value::from)
}

fn annotation(arguments: &[Value]) -> Answer {
    let (meta, name) = (argument(arguments, 0)?, text_at(arguments, 1)?);
    let annotations = fields(meta).and_then(|meta| meta.get("Annotations"));
    match annotations.and_then(|annotations| field_text(annotations, name)) {
        Some(written) => Ok(Value::from(written)),
        None => Ok(Value::from(shown(argument(arguments, 2)?))),
    }
}

fn value_or_default(arguments: &[Value]) -> Answer {
    let (value, otherwise) = (argument(arguments, 0)?, argument(arguments, 1)?);
    let given = !matches!(value, Value::Nil | Value::NoValue) && *value != Value::from("");
    Ok(if given { value.clone() } else { otherwise.clone() })
}

/// The folder of a path, with the slash at its end.
fn directory(arguments: &[Value]) -> Answer {
    let path = shown(argument(arguments, 0)?);
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    Ok(Value::from(path.get(..end).unwrap_or_default()))
}

fn append_multus_network(arguments: &[Value]) -> Answer {
    Ok(Value::from(with_network(text_at(arguments, 0)?, text_at(arguments, 1)?)))
}

/// A list of networks, as names or as JSON, with one more.
pub(crate) fn with_network(existing: &str, network: &str) -> String {
    if existing.is_empty() {
        return network.to_owned();
    }
    let Some(end) = existing.rfind(']') else {
        let known = existing.split(',').any(|known| known.trim() == network);
        return if known { existing.to_owned() } else { format!("{existing}, {network}") };
    };
    let Ok(networks) = serde_json::from_str::<Vec<serde_json::Map<String, Json>>>(existing) else {
        tracing::warn!(annotation = existing, "the Multus annotation is no JSON list; it is left as it is");
        return existing.to_owned();
    };
    let (namespace, name) = network.split_once('/').unwrap_or(("", network));
    let text = |map: &serde_json::Map<String, Json>, field: &str| {
        map.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    if networks.iter().any(|known| text(known, "name") == name && text(known, "namespace") == namespace) {
        return existing.to_owned();
    }
    let (head, tail) = existing.split_at(end);
    match namespace {
        "" => format!("{head}, {{\"name\": \"{name}\"}}{tail}"),
        _ => format!("{head}, {{\"name\": \"{name}\", \"namespace\": \"{namespace}\"}}{tail}"),
    }
}

fn env(arguments: &[Value]) -> Answer {
    let (name, otherwise) = (text_at(arguments, 0)?, text_at(arguments, 1)?);
    let set =
        ENVIRONMENT.with_borrow(|environment| environment.get(name).filter(|set| !set.is_empty()).cloned());
    Ok(Value::from(set.unwrap_or_else(|| otherwise.to_owned())))
}

fn map_at(arguments: &[Value], at: usize) -> Result<HashMap<String, Value>, FuncError> {
    match argument(arguments, at)? {
        Value::Nil | Value::NoValue => Ok(HashMap::new()),
        value => fields(value).cloned().ok_or_else(|| wrong(format!("argument {} is no map", at + 1))),
    }
}

fn omit(arguments: &[Value]) -> Answer {
    let mut map = map_at(arguments, 0)?;
    for at in 1..arguments.len() {
        map.remove(text_at(arguments, at)?);
    }
    Ok(Value::Map(map))
}

fn strdict(arguments: &[Value]) -> Answer {
    let pairs = arguments.chunks(2).map(|pair| {
        let name = pair.first().map(shown).unwrap_or_default();
        (name, Value::from(pair.get(1).map(shown).unwrap_or_default()))
    });
    Ok(Value::Map(pairs.collect()))
}

fn merge_maps(arguments: &[Value]) -> Answer {
    let mut merged = HashMap::new();
    for at in 0..arguments.len() {
        merged.extend(map_at(arguments, at)?);
    }
    Ok(Value::Map(merged))
}

fn to_json_map(arguments: &[Value]) -> Answer {
    Ok(Value::from(to_json(&merge_maps(arguments)?).to_string()))
}

fn omit_nil(arguments: &[Value]) -> Answer {
    Ok(without_nil(argument(arguments, 0)?).0)
}

/// The value without what is nil in it, and whether anything was. A map or list that is empty for it is nil.
fn without_nil(value: &Value) -> (Value, bool) {
    match value {
        Value::Nil | Value::NoValue => (Value::Nil, true),
        Value::Map(map) | Value::Object(map) => {
            let cleaned: Vec<_> = map.iter().map(|(name, value)| (name, without_nil(value))).collect();
            if !cleaned.iter().any(|(_, (_, changed))| *changed) {
                return (value.clone(), false);
            }
            let kept = cleaned.into_iter().filter(|(_, (value, _))| *value != Value::Nil);
            let kept: HashMap<_, _> = kept.map(|(name, (value, _))| (name.clone(), value)).collect();
            (if kept.is_empty() { Value::Nil } else { Value::Map(kept) }, true)
        }
        Value::Array(items) => {
            let cleaned: Vec<_> = items.iter().map(without_nil).collect();
            if !cleaned.iter().any(|(_, changed)| *changed) {
                return (value.clone(), false);
            }
            let kept = cleaned.into_iter().map(|(value, _)| value).filter(|value| *value != Value::Nil);
            let kept: Vec<_> = kept.collect();
            (if kept.is_empty() { Value::Nil } else { Value::Array(kept) }, true)
        }
        other => (other.clone(), false),
    }
}
