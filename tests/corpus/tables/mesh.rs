//! The mesh: its configuration, its policies, and the nodes of proxies.

use ::mesh::{AuthnIndex, Config};
use model::mesh_config::MeshConfig;
use model::networking::MutualTlsMode;
use model::parse::{Context, mesh_as_json, parse_mesh_config, parse_object};
use model::{Change, Host, Key, Kind, Labels, Proxy, ProxyKind};
use serde_json::{Map, Value, json};

use super::{list, text};

/// The checks of the mesh.
pub(super) fn compute(check: &str, inputs: &Value) -> Option<Result<Value, String>> {
    Some(match check {
        "cluster-local" => parsed(&inputs["m"]).map(|mesh| {
            let is = mesh.cluster_locals().covers(&Host::new(text(inputs, "host")), "cluster.local");
            json!({"expected": is})
        }),
        "mesh-locality-zone-aware" => written(text(inputs, "yaml")).and_then(|yaml| localities(&yaml)),
        "mesh-deep-merge" => merged(inputs),
        "peer-authentication-compose" => composed(inputs),
        "istio-version-parse" => proxy(&json!({"ISTIO_VERSION": inputs["args"]["ver"]}))
            .map(|proxy| json!({"want": version(&proxy)})),
        "node-metadata-parse" => proxy(&inputs["metadata"]).map(|proxy| json!({"out": node(&proxy)})),
        _ => return None,
    })
}

fn object(kind: Kind) -> Key {
    Key { cluster: "Kubernetes".into(), kind, namespace: "istio-system".into(), name: "istio".into() }
}

fn parsed(mesh: &Value) -> Result<MeshConfig, String> {
    let mut problems = Vec::new();
    let parsed = parse_mesh_config(mesh, &object(Kind::MeshConfig), &mut problems);
    parsed.ok_or_else(|| format!("{problems:?}"))
}

/// A YAML document; an empty one says nothing.
fn written(yaml: &str) -> Result<Value, String> {
    let value: Value = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    Ok(if value.is_null() { json!({}) } else { value })
}

fn localities(mesh: &Value) -> Result<Value, String> {
    let mesh = parsed(mesh)?;
    let enabled = mesh.locality_lb.as_ref().map(|locality| locality.enabled);
    Ok(json!({
        "wantLocality": enabled.is_some(),
        "wantLocEnabled": enabled.flatten(),
        "wantZoneAware": mesh.zone_aware.is_some(),
        "wantZAEnabled": mesh.zone_aware.is_some(),
    }))
}

/// What the table lies over, where istiod's own defaults say nothing.
fn below() -> Value {
    json!({
        "defaultProviders": {"metrics": ["stackdriver"]},
        "extensionProviders": [{"name": "stackdriver", "stackdriver": {"maxNumberOfAttributes": 3}}],
        "trustDomainAliases": ["default", "both"],
    })
}

fn merged(inputs: &Value) -> Result<Value, String> {
    let lain = |written: &[&Value]| mesh_as_json(written).ok_or("it cannot be used");
    let mut mesh = lain(&[&below(), &written(text(inputs, "in"))?])?;
    // The table's providers stand in place of the built-in ones, which are laid below here.
    let built_in = lain(&[])?;
    if let Some(providers) = mesh["extensionProviders"].as_array_mut() {
        providers.retain(|provider| !list(&built_in, "extensionProviders").any(|own| own == provider));
    }
    let fields = ["defaultProviders", "extensionProviders", "trustDomainAliases"];
    let kept: Map<_, _> = fields.map(|field| (field.to_owned(), mesh[field].clone())).into_iter().collect();
    Ok(json!({"out": kept}))
}

fn composed(inputs: &Value) -> Result<Value, String> {
    let mesh = MeshConfig { root_namespace: "root-namespace".into(), ..MeshConfig::default() };
    let mut config = Config { mesh: memo::Shared::new(mesh), ..Config::default() };
    for (at, written) in list(inputs, "configs").enumerate() {
        let object = json!({
            "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": written["Spec"],
            "metadata": {"name": format!("{}-{at}", text(written, "name")), "namespace": written["namespace"]},
        });
        let context = Context { cluster: "Kubernetes".into(), domain: "".into() };
        let parsed = parse_object(&object, &context).ok_or("an object that is not read")?;
        let origin = std::sync::Arc::default();
        config.apply(Change { key: parsed.key, value: parsed.value, origin, problems: Vec::new() });
    }
    let index = AuthnIndex::default().next(&Config::default(), &config);
    let authn = index.of_workload("my-ns", &Labels::from_iter([("app", "foo")]));
    let ports = authn.ports.iter().map(|(port, mode)| (port.to_string(), number(*mode).into()));
    let ports: Map<String, Value> = ports.collect();
    Ok(json!({"want": {"Mode": number(authn.mode), "PerPort": ports}}))
}

fn number(mode: MutualTlsMode) -> u8 {
    match mode {
        MutualTlsMode::Unset => 0,
        MutualTlsMode::Disable => 1,
        MutualTlsMode::Permissive => 2,
        MutualTlsMode::Strict => 3,
    }
}

/// A node through the wire's message and the server's own parser.
fn proxy(metadata: &Value) -> Result<Proxy, String> {
    let node = json!({"id": "sidecar~1.1.1.1~id~domain", "metadata": metadata});
    push::proxy(&pilothouse::offline::node(&node)?)
}

fn version(proxy: &Proxy) -> Value {
    json!({"Major": proxy.version.0, "Minor": proxy.version.1, "Patch": proxy.version.2})
}

fn node(proxy: &Proxy) -> Value {
    let labels: Map<String, Value> =
        proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string().into())).collect();
    json!({
        "Type": if proxy.kind == ProxyKind::Sidecar { "sidecar" } else { "router" },
        "IPAddresses": proxy.ips,
        "DNSDomain": proxy.dns_domain,
        "ID": proxy.workload_id,
        "IstioVersion": version(proxy),
        "Metadata": {"LABELS": labels},
    })
}
