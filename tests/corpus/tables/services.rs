//! Services: what their annotations prefer, who is another name of whom, and what their clusters' statistics are called.

use std::sync::Arc;

use mesh::{Config, ServiceIndex};
use model::parse::{Context, parse_object};
use model::service::TrafficDistribution;
use model::{Change, Host};
use serde_json::{Value, json};
use testkit::offline::Request;

use super::{list, text};
use crate::product;

/// The checks of services.
pub(super) fn compute(check: &str, inputs: &Value) -> Option<Result<Value, String>> {
    Some(match check {
        "traffic-distribution" => distribution(inputs),
        "resolve-service-aliases" => aliases(inputs),
        "stat-prefix-outbound" => stat_name(inputs),
        _ => return None,
    })
}

fn index(objects: &[Value]) -> Result<ServiceIndex, String> {
    let mut config = Config::default();
    for object in objects {
        let context = Context { cluster: "Kubernetes".into(), domain: "cluster.local".into() };
        let parsed = parse_object(object, &context).ok_or("an object that is not read")?;
        let origin = Arc::default();
        config.apply(Change { key: parsed.key, value: parsed.value, origin, problems: Vec::new() });
    }
    Ok(ServiceIndex::default().next(&Config::default(), &config))
}

fn host(name: &str) -> String {
    format!("{name}.default.svc.cluster.local")
}

fn distribution(inputs: &Value) -> Result<Value, String> {
    let ports = json!([{"name": "http", "port": 80}]);
    let mut spec = json!({"ports": ports, "clusterIP": "10.0.0.1"});
    if let Some(prefers) = inputs["specValue"].as_str() {
        spec["trafficDistribution"] = prefers.into();
    }
    let index = index(&[
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "default", "annotations": inputs["nsAnnotation"]}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": {"name": "a", "namespace": "default", "annotations": inputs["svcAnnotation"]}}),
    ])?;
    let service = index.of_host(&Host::new(&host("a"))).first().ok_or("there is no such service")?;
    let number = match service.traffic_distribution {
        TrafficDistribution::Any => 0,
        TrafficDistribution::PreferSameZone => 1,
        TrafficDistribution::PreferSameNode => 2,
    };
    Ok(json!({"want": number}))
}

/// An alias is a Service of type ExternalName; the others are usual ones.
fn aliases(inputs: &Value) -> Result<Value, String> {
    let object = |written: &Value| {
        let (name, target) = (text(written, "Name"), text(written, "ExternalName"));
        let spec = match target {
            "" => json!({"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": 80}]}),
            target => json!({"type": "ExternalName", "externalName": host(target)}),
        };
        json!({"apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": {"name": name, "namespace": "default"}})
    };
    let index = index(&list(inputs, "input").map(object).collect::<Vec<_>>())?;
    let shown = |written: &Value| {
        let aliases = index.aliases(&Host::new(&host(text(written, "Name"))));
        let aliases = aliases.iter().map(|alias| alias.as_str().split('.').next().unwrap_or_default());
        let mut shown = written.clone();
        shown["Aliases"] = aliases.collect::<Vec<_>>().into();
        shown
    };
    Ok(json!({"output": list(inputs, "input").map(shown).collect::<Vec<_>>()}))
}

/// Of the cluster that is sent; the semicolon at its end is where Envoy ends the name.
fn stat_name(inputs: &Value) -> Result<Value, String> {
    let (attributes, port, subset) = (&inputs["attributes"], &inputs["port"], text(inputs, "subsetName"));
    let (name, namespace) = (text(attributes, "Name"), text(attributes, "Namespace"));
    let metadata = json!({"name": name, "namespace": namespace});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": port["name"], "port": port["port"]}]}});
    let rule = json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata,
        "spec": {"host": inputs["host"], "subsets": [{"name": subset, "labels": {"version": subset}}]}});
    let mut files = vec![("service.yaml".to_owned(), service.to_string())];
    files.extend((!subset.is_empty()).then(|| ("rule.yaml".to_owned(), rule.to_string())));
    let answer = product::translate(&Request {
        files,
        mesh: Some(json!({"outboundClusterStatName": inputs["statPattern"]}).to_string()),
        node: json!({"id": "sidecar~10.0.0.9~a.default~default.svc.cluster.local"}),
        types: vec!["cds".to_owned()],
        ..Request::default()
    })?;
    let cluster = format!("outbound|{}|{subset}|{}", port["port"], text(inputs, "host"));
    let sent = answer.of("cds").iter().find(|(sent, _)| *sent == cluster);
    let (_, sent) = sent.ok_or_else(|| format!("no {cluster} is sent; problems: {:?}", answer.problems))?;
    Ok(json!({"want": text(sent, "altStatName").trim_end_matches(';')}))
}
