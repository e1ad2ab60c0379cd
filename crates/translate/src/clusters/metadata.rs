//! What filters may know of a cluster: its services, its rule, how it is called.

use envoy_api::envoy::config::core::v3 as core;
use mesh::MergedRule;
use model::{Service, Text};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::wire;

/// Metadata of a cluster under the key `istio`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Metadata {
    /// Its services; `None` says nothing.
    pub(super) services: Option<Vec<ServiceName>>,
    /// The rule that shapes it, as a path of the API.
    pub(super) config: Option<Text>,
    /// The subset.
    pub(super) subset: Option<Text>,
    /// Whether requests' protocols are not announced by TLS, since TLS is not Istio's.
    pub(super) foreign_tls: bool,
    /// Whether it is outside the mesh.
    pub(super) external: bool,
}

/// How a service is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServiceName {
    pub(super) host: Text,
    pub(super) name: Text,
    pub(super) namespace: Text,
}

impl ServiceName {
    /// The names of a service.
    pub(super) fn of(service: &Service) -> Self {
        Self {
            host: service.host.text().clone(),
            name: service.name.clone(),
            namespace: service.namespace.clone(),
        }
    }

    fn build(&self) -> Value {
        let text = |value: &Text| wire::text_value(value);
        let names =
            [("host", text(&self.host)), ("name", text(&self.name)), ("namespace", text(&self.namespace))];
        Value { kind: Some(Kind::StructValue(wire::fields(names))) }
    }
}

/// The rule as a path of the API; see [`wire::object_path`] for its version.
pub(super) fn config_path(rule: &MergedRule) -> Text {
    let key = &rule.rule.meta.key;
    wire::object_path("destination-rule", &key.namespace, &key.name).into()
}

impl Metadata {
    /// The metadata, or nothing if there is nothing to say.
    pub(super) fn build(&self) -> Option<core::Metadata> {
        let mut istio = Struct::default();
        let mut put = |key: &str, kind: Kind| {
            istio.fields.insert(key.to_owned(), Value { kind: Some(kind) });
        };
        if let Some(services) = &self.services {
            let values = services.iter().map(ServiceName::build).collect();
            put("services", Kind::ListValue(ListValue { values }));
        }
        if let Some(config) = &self.config {
            put("config", Kind::StringValue(config.to_string()));
        }
        if let Some(subset) = &self.subset {
            put("subset", Kind::StringValue(subset.to_string()));
        }
        if self.foreign_tls {
            put("alpn_override", Kind::StringValue("false".into()));
        }
        if self.external {
            put("external", Kind::BoolValue(true));
        }
        if istio.fields.is_empty() {
            return None;
        }
        let mut metadata = core::Metadata::default();
        metadata.filter_metadata.insert("istio".into(), istio);
        Some(metadata)
    }
}
