//! The plan of any cluster, inbound, outbound or special, and its rendering.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use envoy_api::envoy::config::cluster::v3 as api;
use envoy_api::envoy::config::core::v3 as core;
use envoy_api::envoy::config::endpoint::v3::{self as endpoint, ClusterLoadAssignment, LocalityLbEndpoints};
use envoy_api::{Needs, Resource};
use mesh::ClusterProfile;
use model::Text;
use model::networking::OutlierDetection;
use model::settings::Settings;
use prost::Message;

use super::balancer::Balancer;
use super::dns::DnsResolution;
use super::dynamic::DynamicDns;
use super::http::HttpOptions;
use super::metadata::Metadata;
use super::outlier;
use super::pool::Limits;
use super::tls::Tls;
use crate::endpoints::lb::Locality;
use crate::wire;

/// Everything a cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterPlan {
    /// Its name.
    pub(super) name: Text,
    /// The name of its statistics, if not its own.
    pub(super) stat_name: Option<Text>,
    /// How its endpoints are found.
    pub(super) discovery: Discovery,
    /// How names are resolved.
    pub(super) dns: Option<DnsResolution>,
    /// Endpoints inside the cluster.
    pub(super) assignment: Assignment,
    /// Time limit of connecting.
    pub(super) connect_timeout: Duration,
    /// Limits of connections and requests.
    pub(super) limits: Option<Limits>,
    /// What is spoken.
    pub(super) http: HttpOptions,
    /// Ejection of endpoints that fail.
    pub(super) outlier_detection: Option<OutlierDetection>,
    /// Load balancing.
    pub(super) balancer: Balancer,
    /// TLS towards endpoints.
    pub(super) tls: Option<Arc<Tls>>,
    /// What filters may know of it.
    pub(super) metadata: Metadata,
    /// Whether peers tell each other who they are before TCP traffic.
    pub(super) peer_exchange: Option<PeerExchange>,
    /// The address that connections come from, which keeps captured traffic from coming back.
    pub(super) bind: Option<Bind>,
}

/// How a cluster's endpoints are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Discovery {
    /// They stand in the cluster.
    Static,
    /// Every address of their names.
    StrictDns,
    /// One address of their name.
    LogicalDns,
    /// They are endpoint resources.
    Endpoints,
    /// The address that was called.
    OriginalDestination {
        /// The port instead of that which was called.
        port: Option<u16>,
        /// Whether connections' hosts are kept for ever.
        kept: bool,
    },
    /// The name that was called.
    Dynamic(DynamicDns),
}

/// Endpoints inside a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Assignment {
    /// There are none.
    None,
    /// Endpoints of a service.
    Localities(Vec<Locality>),
    /// One address.
    Address(Text, u16),
    /// One Unix socket.
    Pipe(Text),
}

/// The address that connections come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bind {
    /// The address.
    pub(super) source: &'static str,
    /// A second one, of the other IP family.
    pub(super) extra: Option<&'static str>,
}

impl ClusterPlan {
    /// The cluster, rendered and encoded.
    pub fn build(&self) -> Resource {
        let endpoints = self.discovery == Discovery::Endpoints;
        Resource::of(self.name.clone(), &self.cluster(), Needs { endpoints, ..Needs::default() })
    }

    fn cluster(&self) -> api::Cluster {
        let stat_name = self.stat_name.as_ref().unwrap_or(&self.name);
        let mut cluster = api::Cluster {
            name: self.name.to_string(),
            alt_stat_name: format!("{stat_name};"),
            connect_timeout: Some(wire::duration(self.connect_timeout)),
            load_assignment: self.assignment.build(&self.name),
            metadata: self.metadata.build(),
            outlier_detection: self.outlier_detection.as_ref().map(outlier::build),
            upstream_bind_config: self.bind.as_ref().map(Bind::build),
            ..api::Cluster::default()
        };
        self.discovery.apply(&mut cluster);
        self.balancer.apply(&mut cluster);
        self.http.apply(&mut cluster);
        if let Some(limits) = &self.limits {
            limits.apply(&mut cluster);
        }
        if let Some(dns) = &self.dns {
            dns.apply(&mut cluster);
        }
        if let Some(tls) = &self.tls {
            tls.apply(&mut cluster);
        }
        cluster.filters = self.peer_exchange.iter().map(PeerExchange::build).collect();
        cluster
    }
}

impl Discovery {
    fn apply(&self, cluster: &mut api::Cluster) {
        use api::cluster::DiscoveryType;
        let kind = match self {
            Self::Static => DiscoveryType::Static,
            Self::StrictDns => DiscoveryType::StrictDns,
            Self::LogicalDns => DiscoveryType::LogicalDns,
            Self::Endpoints => {
                cluster.eds_cluster_config = Some(api::cluster::EdsClusterConfig {
                    service_name: cluster.name.clone(),
                    eds_config: Some(wire::ads()),
                });
                DiscoveryType::Eds
            }
            Self::OriginalDestination { port, kept } => {
                cluster.lb_config = port.map(port_override);
                cluster.cleanup_interval = kept.then(|| wire::duration(FOR_EVER));
                DiscoveryType::OriginalDst
            }
            Self::Dynamic(dynamic) => {
                cluster.cluster_discovery_type = Some(dynamic.build());
                return;
            }
        };
        cluster.cluster_discovery_type = Some(api::cluster::ClusterDiscoveryType::Type(kind as i32));
    }

    /// Whether traffic goes to the address that was called.
    pub(super) fn is_original_destination(&self) -> bool {
        matches!(self, Self::OriginalDestination { .. })
    }
}

/// The longest time that istiod's durations can hold.
const FOR_EVER: Duration = Duration::from_secs(9_223_372_035);

fn port_override(port: u16) -> api::cluster::LbConfig {
    api::cluster::LbConfig::OriginalDstLbConfig(api::cluster::OriginalDstLbConfig {
        upstream_port_override: Some(port.into()),
        ..Default::default()
    })
}

impl Assignment {
    fn build(&self, cluster: &str) -> Option<ClusterLoadAssignment> {
        let localities: Vec<LocalityLbEndpoints> = match self {
            Self::None => return None,
            Self::Localities(localities) => localities.iter().map(Locality::build).collect(),
            Self::Address(ip, port) => vec![one(wire::address(ip, *port))],
            Self::Pipe(path) => vec![one(wire::pipe(path))],
        };
        Some(ClusterLoadAssignment {
            cluster_name: cluster.into(),
            endpoints: localities.iter().map(|locality| locality.encode_to_vec().into()).collect(),
            ..ClusterLoadAssignment::default()
        })
    }
}

fn one(address: core::Address) -> LocalityLbEndpoints {
    let host = endpoint::Endpoint { address: Some(address), ..Default::default() };
    let host = endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(host)),
        ..Default::default()
    };
    LocalityLbEndpoints { lb_endpoints: vec![host], ..Default::default() }
}

impl Bind {
    fn build(&self) -> core::BindConfig {
        let extra = |ip: &'static str| core::ExtraSourceAddress {
            address: Some(wire::socket_address(ip, 0)),
            ..Default::default()
        };
        core::BindConfig {
            source_address: Some(wire::socket_address(self.source, 0)),
            extra_source_addresses: self.extra.map(extra).into_iter().collect(),
            ..Default::default()
        }
    }
}

/// How peers tell each other who they are before TCP traffic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerExchange {
    /// Labels that they tell beside those that they always do.
    labels: Vec<Text>,
}

impl PeerExchange {
    /// `None` if it is switched off, or not known to the proxy.
    pub(super) fn of(profile: &ClusterProfile, settings: &Settings) -> Option<Self> {
        let on = settings.metadata_exchange && profile.capabilities.metadata_exchange;
        on.then(|| Self { labels: settings.mx_labels.clone() })
    }

    fn build(&self) -> api::Filter {
        if self.labels.is_empty() { PEER_EXCHANGE_FILTER.clone() } else { exchange_filter(&self.labels) }
    }
}

/// The filter where no further labels are told; packed once, since every cluster has it.
static PEER_EXCHANGE_FILTER: LazyLock<api::Filter> = LazyLock::new(|| exchange_filter(&[]));

/// The filter of a peer exchange; Istio's proxy only.
fn exchange_filter(labels: &[Text]) -> api::Filter {
    use prost_types::value::Kind;
    let url = "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange";
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let protocol = wire::text_value(crate::tls::PEER_EXCHANGE);
    let mut config =
        wire::fields([("enable_discovery", value(Kind::BoolValue(true))), ("protocol", protocol)]);
    if !labels.is_empty() {
        let values = labels.iter().map(|label| wire::text_value(label)).collect();
        let list = value(Kind::ListValue(prost_types::ListValue { values }));
        config.fields.insert("additional_labels".into(), list);
    }
    api::Filter {
        name: "istio.metadata_exchange".into(),
        typed_config: Some(wire::typed_struct(url, config)),
        ..Default::default()
    }
}
