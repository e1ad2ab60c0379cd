//! Which annotations a pod may bear (istiod-surface 5.9).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::{Error, mesh, quantity};

type Check = fn(&str) -> Result<(), String>;

const CHECKED: [(&str, Check); 19] = [
    ("sidecar.istio.io/interceptionMode", interception_mode),
    ("status.sidecar.istio.io/port", status_port),
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", whole_number),
    ("readiness.status.sidecar.istio.io/periodSeconds", whole_number),
    ("readiness.status.sidecar.istio.io/failureThreshold", whole_number),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", include_ranges),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", exclude_ranges),
    ("traffic.sidecar.istio.io/includeInboundPorts", include_inbound),
    ("traffic.sidecar.istio.io/excludeInboundPorts", exclude_inbound),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", exclude_outbound),
    ("traffic.sidecar.istio.io/excludeInterfaces", interfaces),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", interfaces),
    ("istio.io/reroute-virtual-interfaces", interfaces),
    ("prometheus.istio.io/merge-metrics", truth),
    (mesh::PROXY_CONFIG, mesh::check_annotation),
    ("sidecar.istio.io/proxyCPU", resource),
    ("sidecar.istio.io/proxyMemory", resource),
    ("sidecar.istio.io/proxyCPULimit", resource),
    ("sidecar.istio.io/proxyMemoryLimit", resource),
];

/// All of a pod's annotations; the error names each that is wrong.
pub(crate) fn check(annotations: &BTreeMap<String, String>) -> Result<(), Error> {
    let wrong = CHECKED.iter().filter_map(|(name, check)| {
        let value = annotations.get(*name)?;
        let reason = check(value).err()?;
        Some(format!("invalid value '{value}' for annotation '{name}': {reason}"))
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(()) } else { Err(Error::Annotations(wrong)) }
}

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn truth(value: &str) -> Result<(), String> {
    parse_bool(value).map(drop).ok_or_else(|| "true or false is expected".into())
}

fn interception_mode(value: &str) -> Result<(), String> {
    match value {
        "REDIRECT" | "TPROXY" | "NONE" => Ok(()),
        other => Err(format!("interceptionMode invalid, use REDIRECT,TPROXY,NONE: {other}")),
    }
}

fn whole_number(value: &str) -> Result<(), String> {
    value.parse::<u32>().map(drop).map_err(|_| "a whole number from 0 is expected".into())
}

fn status_port(value: &str) -> Result<(), String> {
    port(value).map_err(|reason| format!("excludeInboundPorts invalid: {reason}"))
}

fn port(value: &str) -> Result<(), String> {
    value.trim().parse::<u16>().map(drop).map_err(|_| format!("failed parsing port '{value}'"))
}

fn ports(name: &str, value: &str) -> Result<(), String> {
    let value = value.trim();
    if value.is_empty() {
        return Ok(());
    }
    value.split(',').try_for_each(port).map_err(|reason| format!("{name} invalid: {reason}"))
}

fn include_inbound(value: &str) -> Result<(), String> {
    if value == "*" { Ok(()) } else { ports("includeInboundPorts", value) }
}

fn exclude_inbound(value: &str) -> Result<(), String> {
    ports("excludeInboundPorts", value)
}

fn exclude_outbound(value: &str) -> Result<(), String> {
    ports("excludeOutboundPorts", value)
}

fn include_ranges(value: &str) -> Result<(), String> {
    if value == "*" { Ok(()) } else { ranges("includeIPRanges", value) }
}

fn exclude_ranges(value: &str) -> Result<(), String> {
    ranges("excludeIPRanges", value)
}

fn ranges(name: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    let bad = value.split(',').find(|range| !is_range(range));
    bad.map_or(Ok(()), |range| Err(format!("{name} invalid: failed parsing cidr '{range}'")))
}

fn is_range(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = plain && (length.len() == 1 || !length.starts_with('0'));
    match (address.parse::<IpAddr>(), length.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(length)) => shortest && length <= 32,
        (Ok(IpAddr::V6(_)), Ok(length)) => shortest && length <= 128,
        _ => false,
    }
}

/// Names of network interfaces, with commas between.
fn interfaces(value: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        let name = name.trim();
        name.len() <= 15
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if value.is_empty() {
        return Ok(());
    }
    let bad = value.split(',').find(|name| !is_name(name));
    bad.map_or(Ok(()), |name| Err(format!("invalid interface name '{name}'")))
}

pub(crate) fn resource(value: &str) -> Result<(), String> {
    if value.chars().any(char::is_control) {
        return Err("value contains control characters".into());
    }
    quantity::canonical(value).map(drop).ok_or_else(|| "a quantity such as 100m or 128Mi is expected".into())
}
