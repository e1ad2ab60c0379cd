//! `config_dump`: what a proxy is to hold, in the form of Envoy's own dump.

use std::sync::Arc;

use bytes::Bytes;
use envoy_api::envoy::admin::v3::clusters_config_dump::DynamicCluster;
use envoy_api::envoy::admin::v3::ecds_config_dump::EcdsFilterConfig;
use envoy_api::envoy::admin::v3::endpoints_config_dump::DynamicEndpointConfig;
use envoy_api::envoy::admin::v3::listeners_config_dump::{DynamicListener, DynamicListenerState};
use envoy_api::envoy::admin::v3::routes_config_dump::DynamicRouteConfig;
use envoy_api::envoy::admin::v3::secrets_config_dump::DynamicSecret;
use envoy_api::envoy::admin::v3::{
    BootstrapConfigDump, ClustersConfigDump, ConfigDump, EcdsConfigDump, EndpointsConfigDump,
    ListenersConfigDump, RoutesConfigDump, ScopedRoutesConfigDump, SecretsConfigDump,
};
use envoy_api::envoy::config::core::v3::{DataSource, data_source};
use envoy_api::envoy::extensions::transport_sockets::tls::v3::{Secret, secret};
use envoy_api::{Any, Resource, json, type_url};
use prost::{Message, Name};
use serde_json::{Value, json};
use xds::ConnectionStatus;

use crate::State;
use crate::access::Sight;
use crate::debug::{Query, Refusal, proxy};

/// The types of a dump by the words that `types` takes.
const TYPES: [(&str, &str); 11] = [
    ("cds", type_url::CLUSTER),
    ("ecds", type_url::EXTENSION),
    ("eds", type_url::ENDPOINT),
    ("lds", type_url::LISTENER),
    ("nds", type_url::NAME_TABLE),
    ("pcds", type_url::PROXY_CONFIG),
    ("rds", type_url::ROUTE),
    ("sds", type_url::SECRET),
    ("wads", type_url::AUTHORIZATION),
    ("wds", type_url::ADDRESS),
    ("wds", type_url::WORKLOAD),
];

/// The dump of the proxy in `proxyID`; with `include_eds` its endpoints too. With `types`, by type URL or short
/// name, the resources of these types themselves.
pub(super) fn show(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connection = proxy::asked(state, query)?;
    if let Some(types) = query.get("types") {
        return Ok(rendered(types.split(',').flat_map(|word| of_word(&connection, word)).collect()));
    }
    Ok(rendered(whole(&connection, query.has("include_eds"))))
}

/// The endpoints of the proxy in `proxyID`.
pub(super) fn endpoints(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connection = proxy::asked(state, query)?;
    Ok(rendered(of_word(&connection, type_url::ENDPOINT).collect()))
}

/// The names of the proxy in `proxyID`.
pub(super) fn names(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connection = proxy::asked(state, query)?;
    Ok(rendered(of_word(&connection, type_url::NAME_TABLE).collect()))
}

/// The extensions of the proxy in `proxyID`.
pub(super) fn extensions(state: &State, query: &Query) -> Result<Value, Refusal> {
    let connection = proxy::asked(state, query)?;
    Ok(rendered(of_word(&connection, type_url::EXTENSION).collect()))
}

/// The dump of the proxy called `pod.namespace`, without endpoints.
pub(crate) fn dump(state: &State, id: &str, sight: &Sight) -> Option<Vec<Any>> {
    proxy::find(state, id, sight).map(|connection| whole(&connection, false))
}

fn rendered(configs: Vec<Any>) -> Value {
    let dump = Any::pack(&ConfigDump { configs });
    let mut value = json::resource(&ConfigDump::type_url(), &dump.value);
    // A dump without anything still has its list.
    if let Some(object) = value.as_object_mut() {
        object.entry("configs").or_insert_with(|| json!([]));
    }
    value
}

/// All parts in the order that Envoy gives them; what is not kept here is there and empty, since readers look
/// for it.
fn whole(connection: &ConnectionStatus, with_endpoints: bool) -> Vec<Any> {
    let endpoints = with_endpoints.then(|| endpoints_of(connection));
    let before = [Any::pack(&BootstrapConfigDump::default()), clusters(connection)];
    let after = [
        listeners(connection),
        Any::pack(&ScopedRoutesConfigDump::default()),
        routes(connection),
        secrets(connection),
        extensions_of(connection),
    ];
    before.into_iter().chain(endpoints).chain(after).collect()
}

fn of_word<'a>(connection: &'a ConnectionStatus, word: &str) -> impl Iterator<Item = Any> + use<'a> {
    let word = word.to_owned();
    let known = TYPES.iter().filter(move |(short, url)| word.eq_ignore_ascii_case(short) || word == *url);
    known.flat_map(|(_, url)| held(connection, url).map(|(_, resource)| packed(url, &resource)))
}

fn clusters(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| DynamicCluster {
        version_info,
        cluster: Some(packed(type_url::CLUSTER, &resource)),
        ..Default::default()
    };
    Any::pack(&ClustersConfigDump {
        version_info: version(connection, type_url::CLUSTER),
        dynamic_active_clusters: held(connection, type_url::CLUSTER).map(one).collect(),
        ..Default::default()
    })
}

fn listeners(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| DynamicListener {
        name: resource.name.to_string(),
        active_state: Some(DynamicListenerState {
            version_info,
            listener: Some(packed(type_url::LISTENER, &resource)),
            last_updated: None,
        }),
        ..Default::default()
    };
    Any::pack(&ListenersConfigDump {
        version_info: version(connection, type_url::LISTENER),
        dynamic_listeners: held(connection, type_url::LISTENER).map(one).collect(),
        ..Default::default()
    })
}

fn routes(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| DynamicRouteConfig {
        version_info,
        route_config: Some(packed(type_url::ROUTE, &resource)),
        ..Default::default()
    };
    Any::pack(&RoutesConfigDump {
        dynamic_route_configs: held(connection, type_url::ROUTE).map(one).collect(),
        ..Default::default()
    })
}

fn secrets(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| DynamicSecret {
        name: resource.name.to_string(),
        version_info,
        secret: Some(packed(type_url::SECRET, &resource)),
        ..Default::default()
    };
    Any::pack(&SecretsConfigDump {
        dynamic_active_secrets: held(connection, type_url::SECRET).map(one).collect(),
        ..Default::default()
    })
}

fn extensions_of(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| EcdsFilterConfig {
        version_info,
        ecds_filter: Some(packed(type_url::EXTENSION, &resource)),
        ..Default::default()
    };
    Any::pack(&EcdsConfigDump { ecds_filters: held(connection, type_url::EXTENSION).map(one).collect() })
}

fn endpoints_of(connection: &ConnectionStatus) -> Any {
    let one = |(version_info, resource): (String, Arc<Resource>)| DynamicEndpointConfig {
        version_info,
        endpoint_config: Some(packed(type_url::ENDPOINT, &resource)),
        ..Default::default()
    };
    Any::pack(&EndpointsConfigDump {
        dynamic_endpoint_configs: held(connection, type_url::ENDPOINT).map(one).collect(),
        ..Default::default()
    })
}

/// The version of what was last sent of a type.
fn version(connection: &ConnectionStatus, url: &str) -> String {
    let sent = connection.types.get(url).and_then(|status| status.sent.as_ref());
    sent.map(|sent| sent.version.to_string()).unwrap_or_default()
}

/// What the proxy is to hold of a type with versions, ordered by name: all, or what it asks for by name.
fn held<'a>(
    connection: &'a ConnectionStatus,
    url: &str,
) -> impl Iterator<Item = (String, Arc<Resource>)> + use<'a> {
    let view = connection.view.types.get(url);
    let status = connection.types.get(url);
    let mut found: Vec<Arc<Resource>> = match (view, status) {
        (Some(view), Some(status)) if status.wildcard => view.iter().cloned().collect(),
        (Some(view), Some(status)) => status.names.iter().filter_map(|name| view.get(name)).collect(),
        _ => Vec::new(),
    };
    found.sort_by(|one, two| one.name.cmp(&two.name));
    found.into_iter().map(|resource| (resource.version.to_string(), resource))
}

/// The resource as it is sent, but for what is secret in it.
fn packed(url: &str, resource: &Resource) -> Any {
    let body = resource.body.to_bytes();
    if url != type_url::SECRET {
        return Any { type_url: url.to_owned(), value: body };
    }
    // What cannot be read is not shown.
    let mut secret = Secret::decode(body).unwrap_or_default();
    redact(&mut secret);
    Any::pack(&secret)
}

fn redact(secret: &mut Secret) {
    let hidden = || DataSource {
        specifier: Some(data_source::Specifier::InlineBytes(Bytes::from_static(b"[redacted]"))),
        ..Default::default()
    };
    match &mut secret.r#type {
        Some(secret::Type::TlsCertificate(certificate)) => {
            certificate.private_key = certificate.private_key.take().map(|_| hidden());
            certificate.password = certificate.password.take().map(|_| hidden());
            certificate.pkcs12 = certificate.pkcs12.take().map(|_| hidden());
            certificate.private_key_provider = None;
        }
        Some(secret::Type::SessionTicketKeys(keys)) => keys.keys.iter_mut().for_each(|key| *key = hidden()),
        Some(secret::Type::GenericSecret(generic)) => {
            generic.secret = generic.secret.take().map(|_| hidden());
            generic.secrets.values_mut().for_each(|secret| *secret = hidden());
        }
        Some(secret::Type::ValidationContext(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use envoy_api::Needs;
    use envoy_api::envoy::extensions::transport_sockets::tls::v3::TlsCertificate;

    use super::*;

    #[test]
    fn keys_are_not_shown() {
        let text = |text: &str| {
            Some(DataSource {
                specifier: Some(data_source::Specifier::InlineString(text.into())),
                ..Default::default()
            })
        };
        let certificate = TlsCertificate {
            certificate_chain: text("CHAIN"),
            private_key: text("KEY"),
            ..Default::default()
        };
        let secret = Secret { r#type: Some(secret::Type::TlsCertificate(certificate)), ..Default::default() };
        let resource = Resource::of("kubernetes://a".into(), &secret, Needs::default());
        let shown = json::any(&packed(type_url::SECRET, &resource)).to_string();
        assert!(shown.contains("CHAIN") && !shown.contains("KEY"), "{shown}");
    }
}
