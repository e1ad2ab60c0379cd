//! The fuzz targets with generated input: bytes of any kind, and messages that nearly make sense.

#[path = "../../../tests/hostile/stream.rs"]
mod session;

use proptest::prelude::*;
use prost::Message;

use envoy_api::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_api::{google, type_url};

/// One message of either protocol, as [`session::stream`] reads it.
fn message(list: bool) -> impl Strategy<Value = Vec<u8>> {
    let types = [type_url::CLUSTER, type_url::ENDPOINT, type_url::LISTENER, type_url::ROUTE, "no.such"];
    let names = || proptest::collection::vec(proptest::sample::select(vec!["a", "b", "*", "", "x"]), 0..3);
    let refused = proptest::bool::weighted(0.2);
    (proptest::sample::select(types.to_vec()), names(), names(), names(), refused).prop_map(
        move |(type_url, subscribe, unsubscribe, initial, refused)| {
            let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
            let error_detail = refused.then(google::rpc::Status::default);
            let bytes = if list {
                DiscoveryRequest {
                    type_url: type_url.into(),
                    resource_names: owned(subscribe),
                    error_detail,
                    ..Default::default()
                }
                .encode_to_vec()
            } else {
                DeltaDiscoveryRequest {
                    type_url: type_url.into(),
                    resource_names_subscribe: owned(subscribe),
                    resource_names_unsubscribe: owned(unsubscribe),
                    initial_resource_versions: initial
                        .into_iter()
                        .map(|name| (name.into(), "AAAAAAAAAAA".into()))
                        .collect(),
                    error_detail,
                    ..Default::default()
                }
                .encode_to_vec()
            };
            let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
            [vec![len], bytes].concat()
        },
    )
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    any::<bool>().prop_flat_map(|list| {
        let messages = proptest::collection::vec(message(list), 0..20);
        messages.prop_map(move |messages| [vec![u8::from(list)], messages.concat()].concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        session::request(&input);
        session::stream(&input);
    }

    #[test]
    fn any_messages(input in messages()) {
        session::stream(&input);
    }
}
