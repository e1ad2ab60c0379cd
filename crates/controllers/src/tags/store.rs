//! The few kinds of objects that tags live in, as JSON, so that what we do not know of them is kept.

use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde_json::Value;

use super::error::Error;
use super::name;

/// A kind of objects.
pub(super) struct Resource {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    pub(super) namespaced: bool,
}

impl Resource {
    pub(super) const MUTATING: Self = Self::cluster(
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    );
    pub(super) const VALIDATING: Self = Self::cluster(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    );
    pub(super) const SERVICE: Self =
        Self { group: "", kind: "Service", plural: "services", namespaced: true };
    pub(super) const NAMESPACE: Self = Self::cluster("", "Namespace", "namespaces");

    const fn cluster(group: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { group, kind, plural, namespaced: false }
    }

    fn of(object: &Value) -> Self {
        match object["kind"].as_str() {
            Some("Service") => Self::SERVICE,
            Some("ValidatingWebhookConfiguration") => Self::VALIDATING,
            _ => Self::MUTATING,
        }
    }
}

/// Reads and writes objects.
pub(super) struct Store {
    client: Client,
}

impl Store {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// All objects of a kind, with their kind written in them.
    pub(super) async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        let listed = self.api(resource, namespace).list(&ListParams::default()).await;
        let list = listed.map_err(told(format!("listing {}", resource.plural)))?;
        Ok(list.items.into_iter().map(|object| json(resource, object)).collect())
    }

    /// One object, if it is there.
    pub(super) async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let got = self.api(resource, namespace).get_opt(name).await;
        let object = got.map_err(told(format!("reading {} {name}", resource.kind)))?;
        Ok(object.map(|object| json(resource, object)))
    }

    /// Makes an object be as it is given, new or in the place of an older one.
    pub(super) async fn put(&self, mut object: Value) -> Result<(), Error> {
        let resource = Resource::of(&object);
        let called = name(&object).unwrap_or_default().to_owned();
        let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
        let api = self.api(&resource, namespace.as_deref());
        let action = || told(format!("writing {} {called}", resource.kind));
        let before = self.get(&resource, namespace.as_deref(), &called).await?;
        if let Some(before) = &before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            keep_addresses(&mut object, before);
        }
        let broken = |error| kube::Error::SerdeError(error);
        let object: DynamicObject = serde_json::from_value(object).map_err(broken).map_err(action())?;
        let parameters =
            PostParams { field_manager: Some("pilothouse-tag".to_owned()), ..PostParams::default() };
        match before {
            Some(_) => api.replace(&called, &parameters, &object).await.map_err(action())?,
            None => api.create(&parameters, &object).await.map_err(action())?,
        };
        Ok(())
    }

    /// Takes an object away; one that is gone already is as good.
    pub(super) async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<(), Error> {
        match self.api(resource, namespace).delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            answer => answer.map(|_| ()).map_err(told(format!("deleting {} {name}", resource.kind))),
        }
    }

    fn api(&self, resource: &Resource, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(resource.group, "v1", resource.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// A Service keeps the address that it was given.
fn keep_addresses(object: &mut Value, before: &Value) {
    if object["kind"] == "Service" {
        for field in ["clusterIP", "clusterIPs"] {
            object["spec"][field] = before["spec"][field].clone();
        }
    }
}

/// The object as JSON; in lists the kind is not said of each.
fn json(resource: &Resource, object: DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    let version = if resource.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", resource.group) };
    value["apiVersion"] = version.into();
    value["kind"] = resource.kind.into();
    value
}

fn told(action: String) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Cluster { action, source: Box::new(source) }
}
