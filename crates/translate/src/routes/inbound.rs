//! The route of an inbound chain, which stands inside the listener.

use envoy_api::Part;
use envoy_api::envoy::config::route::v3 as route;
use model::networking::Retry;
use model::{Host, Protocol};
use route::route_action::{ClusterSpecifier, MaxStreamDuration};

use super::domains::with_port;
use super::http::inbound_retry;

/// Everything that the route of an inbound chain may depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InboundInputs {
    /// The cluster, `inbound|8080||` or `InboundPassthroughCluster`; also the configuration's name.
    pub(crate) cluster: String,
    /// The service's host, empty for none.
    pub(crate) host: String,
    /// The service's port; 0 for none.
    pub(crate) port: u16,
    /// Its protocol; streams of gRPC are not repeated.
    pub(crate) protocol: Protocol,
    /// The only host that is served, for a service whose host is resolved per request (`DYNAMIC_DNS`).
    pub(crate) only_host: Option<Host>,
    /// Retries (`defaultInboundHttpRetryPolicy`); `None` for istiod's own.
    pub(crate) retry: Option<Retry>,
}

impl InboundInputs {
    /// Renders.
    pub(crate) fn build(&self) -> route::RouteConfiguration {
        let domain = self.only_host.as_ref().map_or("*".to_owned(), ToString::to_string);
        let host = route::VirtualHost {
            name: format!("inbound|http|{}", self.port),
            domains: vec![domain],
            routes: vec![self.route()],
            ..Default::default()
        };
        route::RouteConfiguration {
            name: self.cluster.clone(),
            virtual_hosts: vec![Part::of(&host).bytes()],
            validate_clusters: Some(false),
            ..Default::default()
        }
    }

    fn route(&self) -> route::Route {
        let none = prost_types::Duration::default();
        let retried = !matches!(self.protocol, Protocol::Grpc | Protocol::GrpcWeb);
        let action = route::RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(self.cluster.clone())),
            timeout: Some(none),
            max_stream_duration: Some(MaxStreamDuration {
                max_stream_duration: Some(none),
                grpc_timeout_header_max: Some(none),
                ..Default::default()
            }),
            retry_policy: if retried { inbound_retry(self.retry.as_ref()) } else { None },
            ..Default::default()
        };
        let operation = format!("{}/*", with_port(&self.host, self.port));
        route::Route {
            name: "default".into(),
            r#match: Some(route::RouteMatch {
                path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".into())),
                ..Default::default()
            }),
            decorator: Some(route::Decorator { operation, propagate: None }),
            action: Some(route::route::Action::Route(action)),
            ..Default::default()
        }
    }
}
