//! The network filters of TCP chains, and what stands before a connection manager (xds-semantics, network
//! filter order).

use std::time::Duration;

use envoy_api::Any;
use envoy_api::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_api::envoy::extensions::filters::network::mongo_proxy::v3::MongoProxy;
use envoy_api::envoy::extensions::filters::network::mysql_proxy::v3::MySqlProxy;
use envoy_api::envoy::extensions::filters::network::redis_proxy::v3::{RedisProxy, redis_proxy};
use envoy_api::envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3 as sni;
use envoy_api::envoy::extensions::filters::network::tcp_proxy::v3::{self as api, tcp_proxy};
use envoy_api::envoy::r#type::v3::{HashPolicy, hash_policy};
use memo::Shared;
use model::{Protocol, Text};
use prost_types::Value;
use prost_types::value::Kind;

use super::access_log::AccessLogs;
use super::base::{BaseInputs, Exchange};
use super::{base, stats};
use crate::tls::PEER_EXCHANGE;
use crate::wire::{DnsCache, duration, fields, text_value, typed_struct};

/// What the TCP chains of a class share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpBase {
    exchange: Option<Exchange>,
    stats: Vec<stats::Stats>,
    logs: Shared<AccessLogs>,
    idle_timeout: Option<Duration>,
    mongo: bool,
    mysql: bool,
    redis: bool,
}

impl TcpBase {
    pub(super) fn of(inputs: &BaseInputs, logs: Shared<AccessLogs>) -> Self {
        let settings = &inputs.settings;
        Self {
            exchange: Exchange::of(inputs),
            stats: base::metrics(inputs),
            logs,
            idle_timeout: inputs.profile.idle_timeout,
            mongo: settings.mongo_filter,
            mysql: settings.mysql_filter && inputs.profile.capabilities.mysql,
            redis: settings.redis_filter,
        }
    }

    /// The filter by which peers tell each other who they are; none if it is switched off or not known to
    /// the proxy. It stands before everything else, so that a refusal can name the peer.
    pub(crate) fn metadata_exchange(&self) -> Option<Filter> {
        self.exchange.as_ref().map(|exchange| {
            let on = Value { kind: Some(Kind::BoolValue(true)) };
            let own = [("protocol", text_value(PEER_EXCHANGE)), ("enable_discovery", on)];
            let config = fields(own.into_iter().chain(exchange.field()));
            let type_url = "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange";
            filter("istio.metadata_exchange", typed_struct(type_url, config))
        })
    }

    /// `istio.stats` of connections.
    pub(crate) fn stats(&self) -> impl Iterator<Item = Filter> + '_ {
        self.stats.iter().map(|stats| filter(stats::NAME, stats.config()))
    }
}

/// A network filter of this name.
pub(crate) fn filter(name: &str, config: Any) -> Filter {
    Filter { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)) }
}

/// Where a TCP proxy sends connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TcpTarget {
    /// To this cluster.
    Cluster(Text),
    /// To these clusters by weight; zero weights already left out.
    Weighted(Vec<(Text, u32)>),
}

impl TcpTarget {
    /// The clusters that it names.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &Text> {
        let (one, many) = match self {
            Self::Cluster(cluster) => (Some(cluster), &[][..]),
            Self::Weighted(clusters) => (None, &clusters[..]),
        };
        one.into_iter().chain(many.iter().map(|(cluster, _)| cluster))
    }
}

/// The filters of a TCP chain: what is decided about it beyond its class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpProxy {
    /// What it shares with the other chains of its class.
    pub(crate) base: Shared<TcpBase>,
    /// Beginning of its statistics' names: usually the cluster's name.
    pub(crate) stat_prefix: Text,
    /// Where connections go.
    pub(crate) target: TcpTarget,
    /// Mongo, MySQL and Redis have filters of their own; every other protocol is bytes.
    pub(crate) protocol: Protocol,
    /// Everything that is usually not said.
    pub(crate) options: TcpOptions,
}

/// What is seldom said of a TCP proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TcpOptions {
    /// Whether metadata exchange stands in front: inbound, and on gateways that end mutual TLS.
    pub(crate) exchange: bool,
    /// No access log and no idle time limit: chains that lead nowhere.
    pub(crate) silent: bool,
    /// Longest idle time by a rule; else the proxy's own counts.
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest time that a connection may last.
    pub(crate) max_duration: Option<Duration>,
    /// Whether connections of one client address go to one endpoint.
    pub(crate) hash_source_ip: bool,
    /// A proxy on the way is asked for `host:port`, by POST instead of CONNECT if the flag is set.
    pub(crate) tunnel: Option<(Text, bool)>,
    /// Resolves the server name that was called, before the connection is sent on to this port.
    pub(crate) sni_forward_proxy: Option<(DnsCache, u16)>,
}

impl TcpProxy {
    /// A TCP proxy that sends everything to one cluster and is called after it.
    pub(crate) fn to(base: &Shared<TcpBase>, cluster: impl Into<Text>) -> Self {
        let cluster = cluster.into();
        Self {
            base: base.clone(),
            stat_prefix: cluster.clone(),
            target: TcpTarget::Cluster(cluster),
            protocol: Protocol::Tcp,
            options: TcpOptions::default(),
        }
    }

    /// The chain's filters in order.
    ///
    /// Filters of policies (external authorization, RBAC) and of extensions stand between metadata exchange
    /// and `istio.stats`.
    pub(crate) fn filters(&self) -> Vec<Filter> {
        let mut list = Vec::with_capacity(4);
        if self.options.exchange {
            list.extend(self.base.metadata_exchange());
        }
        list.extend(self.base.stats());
        list.extend(self.options.sni_forward_proxy.as_ref().map(|(cache, port)| sni_forward(cache, *port)));
        match (self.protocol, &self.target) {
            (Protocol::Redis, target) if self.base.redis => {
                // Of several clusters the first one gets everything: weights are TCP proxies'.
                list.extend(target.clusters().next().map(|cluster| redis(&self.stat_prefix, cluster)));
                return list;
            }
            (Protocol::Mongo, _) if self.base.mongo => list.push(mongo(&self.stat_prefix)),
            (Protocol::Mysql, _) if self.base.mysql => list.push(mysql(&self.stat_prefix)),
            _ => {}
        }
        list.push(filter("envoy.filters.network.tcp_proxy", Any::pack(&self.proxy())));
        list
    }

    fn proxy(&self) -> api::TcpProxy {
        let options = &self.options;
        let (idle, access_log) = if options.silent {
            (None, Vec::new())
        } else {
            (options.idle_timeout.or(self.base.idle_timeout), self.base.logs.tcp.clone())
        };
        let source = hash_policy::PolicySpecifier::SourceIp(hash_policy::SourceIp {});
        let hash = options.hash_source_ip.then_some(HashPolicy { policy_specifier: Some(source) });
        api::TcpProxy {
            stat_prefix: self.stat_prefix.to_string(),
            cluster_specifier: Some(specifier(&self.target)),
            idle_timeout: idle.map(duration),
            max_downstream_connection_duration: options.max_duration.map(duration),
            hash_policy: hash.into_iter().collect(),
            tunneling_config: options.tunnel.as_ref().map(|(host, post)| tcp_proxy::TunnelingConfig {
                hostname: host.to_string(),
                use_post: *post,
                ..Default::default()
            }),
            access_log,
            ..Default::default()
        }
    }
}

fn specifier(target: &TcpTarget) -> tcp_proxy::ClusterSpecifier {
    match target {
        TcpTarget::Cluster(cluster) => tcp_proxy::ClusterSpecifier::Cluster(cluster.to_string()),
        TcpTarget::Weighted(clusters) => {
            let one = |(name, weight): &(Text, u32)| tcp_proxy::weighted_cluster::ClusterWeight {
                name: name.to_string(),
                weight: *weight,
                metadata_match: None,
            };
            let clusters = clusters.iter().map(one).collect();
            tcp_proxy::ClusterSpecifier::WeightedClusters(tcp_proxy::WeightedCluster { clusters })
        }
    }
}

fn mongo(stat_prefix: &str) -> Filter {
    let config = MongoProxy { stat_prefix: stat_prefix.into(), ..Default::default() };
    filter("envoy.filters.network.mongo_proxy", Any::pack(&config))
}

fn mysql(stat_prefix: &str) -> Filter {
    let config = MySqlProxy { stat_prefix: stat_prefix.into(), ..Default::default() };
    filter("envoy.filters.network.mysql_proxy", Any::pack(&config))
}

/// Redis ends the chain: it has routes of its own.
fn redis(stat_prefix: &str, cluster: &str) -> Filter {
    let route = redis_proxy::prefix_routes::Route { cluster: cluster.into(), ..Default::default() };
    let config = RedisProxy {
        stat_prefix: stat_prefix.into(),
        settings: Some(redis_proxy::ConnPoolSettings {
            op_timeout: Some(duration(Duration::from_secs(5))),
            ..Default::default()
        }),
        latency_in_micros: true,
        prefix_routes: Some(redis_proxy::PrefixRoutes { catch_all_route: Some(route), ..Default::default() }),
        ..Default::default()
    };
    filter("envoy.filters.network.redis_proxy", Any::pack(&config))
}

fn sni_forward(cache: &DnsCache, port: u16) -> Filter {
    let config = sni::FilterConfig {
        dns_cache_config: Some(cache.config()),
        port_specifier: Some(sni::filter_config::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    };
    filter("envoy.extensions.filters.network.sni_dynamic_forward_proxy", Any::pack(&config))
}
