//! `otelResourceAttributes`: what a workload is called in traces, by OpenTelemetry's conventions.

use gtmpl_ng::Value;

use super::value::{field_text, fields};
use super::{Answer, argument};

/// From the mesh, annotations, labels, namespace and containers; empty unless a provider asks for it.
pub(super) fn otel_resource_attributes(arguments: &[Value]) -> Answer {
    if !is_asked_for(argument(arguments, 0)?) {
        return Ok(Value::from(""));
    }
    let (annotations, labels) = (argument(arguments, 1)?, argument(arguments, 2)?);
    let namespace = match argument(arguments, 3)? {
        Value::String(text) => text.as_str(),
        _ => "",
    };
    let containers: &[Value] = match argument(arguments, 4)? {
        Value::Array(containers) => containers,
        _ => &[],
    };
    let mut attributes = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        let written = text(annotations, &format!("resource.opentelemetry.io/{name}")).map(str::to_owned);
        let value = written.or(value).filter(|value| !value.is_empty());
        attributes.extend(value.map(|value| format!("{name}={value}")));
    };
    add("service.namespace", Some(namespace.to_owned()));
    let version = text(labels, "app.kubernetes.io/version").map(str::to_owned);
    add("service.version", version.or_else(|| only(containers).and_then(image_version)));
    let first = containers.first().and_then(|first| field_text(first, "Name"));
    add("service.instance.id", first.map(|name| format!("{namespace}.$(POD_NAME).{name}")));
    Ok(Value::from(attributes.join(",")))
}

fn text<'a>(map: &'a Value, name: &str) -> Option<&'a str> {
    field_text(map, name).filter(|text| !text.is_empty())
}

fn is_asked_for(mesh: &Value) -> bool {
    let Some(Value::Array(providers)) = fields(mesh).and_then(|mesh| mesh.get("ExtensionProviders")) else {
        return false;
    };
    providers.iter().filter_map(|provider| fields(provider)?.get("Opentelemetry")).any(|provider| {
        field_text(provider, "ServiceAttributeEnrichment") == Some("OTEL_SEMANTIC_CONVENTIONS")
    })
}

fn only(containers: &[Value]) -> Option<&Value> {
    if let [one] = containers { Some(one) } else { None }
}

/// Tag and digest of an image, `tag@digest`; either or both may lack.
fn image_version(container: &Value) -> Option<String> {
    let image = field_text(container, "Image")?;
    let (named, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = named.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let parts = [tag, digest].into_iter().flatten().filter(|part| !part.is_empty());
    Some(parts.collect::<Vec<_>>().join("@"))
}
