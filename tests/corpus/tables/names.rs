//! Names: hosts, labels, protocols, identities, clusters, versions.

use model::proxy::IstioVersion;
use model::{Caller, Host, Protocol};
use serde_json::{Value, json};

use super::{labels, list, text};

/// The checks of names.
pub(super) fn compute(check: &str, inputs: &Value) -> Option<Value> {
    let word = |field| text(inputs, field);
    let host = |field| Host::new(text(inputs, field));
    Some(match check {
        "host-matches" => json!({"out": host("a").overlaps(&host("b"))}),
        "host-subset-of" => json!({"out": host("a").is_subset_of(&host("b"))}),
        "host-more-specific" => json!({"expected": host("host1").specificity(&host("host2")).is_lt()}),
        "hosts-sort" => json!({"want": sorted(inputs)}),
        "resolve-short-name" => json!({"out": resolved(inputs)}),
        "protocol-parse" => {
            json!({"out": Protocol::from_word(word("name")).unwrap_or(Protocol::Auto).name()})
        }
        "port-protocol" => json!({"expectedProto": protocol(inputs, "portName", "appProto")}),
        "port-protocol-registry" => json!({"out": protocol(inputs, "name", "appProtocol")}),
        "labels-subset" => json!({"expected": subset(inputs)}),
        "labels-equal" => json!({"want": labels(inputs, "a") == labels(inputs, "b")}),
        "spiffe-parse" => json!({"expected": identity::spiffe::parse(word("input")).map(|who| shown(&who))}),
        "spiffe-uri" => json!({"expectedURI": identity::spiffe::uri(&caller(inputs)?)}),
        "subset-key-parse" => cluster(word("input"))?,
        "istio-version-compare" => json!({"want": compared(inputs)?}),
        _ => return None,
    })
}

fn protocol(inputs: &Value, name: &str, word: &str) -> &'static str {
    let number = inputs.get("port").and_then(Value::as_u64).and_then(|port| port.try_into().ok());
    let word = inputs.get(word).and_then(Value::as_str);
    let transport = text(inputs, "proto");
    Protocol::of_kube_port(transport, word, text(inputs, name), number.unwrap_or_default()).name()
}

fn sorted(inputs: &Value) -> Vec<String> {
    let mut hosts: Vec<Host> = list(inputs, "in").filter_map(Value::as_str).map(Host::new).collect();
    hosts.sort_by(Host::specificity);
    hosts.iter().map(ToString::to_string).collect()
}

fn resolved(inputs: &Value) -> String {
    let meta = inputs.get("meta").unwrap_or(&Value::Null);
    Host::resolve(text(inputs, "name"), text(meta, "namespace"), text(meta, "domain")).to_string()
}

/// A selector that says nothing is within all labels, and selects nothing.
fn subset(inputs: &Value) -> Value {
    let (left, right) = (labels(inputs, "left"), labels(inputs, "right"));
    let is = left.selects(&right);
    json!({"subsetOf": is, "selected": is && !left.is_empty()})
}

fn shown(who: &Caller) -> Value {
    let Caller { trust_domain, namespace, service_account } = who;
    json!({"TrustDomain": trust_domain, "Namespace": namespace, "ServiceAccount": service_account})
}

/// Whose URI is asked for; an identity is never without namespace or account here.
fn caller(inputs: &Value) -> Option<Caller> {
    let part = |field| Some(text(inputs, field)).filter(|part| !part.is_empty());
    Some(Caller {
        trust_domain: text(inputs, "trustDomain").into(),
        namespace: part("namespace")?.into(),
        service_account: part("serviceAccount")?.into(),
    })
}

/// Outbound clusters; names of others are never read here.
fn cluster(name: &str) -> Option<Value> {
    let cluster = translate::names::parse_outbound(name)?;
    let (subset, host) = (cluster.subset, cluster.host.as_str());
    Some(json!({"direction": "outbound", "subsetName": subset, "hostname": host, "port": cluster.port}))
}

/// -1, 0 or 1; a part that is not said (-1) has no place in a version here.
fn compared(inputs: &Value) -> Option<i8> {
    let version = |value: &Value| {
        let part = |field| value.get(field).and_then(Value::as_u64)?.try_into().ok();
        Some(IstioVersion(part("Major")?, part("Minor")?, part("Patch")?))
    };
    let (one, two) = (version(inputs.get("fields")?)?, version(inputs.pointer("/args/inv")?)?);
    Some(one.cmp(&two) as i8)
}
