//! `config_dump`: what a proxy is to hold, in the form of Envoy's own dump.

use std::sync::Arc;

use envoy_api::envoy::admin::v3::clusters_config_dump::DynamicCluster;
use envoy_api::envoy::admin::v3::endpoints_config_dump::DynamicEndpointConfig;
use envoy_api::envoy::admin::v3::listeners_config_dump::{DynamicListener, DynamicListenerState};
use envoy_api::envoy::admin::v3::routes_config_dump::DynamicRouteConfig;
use envoy_api::envoy::admin::v3::{
    BootstrapConfigDump, ClustersConfigDump, ConfigDump, EcdsConfigDump, EndpointsConfigDump,
    ListenersConfigDump, RoutesConfigDump, ScopedRoutesConfigDump, SecretsConfigDump,
};
use envoy_api::{Any, Resource, json, type_url};
use prost::Name;
use serde_json::{Value, json};
use xds::ConnectionStatus;

use crate::State;
use crate::debug::{Query, Refusal, proxy};

/// The types of a dump by the words that `types` takes.
const TYPES: [(&str, &str); 4] = [
    ("cds", type_url::CLUSTER),
    ("eds", type_url::ENDPOINT),
    ("lds", type_url::LISTENER),
    ("rds", type_url::ROUTE),
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

/// The dump of the proxy called `pod.namespace`, without endpoints.
pub(crate) fn dump(state: &State, id: &str) -> Option<Vec<Any>> {
    proxy::find(state, id).map(|connection| whole(&connection, false))
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
        Any::pack(&SecretsConfigDump::default()),
        Any::pack(&EcdsConfigDump::default()),
    ];
    before.into_iter().chain(endpoints).chain(after).collect()
}

fn of_word<'a>(connection: &'a ConnectionStatus, word: &str) -> impl Iterator<Item = Any> + use<'a> {
    let known = TYPES.iter().find(|(short, url)| word.eq_ignore_ascii_case(short) || word == *url);
    let of_type =
        |(_, url): &'static (&str, &str)| held(connection, url).map(|(_, resource)| packed(url, &resource));
    known.into_iter().flat_map(of_type)
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

fn packed(url: &str, resource: &Resource) -> Any {
    Any { type_url: url.to_owned(), value: resource.body.to_bytes() }
}
