//! What templates are told of a pod (istiod-surface 5.4).

use std::collections::HashMap;

use gtmpl_ng::{Context, Value};
use serde_json::Value as Json;

use super::{CLUSTER_ID, STATUS, Work, merged_metrics, overrides};
use crate::mesh::Proxy;
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS};
use crate::{Error, Injector, fields, openshift, values};

/// The data of one pod.
pub(super) fn for_templates(injector: &Injector, work: &Work<'_>, proxy: Proxy) -> Result<Context, Error> {
    let mut pod = without_injected(work.pod, injector.mesh.status_port());
    overrides::put_back(&mut pod)?;
    let annotations = parts::texts(&pod, "annotations");
    let wanted = values::wanted_image(&annotations);
    let (uid, gid) = openshift::proxy_ids(work.namespace);
    let text = |text: &str| Value::from(text);
    let data = [
        ("TypeMeta", structure([("APIVersion", &work.owner.api_version), ("Kind", &work.owner.kind)])),
        ("DeploymentMeta", structure([("Name", &work.owner.name), ("Namespace", &work.owner.namespace)])),
        ("ObjectMeta", fields::metadata(pod.get("metadata").unwrap_or(&Json::Null))),
        ("Spec", fields::pod_spec(pod.get("spec").unwrap_or(&Json::Null))),
        ("MeshConfig", injector.mesh.for_templates.clone()),
        ("Values", injector.values.for_templates.clone()),
        ("Revision", text(&injector.settings.revision)),
        ("NativeSidecars", Value::Bool(work.native)),
        ("ProxyImage", Value::from(injector.values.proxy_image(proxy.config.image.as_ref(), wanted))),
        ("ProxyInitImage", Value::from(injector.values.init_image(wanted))),
        ("ProxyUID", Value::from(uid)),
        ("ProxyGID", Value::from(gid)),
        ("InboundTrafficPolicyMode", text(injector.mesh.inbound_mode())),
        ("CompliancePolicy", text(&injector.settings.compliance_policy)),
        ("ProxyConfig", proxy.for_templates),
        // Templates of gateways that are made from Gateway objects read this one.
        ("ClusterID", text(work.environment.get(CLUSTER_ID).map_or("", String::as_str))),
    ];
    let data: HashMap<String, Value> =
        data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Context::from(Value::Object(data)))
}

fn structure(fields: [(&str, &str); 2]) -> Value {
    Value::Object(fields.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect())
}

/// The pod as it was before it was injected, as far as that is known: a pod may be injected twice.
fn without_injected(pod: &Json, status_port: i64) -> Json {
    let mut pod = pod.clone();
    let status = parts::annotation(&pod, STATUS).and_then(|text| serde_json::from_str::<Json>(text).ok());
    let Some(status) = status else { return pod };
    for field in [CONTAINERS, INIT_CONTAINERS] {
        let gone = overrides::names(&status, field);
        if let Some(list) = parts::list_mut(&mut pod, field) {
            list.retain(|container| !gone.contains(&parts::text(container, "name")));
        }
    }
    merged_metrics::forget(&mut pod, status_port);
    if let Some(annotations) = parts::texts_mut(&mut pod, "annotations") {
        annotations.remove(STATUS);
    }
    pod
}
