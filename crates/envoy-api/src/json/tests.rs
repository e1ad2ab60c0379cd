//! What the JSON of a message looks like, and that it comes back.

use prost::Message;
use serde_json::json;

use super::*;
use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::core::v3::{Metadata, TransportSocket, transport_socket};

fn cluster() -> Cluster {
    let tags =
        [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")].map(|(name, value)| (name.to_owned(), text(value)));
    let tags = prost_types::Struct { fields: tags.into_iter().collect() };
    let secret = Any { type_url: "example.org/no.such.Type".into(), value: Bytes::from_static(b"\xff") };
    Cluster {
        name: "outbound|80||a".into(),
        connect_timeout: Some(prost_types::Duration { seconds: 1, nanos: 10_000_000 }),
        per_connection_buffer_limit_bytes: Some(0),
        metadata: Some(Metadata { filter_metadata: [("istio".into(), tags)].into(), ..Default::default() }),
        transport_socket: Some(TransportSocket {
            name: "t".into(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(secret)),
        }),
        ..Default::default()
    }
}

fn text(value: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(value.into())) }
}

#[test]
fn a_message_renders_canonically_and_unknown_types_are_kept() {
    let json = resource(crate::type_url::CLUSTER, &cluster().encode_to_vec());
    let expected = json!({
        "name": "outbound|80||a",
        "connectTimeout": "1.010s",
        "perConnectionBufferLimitBytes": 0,
        "metadata": {"filterMetadata": {"istio": {"a": "1", "b": "2", "c": "3", "d": "4"}}},
        "transportSocket": {"name": "t", "typedConfig": {"@type": "example.org/no.such.Type", "value": "/w=="}},
    });
    assert_eq!(json, expected);
}

#[test]
fn what_is_parsed_has_the_bytes_of_the_typed_message() {
    let bytes = cluster().encode_to_vec();
    let json = resource(crate::type_url::CLUSTER, &bytes);
    assert_eq!(parse("envoy.config.cluster.v3.Cluster", &json).unwrap(), bytes);
}

#[test]
fn an_error_says_where() {
    let json = json!({"loadAssignment": {"endpoints": [{"nope": 1}]}});
    let error = parse("envoy.config.cluster.v3.Cluster", &json).unwrap_err();
    let expected =
        "loadAssignment.endpoints.[0].nope: no such field in envoy.config.endpoint.v3.LocalityLbEndpoints";
    assert_eq!(error.to_string(), expected);
    let descriptor = reflect::descriptor(crate::type_url::CLUSTER).unwrap();
    assert!(parse_as(&descriptor, &json, UnknownFields::Skip).is_ok());
}

#[test]
fn parts_decode_as_the_nested_messages_that_they_stand_for() {
    use crate::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
    use crate::{Needs, Part, Resource, field};

    let head = RouteConfiguration { name: "80".into(), validate_clusters: Some(false), ..Default::default() };
    let hosts = ["a", "b"].map(|name| VirtualHost { name: name.into(), ..Default::default() });
    let parts = hosts.map(|host| Part::field(field::VIRTUAL_HOSTS, &host));
    let route = Resource::with_parts("80".into(), &head, field::VIRTUAL_HOSTS, &parts, Needs::default());
    let expected =
        json!({"name": "80", "validateClusters": false, "virtualHosts": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(resource(crate::type_url::ROUTE, &route.body.to_bytes()), expected);
}
