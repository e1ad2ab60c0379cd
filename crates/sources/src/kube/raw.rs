//! An object as an API server sends it, less what nobody reads.

use std::borrow::Cow;
use std::fmt;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::DynamicResourceScope;
use kube::discovery::ApiResource;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value as Json};

/// The annotation in which kubectl keeps a second copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object of any kind. Whatever JSON comes is taken, so that one strange object never breaks a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    /// Name, namespace and resource version only; what kube's watcher asks for.
    meta: ObjectMeta,
    /// The object; in a list it may lack `apiVersion` and `kind`.
    pub(super) json: Map<String, Json>,
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = deserializer.deserialize_map(Whole)?;
        let text = |field: &str| Some(json.get("metadata")?.get(field)?.as_str()?.to_owned());
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { meta, json })
    }
}

/// All fields of an object.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Map<String, Json>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            let value = match field.as_str() {
                "metadata" => fields.next_value::<Metadata>()?.0,
                _ => fields.next_value()?,
            };
            object.insert(field, value);
        }
        Ok(object)
    }
}

/// An object's metadata without who manages which field, which is often most of it.
struct Metadata(Json);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Trimmed).map(Self)
    }
}

struct Trimmed;

impl<'de> Visitor<'de> for Trimmed {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut metadata = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            if field == "managedFields" {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let mut value: Json = fields.next_value()?;
            if let (true, Some(annotations)) = (field == "annotations", value.as_object_mut()) {
                annotations.remove(LAST_APPLIED);
            }
            metadata.insert(field, value);
        }
        Ok(Json::Object(metadata))
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;

    use super::*;

    #[test]
    fn what_nobody_reads_is_left_at_the_door() {
        let sent = r#"{"type": "ADDED", "object": {"kind": "Sidecar", "metadata": {"name": "a", "namespace": "n",
            "resourceVersion": "7", "managedFields": [{"manager": "x"}], "annotations":
            {"kubectl.kubernetes.io/last-applied-configuration": "{}", "b": "c"}}, "spec": {"d": 1}}}"#;
        let WatchEvent::<Raw>::Added(raw) = serde_json::from_str(sent).unwrap() else { panic!("{sent}") };
        assert_eq!(raw.meta.resource_version.as_deref(), Some("7"));
        let kept = serde_json::json!({"kind": "Sidecar", "metadata": {"name": "a", "namespace": "n",
            "resourceVersion": "7", "annotations": {"b": "c"}}, "spec": {"d": 1}});
        assert_eq!(Json::Object(raw.json), kept);
    }
}
