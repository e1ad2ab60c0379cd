//! Everything that injection depends on, under handles: made anew from what changed, and read by each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::proxy_config::ProxyConfigObject;
use serde_json::{Value as Json, json};

use crate::engine::Environment;
use crate::mesh::Proxy;
use crate::pod::{self, Decision, NativeSidecars, Nodes, Owner, Work};
use crate::review::{Answer, Review};
use crate::{Configuration, Error, Mesh, Values, mesh, openshift, parts, path};

/// What injects pods. A clone is handles; a part that changed is put into a clone.
#[derive(Clone)]
pub struct Injector {
    /// Templates and policy.
    pub configuration: Arc<Configuration>,
    /// The installation's values.
    pub values: Arc<Values>,
    /// The mesh.
    pub mesh: Arc<Mesh>,
    /// What is known of the cluster.
    pub around: Arc<Surroundings>,
    /// How this process was set.
    pub settings: Arc<Settings>,
    /// Variables that templates may ask for.
    pub environment: Environment,
}

/// What injection knows of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The kubelet's version by node.
    pub nodes: Nodes,
    /// Annotations by namespace; only OpenShift's are read.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The ProxyConfig objects, the oldest first.
    pub proxy_configs: Vec<ProxyConfigObject>,
}

/// Settings of the process that shape what is injected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The revision (`REVISION`); may be empty.
    pub revision: String,
    /// When proxies are init containers that stay.
    pub native_sidecars: NativeSidecars,
    /// The cluster is an OpenShift (`PLATFORM`).
    pub openshift: bool,
    /// Rules for cryptography (`COMPLIANCE_POLICY`); may be empty.
    pub compliance_policy: String,
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Injected {
    /// Nothing: it was not meant to be injected.
    Skipped,
    /// The pod before, in the shape of Go's types, and after.
    Pod {
        /// What a patch is a difference from.
        before: Json,
        /// What is to run.
        after: Json,
    },
}

impl Injected {
    /// The RFC 6902 patch that makes the pod what is to run.
    pub fn patch(&self) -> Json {
        match self {
            Self::Skipped => Json::Array(Vec::new()),
            Self::Pod { before, after } => {
                serde_json::to_value(json_patch::diff(before, after)).unwrap_or_default()
            }
        }
    }
}

impl Injector {
    /// Injects a pod as an API server sends it. `namespace` is the request's; `environment` comes from the path.
    pub fn inject(
        &self,
        mut pod: Json,
        namespace: &str,
        environment: BTreeMap<String, String>,
    ) -> Result<Injected, Error> {
        if let Some(pod) = pod.as_object_mut() {
            let metadata = pod.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                // Large, and of no use to anybody here.
                metadata.remove("managedFields");
                if metadata.get("namespace").and_then(Json::as_str).unwrap_or_default().is_empty() {
                    metadata.insert("namespace".into(), namespace.into());
                }
            }
        }
        let name = parts::name_for_people(&pod);
        pod::read(&mut pod, str::to_owned).map_err(|what| Error::Pod(format!("Pod {name}: {what}")))?;
        if pod::decide(&self.configuration, &pod) != Decision::Inject {
            return Ok(Injected::Skipped);
        }
        if self.settings.openshift {
            openshift::forget_platform_user(&mut pod);
        }
        let after = self.work(&pod, pod::owner(&pod), environment)?;
        Ok(Injected::Pod { before: pod, after })
    }

    /// Injects a pod that is the template of a workload.
    pub(crate) fn inject_template(&self, pod: &Json, owner: Owner) -> Result<Json, Error> {
        self.work(pod, owner, BTreeMap::new())
    }

    fn work(&self, pod: &Json, owner: Owner, environment: BTreeMap<String, String>) -> Result<Json, Error> {
        let node = pod.get("spec").map_or("", |spec| parts::text(spec, "nodeName"));
        let native = pod::is_supported(self.settings.native_sidecars, &self.around.nodes, node);
        let namespace = pod.get("metadata").map_or("", |metadata| parts::text(metadata, "namespace"));
        let namespace = self.around.namespaces.get(namespace).filter(|_| self.settings.openshift);
        pod::inject(self, Work { pod, owner, environment, native, namespace })
    }

    /// The revision by name.
    pub(crate) fn revision(&self) -> &str {
        if self.settings.revision.is_empty() { "default" } else { &self.settings.revision }
    }

    /// The ProxyConfig of a pod.
    pub(crate) fn proxy_of(&self, pod: &Json) -> Result<Proxy, Error> {
        let namespace = pod.get("metadata").map_or("", |metadata| parts::text(metadata, "namespace"));
        let annotation = parts::annotation(pod, mesh::PROXY_CONFIG);
        self.mesh.proxy(namespace, &pod::labels(pod), annotation, &self.around.proxy_configs)
    }
}

/// How a request for injection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a patch.
    Injected,
    /// Without one, as it should be.
    Skipped,
    /// With a refusal.
    Refused,
}

impl Injector {
    /// Answers an AdmissionReview that came to a path: always with an AdmissionReview.
    pub fn review(&self, path: &str, body: &[u8]) -> (String, Outcome) {
        let mut review = match Review::parse(body) {
            Ok(review) => review,
            Err(unread) => return refusal(&unread.0, "", unread.1.clone()),
        };
        let pod = std::mem::take(&mut review.request.object);
        let name = parts::name_for_people(&pod);
        match self.inject(pod, &review.request.namespace, path::environment(path)) {
            Ok(Injected::Skipped) => {
                tracing::info!(pod = name, "skipping injection due to policy check");
                (review.answer(Answer::Allowed(Vec::new())), Outcome::Skipped)
            }
            Ok(injected) => {
                tracing::info!(pod = name, "injected");
                (review.answer(Answer::Patched(injected.patch())), Outcome::Injected)
            }
            Err(error) => refusal(&review, &name, error.to_string()),
        }
    }
}

fn refusal(review: &Review, pod: &str, reason: String) -> (String, Outcome) {
    tracing::error!(pod, reason, "pod injection failed");
    (review.answer(Answer::Denied(reason)), Outcome::Refused)
}
