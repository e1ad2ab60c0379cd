//! Objects of the cluster as JSON, so that what we do not know of them is kept.

use std::fmt;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde_json::Value;

use crate::error::Error;

/// Who writes, in the cluster's books: istiod's name, so that whatever operators do about fields that istiod owns holds for us.
const MANAGER: &str = "pilot-discovery";
/// How often an object that others change meanwhile is tried again at once.
const TRIES: u32 = 8;
/// How long the API server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    group: &'static str,
    version: &'static str,
    pub(crate) kind: &'static str,
    plural: &'static str,
    pub(crate) is_namespaced: bool,
}

impl Resource {
    pub(crate) const MUTATING: Self = Self::of_cluster(
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    );
    pub(crate) const VALIDATING: Self = Self::of_cluster(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    );
    pub(crate) const SERVICE: Self = Self::of_namespace("", "v1", "Service", "services");
    pub(crate) const CONFIG_MAP: Self = Self::of_namespace("", "v1", "ConfigMap", "configmaps");
    pub(crate) const DEPLOYMENT: Self = Self::of_namespace("apps", "v1", "Deployment", "deployments");
    pub(crate) const NAMESPACE: Self = Self::of_cluster("", "Namespace", "namespaces");

    const fn of_cluster(group: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, version: "v1", kind, plural, is_namespaced: false }
    }

    pub(crate) const fn of_namespace(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, kind, plural, is_namespaced: true }
    }

    /// The kind as kube knows it.
    pub(crate) fn api(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    /// `apiVersion` of its objects.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: Resource,
    /// Empty for objects of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// An object of this kind; what is of the whole cluster has an empty namespace.
    pub(crate) fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of an object of this kind.
    pub(crate) fn of(resource: Resource, object: &Value) -> Self {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        Self::new(resource, namespace, name(object).unwrap_or_default())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => write!(f, "{} {}", self.resource.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.resource.kind, self.name),
        }
    }
}

/// What came of an edit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edited {
    /// The object as it is now, if there is one.
    pub(crate) object: Option<Value>,
    /// Whether it had to be written.
    pub(crate) is_written: bool,
}

/// Reads and writes objects. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Store {
    client: Client,
}

impl Store {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All objects of a kind, with their kind written in them; an empty namespace means all.
    pub(crate) async fn list(&self, resource: Resource, namespace: &str) -> Result<Vec<Value>, Error> {
        let action = || format!("listing {}", resource.plural);
        let api = self.api(resource, namespace);
        let list = within(action, api.list(&ListParams::default())).await?;
        Ok(list.items.into_iter().map(|object| json(resource, object)).collect())
    }

    /// One object, if it is there.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Value>, Error> {
        let api = self.api(key.resource, &key.namespace);
        let object = within(|| format!("reading {key}"), api.get_opt(&key.name)).await?;
        Ok(object.map(|object| json(key.resource, object)))
    }

    /// Makes an object what `make` says, given what it is now (`None`: there is none). Nothing is written if that answers
    /// nothing; if somebody else was faster, it is asked again with what they made of it.
    pub(crate) async fn edit(
        &self,
        key: &Key,
        make: impl Fn(Option<&Value>) -> Option<Value>,
    ) -> Result<Edited, Error> {
        for again in 0..TRIES {
            if again > 1 {
                tokio::time::sleep(Duration::from_millis(10 << again)).await;
            }
            let before = self.get(key).await?;
            let Some(object) = make(before.as_ref()) else {
                return Ok(Edited { object: before, is_written: false });
            };
            match self.write(key, before.as_ref(), object).await {
                Err(error) if error.code() == Some(409) => {}
                // Gone between reading and writing.
                Err(error) if error.code() == Some(404) && before.is_some() => {}
                written => return written.map(|object| Edited { object: Some(object), is_written: true }),
            }
        }
        Err(Error::Contended { action: format!("writing {key}") })
    }

    /// Writes an object in the place of what was read before, or a new one; a conflict (409) if it is not that any more.
    /// Answers the object as the cluster has it.
    pub(crate) async fn write(
        &self,
        key: &Key,
        before: Option<&Value>,
        mut object: Value,
    ) -> Result<Value, Error> {
        let api = self.api(key.resource, &key.namespace);
        if let Some(before) = before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        }
        let action = || format!("writing {key}");
        let object = dynamic(object).map_err(told(action()))?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = match before {
            Some(_) => within(action, api.replace(&key.name, &parameters, &object)).await?,
            None => within(action, api.create(&parameters, &object)).await?,
        };
        Ok(json(key.resource, written))
    }

    /// Asks whether an object could be created; nothing is kept of it.
    pub(crate) async fn try_out(&self, key: &Key, object: Value) -> Result<(), Error> {
        let api = self.api(key.resource, &key.namespace);
        let action = || format!("trying {key}");
        let object = dynamic(object).map_err(told(action()))?;
        let parameters = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        within(action, api.create(&parameters, &object)).await.map(|_| ())
    }

    /// Takes an object away; one that is gone already is as good.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Error> {
        let api = self.api(key.resource, &key.namespace);
        let parameters = DeleteParams::default();
        match within(|| format!("deleting {key}"), api.delete(&key.name, &parameters)).await {
            Err(error) if error.code() == Some(404) => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// The objects of a kind as kube reaches them; an empty namespace means all.
    pub(crate) fn api(&self, resource: Resource, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.client.clone(), &resource.api()),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource.api()),
        }
    }
}

/// The object as JSON, without who manages which field; in lists the kind is not said of each.
pub(crate) fn json(resource: Resource, mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = resource.api_version().into();
    value["kind"] = resource.kind.into();
    value
}

fn dynamic(object: Value) -> Result<DynamicObject, kube::Error> {
    serde_json::from_value(object).map_err(kube::Error::SerdeError)
}

async fn within<T>(
    action: impl Fn() -> String,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(told(action())),
        Err(_) => Err(Error::Silent { action: action(), seconds: PATIENCE.as_secs() }),
    }
}

fn told(action: String) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Cluster { action, source: Box::new(source) }
}

/// A label of an object.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("name")?.as_str()
}
