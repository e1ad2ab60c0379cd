//! The agent merges the application's metrics with the proxy's: annotations come to point at the agent, and the
//! agent is told where they pointed (istiod-surface 5.7).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::annotations::parse_bool;
use crate::{Error, Mesh, parts};

const MERGE: &str = "prometheus.istio.io/merge-metrics";
const ENVIRONMENT: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
const SECURE_PORT: &str = "prometheus.istio.io/secure-port";
const SECURE_VARIABLE: &str = "ENVOY_SECURE_MERGED_METRICS_PORT";

/// Ports of the proxy and its agent, and what is there.
const RESERVED: [(u16, &str); 9] = [
    (15000, "Envoy admin"),
    (15001, "outbound traffic capture"),
    (15004, "pilot debug"),
    (15006, "inbound traffic capture"),
    (15008, "HBONE tunnel"),
    (15020, "agent status and merged metrics"),
    (15021, "Envoy health"),
    (15053, "DNS proxy"),
    (15090, "Envoy's own metrics, merged already"),
];

/// What annotations say of an application's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scrape {
    pub(crate) scrape: String,
    pub(crate) path: String,
    pub(crate) port: String,
    /// Port and path of each endpoint, where there are several.
    pub(crate) targets: Vec<(String, String)>,
}

impl Scrape {
    /// Prometheus takes an annotation's name with any punctuation.
    pub(crate) fn parse(annotations: &BTreeMap<String, String>) -> Self {
        let mut found = Self::default();
        for (name, value) in annotations {
            match plain(name).as_str() {
                "prometheus_io_port" => found.port.clone_from(value),
                "prometheus_io_scrape" => found.scrape.clone_from(value),
                "prometheus_io_path" => found.path.clone_from(value),
                "prometheus_istio_io_scrape_targets" => match targets(value) {
                    Some(targets) => found.targets = targets,
                    None => {
                        tracing::warn!(annotation = name, value, "a target without a port; there are none")
                    }
                },
                _ => {}
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the agent reads.
    fn text(&self) -> String {
        let text = |text: &str| crate::shape::go_text(&Json::from(text));
        let targets = self
            .targets
            .iter()
            .map(|(port, path)| format!(r#"{{"port":{},"path":{}}}"#, text(port), text(path)));
        let targets = targets.collect::<Vec<_>>().join(",");
        let targets = if targets.is_empty() { targets } else { format!(r#","targets":[{targets}]"#) };
        format!(
            r#"{{"scrape":{},"path":{},"port":{}{targets}}}"#,
            text(&self.scrape),
            text(&self.path),
            text(&self.port)
        )
    }
}

/// An annotation's name as Prometheus reads it.
fn plain(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}

fn targets(text: &str) -> Option<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let target = |entry: &str| {
        let (port, path) = entry.split_once(':').unwrap_or((entry, ""));
        let path = if path.trim().is_empty() { "/metrics" } else { path.trim() };
        (!port.trim().is_empty()).then(|| (port.trim().to_owned(), path.to_owned()))
    };
    entries.map(target).collect()
}

/// Whether metrics are merged: the pod's annotation, or else the mesh.
pub(crate) fn is_on(annotations: &BTreeMap<String, String>, by_mesh: bool) -> bool {
    annotations.get(MERGE).and_then(|value| parse_bool(value)).unwrap_or(by_mesh)
}

/// Has the agent merge metrics, unless the pod or the mesh says no, or it does already.
pub(super) fn apply(pod: &mut Json, mesh: &Mesh) -> Result<(), Error> {
    let annotations = parts::texts(pod, "annotations");
    let agent = mesh.status_port().to_string();
    let mut scrape = Scrape::parse(&annotations);
    if parse_bool(&scrape.scrape) == Some(false)
        || !is_on(&annotations, mesh.merges_metrics())
        || scrape.port == agent
    {
        return Ok(());
    }
    check(&mut scrape, mesh.status_port())?;
    if !scrape.is_empty()
        && let Some(environment) = parts::proxy_mut(pod).and_then(parts::environment_mut)
    {
        environment.push(json!({"name": ENVIRONMENT, "value": scrape.text()}));
    }
    clear(pod);
    if let Some(annotations) = parts::texts_mut(pod, "annotations") {
        for (name, value) in [("port", agent.as_str()), ("path", "/stats/prometheus"), ("scrape", "true")] {
            annotations.insert(format!("prometheus.io/{name}"), Json::from(value));
        }
    }
    Ok(())
}

/// The ports must be an application's. Agents that know no targets read the first as the only one.
fn check(scrape: &mut Scrape, agent: i64) -> Result<(), Error> {
    if let Some((port, path)) = scrape.targets.first().cloned() {
        (scrape.port, scrape.path) = (port, path);
        return scrape.targets.iter().try_for_each(|(port, _)| {
            check_port(port, agent).map_err(|reason| Error::Scrape(format!("targets: {reason}")))
        });
    }
    if scrape.port.is_empty() {
        return Ok(());
    }
    check_port(&scrape.port, agent).map_err(|reason| Error::Scrape(format!("configuration: {reason}")))
}

fn check_port(text: &str, agent: i64) -> Result<(), String> {
    let number = text.parse::<u16>().ok().filter(|number| *number != 0);
    let number = number.ok_or_else(|| format!("invalid port \"{text}\""))?;
    if i64::from(number) == agent {
        return Err(format!("port {text} conflicts with agent port"));
    }
    match RESERVED.iter().find(|(port, _)| *port == number) {
        Some((_, what)) => Err(format!("port {text} is reserved for Istio ({what}) and cannot be scraped")),
        None => Ok(()),
    }
}

fn clear(pod: &mut Json) {
    const OURS: [&str; 4] = [
        "prometheus_io_path",
        "prometheus_io_port",
        "prometheus_io_scrape",
        "prometheus_istio_io_scrape_targets",
    ];
    if let Some(annotations) = parts::texts_mut(pod, "annotations") {
        annotations.retain(|name, _| !OURS.contains(&plain(name).as_str()));
    }
}

/// Takes the annotations away that an injection made.
pub(super) fn forget(pod: &mut Json, status_port: i64) {
    if Scrape::parse(&parts::texts(pod, "annotations")).port == status_port.to_string() {
        clear(pod);
    }
}

/// Says where metrics are to be had over TLS, if the proxy was told to serve them so.
pub(super) fn announce_secure_port(pod: &mut Json) {
    let annotations = parts::texts(pod, "annotations");
    if annotations.keys().any(|name| plain(name) == plain(SECURE_PORT)) {
        return;
    }
    let environment = parts::proxy(pod).and_then(|proxy| proxy.get("env")?.as_array());
    let variable =
        environment.into_iter().flatten().find(|variable| parts::text(variable, "name") == SECURE_VARIABLE);
    let port = variable.map(|variable| parts::text(variable, "value").to_owned()).unwrap_or_default();
    if !port.is_empty()
        && port != "0"
        && let Some(annotations) = parts::texts_mut(pod, "annotations")
    {
        annotations.insert(SECURE_PORT.into(), Json::String(port));
    }
}
