//! What a Sidecar leaves visible, of services that are no Kubernetes objects.

use std::collections::BTreeMap;

use memo::Shared;
use mesh::{Config, RouteIndex, RuleIndex, ScopeInputs};
use model::networking::ExportTo;
use model::parse::{Context, parse_object};
use model::service::{TargetPort, TrafficDistribution};
use model::{
    Change, Created, Host, Key, Kind, Labels, Protocol, Registry, Resolution, Service, ServicePort, Text,
};
use serde_json::Value;
use testkit::family::scope::{Input, Scope};

/// The scope of namespace `mynamespace` over these services and objects.
pub(crate) fn compute(input: &Input) -> Result<Scope, String> {
    let (settings, _) = pilothouse::settings::parse(pilothouse::settings::MESH, &input.env);
    let mut config = Config { settings: Shared::new(settings), ..Config::default() };
    let mut specs = BTreeMap::new();
    for (at, object) in input.virtual_services.iter().enumerate() {
        apply(&mut config, object, at)?;
    }
    for (at, object) in input.destination_rules.iter().enumerate() {
        let key = apply(&mut config, object, at)?;
        specs.insert(key, object.get("spec").cloned().unwrap_or_default());
    }
    let sidecar = match &input.sidecar {
        Some(object) => {
            let key = apply(&mut config, object, 0)?;
            config.sidecars.get(&key).cloned()
        }
        None => None,
    };
    let empty = Config::default();
    let scope = mesh::Scope::new(&ScopeInputs {
        namespace: "mynamespace".into(),
        rule_labels: sidecar.as_ref().map(|sidecar| sidecar.meta.labels.clone()).unwrap_or_default(),
        sidecar,
        gateway: false,
        services: Shared::new(input.services.iter().enumerate().map(service).collect()),
        routes: Shared::new(RouteIndex::default().next(&empty, &config)),
        rules: Shared::new(RuleIndex::default().next(&empty, &config)),
        mesh: config.mesh.clone(),
        settings: config.settings.clone(),
    });
    let rule = scope.rule(&Host::new("httpbin.org")).and_then(|rule| rule.from.first());
    Ok(Scope {
        services: scope.services.iter().filter_map(|scoped| shown(input, scoped)).collect(),
        egress_listeners: scope.egress.len(),
        destination_rule: rule.and_then(|meta| specs.get(&meta.key).cloned()),
    })
}

/// Parses an object under a name of its own and puts it in.
fn apply(config: &mut Config, object: &Value, at: usize) -> Result<Key, String> {
    let mut object = object.clone();
    if let Some(name) = object.pointer_mut("/metadata/name") {
        *name = format!("{}-{at}", name.as_str().unwrap_or_default()).into();
    }
    let context = Context { cluster: "Kubernetes".into(), domain: "".into() };
    let parsed = parse_object(&object, &context).ok_or("an object of a kind that is not read")?;
    let change = Change {
        key: parsed.key.clone(),
        value: parsed.value,
        origin: std::sync::Arc::default(),
        problems: Vec::new(),
    };
    config.apply(change);
    Ok(parsed.key)
}

fn text(value: &Value, field: &str) -> Text {
    value.get(field).and_then(Value::as_str).unwrap_or_default().into()
}

fn number(value: &Value, field: &str) -> u16 {
    value.get(field).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
}

fn port(written: &Value) -> ServicePort {
    let number = number(written, "port");
    ServicePort {
        name: text(written, "name"),
        number,
        protocol: Protocol::of_istio_port(&text(written, "protocol"), number),
        target: TargetPort::Number(number),
    }
}

/// A service of the registry; its object is called after its place in the list.
fn service((at, written): (usize, &Value)) -> Service {
    let attributes = written.get("attributes").unwrap_or(&Value::Null);
    let selector = attributes.get("labelSelectors").and_then(Value::as_object);
    let pairs = |map: &serde_json::Map<String, Value>| -> Labels {
        map.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    };
    let created =
        text(written, "creationTime").parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
    let kubernetes = &*text(attributes, "serviceRegistry") == "Kubernetes";
    Service {
        host: Host::new(&text(written, "hostname")),
        namespace: text(attributes, "namespace"),
        name: text(attributes, "name"),
        object: Key {
            cluster: "Kubernetes".into(),
            kind: Kind::Service,
            namespace: text(attributes, "namespace"),
            name: at.to_string().into(),
        },
        created: Created(created),
        registry: if kubernetes { Registry::Kubernetes } else { Registry::External },
        ports: written.get("ports").and_then(Value::as_array).into_iter().flatten().map(port).collect(),
        resolution: if number(written, "resolution") == 1 { Resolution::Dns } else { Resolution::Static },
        external: false,
        address: model::service::UNSPECIFIED.into(),
        cluster_vips: BTreeMap::new(),
        auto_addresses: Vec::new(),
        accounts: Vec::new(),
        labels: Labels::default(),
        export_to: ExportTo::Public,
        selector: selector.map(pairs),
        external_name: None,
        node_local: false,
        traffic_distribution: TrafficDistribution::Any,
        publish_not_ready: false,
        passthrough_target_ports: BTreeMap::new(),
        race_connect: false,
    }
}

/// A visible service as it was written, with just its visible ports.
fn shown(input: &Input, scoped: &mesh::ScopedService) -> Option<Value> {
    let at: usize = scoped.service.object.name.parse().ok()?;
    let mut written = input.services.get(at)?.clone();
    let of = |port: &ServicePort| {
        let all = input.services.iter().filter_map(|one| one.get("ports")?.as_array()).flatten();
        let own = written.get("ports").and_then(Value::as_array).into_iter().flatten();
        let same = |one: &&Value| number(one, "port") == port.number && text(one, "name") == port.name;
        own.chain(all).find(same).cloned()
    };
    let ports: Vec<Value> = scoped.ports().filter_map(of).collect();
    match written.get_mut("ports") {
        Some(list) => *list = ports.into(),
        None if ports.is_empty() => {}
        None => drop(written.as_object_mut()?.insert("ports".into(), ports.into())),
    }
    Some(written)
}
