//! One pod, from what was asked for to what is to run: the steps of istiod-surface 5.6 in their order.

mod data;
mod decision;
mod merged_metrics;
mod native;
mod order;
mod overrides;
mod own_user;
mod owner;
mod probes;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

pub use decision::{Decision, is_system_namespace};
pub(crate) use decision::{decide, labels};
pub(crate) use native::is_supported;
pub use native::{NativeSidecars, Nodes};
pub(crate) use owner::{Owner, owner};

use crate::merge::{self, Schema};
use crate::mesh::Proxy;
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS};
use crate::{Error, Injector, PROXY, annotations, mesh, shape, yaml};

const CLUSTER_ID: &str = "ISTIO_META_CLUSTER_ID";
const NETWORK_ID: &str = "ISTIO_META_NETWORK";
/// The network that a pod says it is in; written on every injected pod whose network is known.
const NETWORK: &str = "topology.istio.io/network";
/// What was injected, for whoever injects again.
const STATUS: &str = "sidecar.istio.io/status";
/// Which templates a pod asks for.
const TEMPLATES: &str = "inject.istio.io/templates";
/// Whether the proxy is an init container that stays.
const NATIVE: &str = "sidecar.istio.io/nativeSidecar";

/// A pod that is to be injected, and what is known of it beside itself.
pub(crate) struct Work<'a> {
    /// The pod in the shape of Go's types, with its namespace where that is known.
    pub(crate) pod: &'a Json,
    pub(crate) owner: Owner,
    /// Further environment of the proxy, from the path that was called.
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether the pod's cluster can run the proxy as an init container.
    pub(crate) native: bool,
    /// Annotations of the pod's namespace.
    pub(crate) namespace: Option<&'a BTreeMap<String, String>>,
}

/// Injects: all of it, or an error and nothing.
pub(crate) fn inject(injector: &Injector, mut work: Work<'_>) -> Result<Json, Error> {
    let annotations = parts::texts(work.pod, "annotations");
    annotations::check(&annotations)?;
    warn_of_dns(work.pod);
    identify(injector, &mut work);
    let proxy = injector.proxy_of(work.pod)?;
    let mode = proxy.config.interception_mode;
    let (mut merged, template) = lay_templates(injector, &work, proxy)?;
    overrides::reapply(&mut merged, work.pod, &template)?;
    own_user::adjust(&mut merged, work.pod, mode);
    set_environment(&mut merged, &work.environment);
    merged_metrics::apply(&mut merged, &injector.mesh)?;
    merged_metrics::announce_secure_port(&mut merged);
    probes::apply(&mut merged, injector);
    set_metadata(&mut merged, &template, injector, &work.environment)?;
    let hold = injector.mesh.holds_application(annotations.get(mesh::PROXY_CONFIG).map(String::as_str))?;
    order::apply(&mut merged, hold || injector.values.holds_application());
    shape::settle(&mut merged);
    check(&merged)?;
    Ok(merged)
}

/// The environment by which the proxy knows its cluster and network.
fn identify(injector: &Injector, work: &mut Work<'_>) {
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() && work.environment.get(name).is_none_or(String::is_empty) {
            work.environment.insert(name.to_owned(), value.to_owned());
        }
    };
    add(CLUSTER_ID, injector.values.cluster());
    add(NETWORK_ID, injector.values.network());
    if let Some(network) = parts::meta_text(work.pod, "labels", NETWORK)
        && !network.is_empty()
    {
        work.environment.insert(NETWORK_ID.to_owned(), network.to_owned());
    }
}

/// The pod with all templates laid over it, and the templates laid over each other alone.
fn lay_templates(injector: &Injector, work: &Work<'_>, proxy: Proxy) -> Result<(Json, Json), Error> {
    let data = data::for_templates(injector, work, proxy)?;
    let mut merged = work.pod.clone();
    let mut alone = Json::Object(Map::new());
    for name in templates(injector, work.pod) {
        let template = injector.configuration.template(name)?;
        let failed = |reason| Error::Template { name: name.to_owned(), reason };
        let text = template.render(&data, &injector.environment).map_err(failed)?;
        let rendered = |reason| Error::Rendered { name: name.to_owned(), reason };
        let overlay = yaml::read(&text).map_err(rendered)?;
        if !overlay.is_object() && !overlay.is_null() {
            return Err(rendered("it is no object".into()));
        }
        merge::overlay(&mut alone, overlay.clone(), Schema::Pod)?;
        if is_native(&merged, work.native)
            && parts::named(parts::list(&alone, INIT_CONTAINERS), PROXY).is_some()
        {
            make_init_container(&mut merged);
        }
        merge::overlay(&mut merged, overlay, Schema::Pod)?;
        shape::settle(&mut merged);
        shape::settle(&mut alone);
    }
    Ok((merged, alone))
}

fn templates<'a>(injector: &'a Injector, pod: &'a Json) -> Vec<&'a str> {
    match parts::annotation(pod, TEMPLATES) {
        Some(written) => {
            written.split(',').flat_map(|name| injector.configuration.resolved([name.trim()])).collect()
        }
        None => injector
            .configuration
            .resolved(injector.configuration.default_templates.iter().map(String::as_str)),
    }
}

fn is_native(pod: &Json, by_default: bool) -> bool {
    match parts::annotation(pod, NATIVE) {
        Some("true") => true,
        Some("false") => false,
        _ => by_default,
    }
}

/// What the user says of the proxy in `containers` belongs to where the proxy runs.
fn make_init_container(pod: &mut Json) {
    let Some(containers) = parts::list_mut(pod, CONTAINERS) else { return };
    let Some(at) = containers.iter().position(|container| parts::text(container, "name") == PROXY) else {
        return;
    };
    let container = containers.remove(at);
    if let Some(init_containers) = parts::list_mut(pod, INIT_CONTAINERS) {
        init_containers.push(container);
    }
}

/// Sets variables of the proxy: those that are there give way, and all stand at the end, sorted.
fn set_environment(pod: &mut Json, variables: &BTreeMap<String, String>) {
    let Some(environment) = parts::proxy_mut(pod).and_then(parts::environment_mut) else { return };
    environment.retain(|variable| !variables.contains_key(parts::text(variable, "name")));
    environment.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
}

/// Labels and annotations that say what was done.
fn set_metadata(
    pod: &mut Json,
    template: &Json,
    injector: &Injector,
    environment: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let no_object = || Error::Pod("the pod's metadata is no object".into());
    if let Some(network) = environment.get(NETWORK_ID) {
        let labels = parts::texts_mut(pod, "labels").ok_or_else(no_object)?;
        labels.insert(NETWORK.into(), Json::String(network.clone()));
    }
    let status = status(template, injector.revision());
    let annotations = parts::texts_mut(pod, "annotations").ok_or_else(no_object)?;
    annotations.insert(STATUS.into(), Json::String(status));
    for (name, value) in &injector.configuration.annotations {
        annotations.insert(name.clone(), Json::String(value.clone()));
    }
    Ok(())
}

/// What the templates brought, by name, in the order of istiod's struct.
fn status(template: &Json, revision: &str) -> String {
    let names = |field: &str| match parts::list(template, field) {
        [] => "null".to_owned(),
        items => Json::Array(items.iter().map(|item| parts::text(item, "name").into()).collect()).to_string(),
    };
    format!(
        r#"{{"initContainers":{},"containers":{},"volumes":{},"imagePullSecrets":{},"revision":{}}}"#,
        names(INIT_CONTAINERS),
        names(CONTAINERS),
        names("volumes"),
        names("imagePullSecrets"),
        Json::from(revision)
    )
}

fn warn_of_dns(pod: &Json) {
    let policy = pod.get("spec").map_or("", |spec| parts::text(spec, "dnsPolicy"));
    if !policy.is_empty() && policy != "ClusterFirst" {
        let pod = parts::name_for_people(pod);
        tracing::warn!(pod, policy, "the pod's dnsPolicy is not ClusterFirst: its proxy may not find istiod");
    }
}

/// Brings what came into the shape of Go's types.
///
/// # Errors
/// If it is no pod: `told` makes a whole name of the pod's field, and the object is named by who calls.
pub(crate) fn read(pod: &mut Json, told: impl Fn(&str) -> String) -> Result<(), String> {
    shape::settle_nulls(pod);
    typed(pod).map_err(|(field, cause)| format!("{}: {cause}", told(&field)))?;
    shape::settle(pod);
    Ok(())
}

/// Whether the API server could take what goes for a pod.
fn check(pod: &Json) -> Result<(), Error> {
    typed(pod).map_err(|(field, cause)| {
        Error::Pod(format!("what injection gives is no pod (check template and pod): {field}: {cause}"))
    })
}

/// An error is the field with a wrong type and what is wrong with it.
fn typed(pod: &Json) -> Result<(), (String, String)> {
    let read = serde_path_to_error::deserialize::<_, k8s_openapi::api::core::v1::Pod>(pod);
    read.map(drop).map_err(|error| (error.path().to_string(), error.inner().to_string()))
}
