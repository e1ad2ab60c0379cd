//! Load balancing: the algorithm, panic, localities.

use envoy_api::envoy::config::cluster::v3 as api;
use envoy_api::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy, common_lb_config};
use envoy_api::envoy::config::core::v3 as core;
use model::Decimal;
use model::networking::{HashAlgorithm, LoadBalancer, SimpleLb, Warmup};
use model::settings::Settings;

use crate::endpoints::locality::LocalitySetting;
use crate::wire;

/// Load balancing of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Balancer {
    /// The algorithm.
    pub(super) algorithm: Algorithm,
    /// Whether endpoints come from the cluster itself, which leaves no choice.
    pub(super) provided: bool,
    /// What holds for every algorithm; `None` sends nothing.
    pub(super) common: Option<Common>,
}

/// What holds for every algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Common {
    /// Percent of healthy endpoints below which all are used; `None` for Envoy's own.
    pub(super) panic: Option<u32>,
    /// How localities are treated.
    pub(super) localities: Localities,
    /// Whether sessions stay with endpoints that end.
    pub(super) sticky: bool,
}

/// How localities are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Localities {
    /// As one.
    #[default]
    Merged,
    /// By their weights.
    Weighted,
    /// By Envoy's zone-aware routing.
    ZoneAware {
        /// Whether it is switched off.
        disabled: bool,
        /// Fewest endpoints for it to work.
        min_cluster_size: Option<u64>,
    },
}

/// The algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Algorithm {
    /// One after the other.
    #[default]
    RoundRobin,
    /// One after the other, new endpoints slowly.
    RoundRobinWarming(Warmup),
    /// The one with fewer requests of two.
    LeastRequest,
    /// The one with fewer requests of two, new endpoints slowly.
    LeastRequestWarming(Warmup),
    /// Any.
    Random,
    /// By a ring of at least this size.
    RingHash(Option<u64>),
    /// By a table of this size.
    Maglev(Option<u64>),
}

impl Algorithm {
    /// The algorithm that a rule asks for; least requests if it says nothing. Hashing wins.
    pub(super) fn of(rule: Option<&LoadBalancer>) -> Self {
        let Some(rule) = rule else { return Self::LeastRequest };
        if let Some(hash) = &rule.consistent_hash {
            return match hash.algorithm {
                HashAlgorithm::Maglev { table_size } => Self::Maglev(positive(table_size)),
                HashAlgorithm::RingHash { minimum_ring_size } => Self::RingHash(positive(minimum_ring_size)),
                HashAlgorithm::Unset { minimum_ring_size } => {
                    Self::RingHash(Some(positive(minimum_ring_size).unwrap_or(1024)))
                }
            };
        }
        match (rule.simple, rule.warmup) {
            (Some(SimpleLb::Random), _) => Self::Random,
            (Some(SimpleLb::RoundRobin), Some(warmup)) => Self::RoundRobinWarming(warmup),
            (Some(SimpleLb::RoundRobin | SimpleLb::Passthrough), _) => Self::RoundRobin,
            (_, Some(warmup)) => Self::LeastRequestWarming(warmup),
            (_, None) => Self::LeastRequest,
        }
    }

    fn policy(&self) -> LbPolicy {
        match self {
            Self::RoundRobin | Self::RoundRobinWarming(_) => LbPolicy::RoundRobin,
            Self::LeastRequest | Self::LeastRequestWarming(_) => LbPolicy::LeastRequest,
            Self::Random => LbPolicy::Random,
            Self::RingHash(_) => LbPolicy::RingHash,
            Self::Maglev(_) => LbPolicy::Maglev,
        }
    }

    fn config(&self) -> Option<LbConfig> {
        Some(match self {
            Self::RoundRobinWarming(warmup) => {
                let slow_start_config = Some(slow_start(warmup));
                let config = api::cluster::RoundRobinLbConfig { slow_start_config };
                LbConfig::RoundRobinLbConfig(config)
            }
            Self::LeastRequestWarming(warmup) => {
                let slow_start_config = Some(slow_start(warmup));
                let config = api::cluster::LeastRequestLbConfig { slow_start_config, ..Default::default() };
                LbConfig::LeastRequestLbConfig(config)
            }
            Self::RingHash(size @ Some(_)) => {
                let config =
                    api::cluster::RingHashLbConfig { minimum_ring_size: *size, ..Default::default() };
                LbConfig::RingHashLbConfig(config)
            }
            Self::Maglev(size @ Some(_)) => {
                LbConfig::MaglevLbConfig(api::cluster::MaglevLbConfig { table_size: *size })
            }
            _ => return None,
        })
    }
}

fn positive(size: Option<u64>) -> Option<u64> {
    size.filter(|size| *size > 0)
}

/// How new endpoints are given traffic. The runtime key is istiod's, odd as it is.
fn slow_start(warmup: &Warmup) -> api::cluster::SlowStartConfig {
    let window = Some(wire::duration(warmup.duration));
    if warmup.legacy {
        return api::cluster::SlowStartConfig { slow_start_window: window, ..Default::default() };
    }
    api::cluster::SlowStartConfig {
        slow_start_window: window,
        aggression: Some(core::RuntimeDouble {
            default_value: warmup.aggression.map_or(1.0, Decimal::get),
            runtime_key: "(".into(),
        }),
        min_weight_percent: Some(wire::percent(warmup.minimum_percent.map_or(10.0, Decimal::get))),
    }
}

impl Localities {
    /// How localities are treated under this setting.
    pub(super) fn of(
        setting: Option<&LocalitySetting<'_>>,
        outlier_detection: bool,
        settings: &Settings,
    ) -> Self {
        if let Some(LocalitySetting::ZoneAware(zone_aware)) = setting {
            return Self::ZoneAware {
                disabled: zone_aware.disabled,
                min_cluster_size: zone_aware.min_cluster_size,
            };
        }
        if LocalitySetting::is_weighted(setting, outlier_detection, settings) {
            Self::Weighted
        } else {
            Self::Merged
        }
    }

    fn build(&self) -> Option<common_lb_config::LocalityConfigSpecifier> {
        use common_lb_config::LocalityConfigSpecifier;
        match self {
            Self::Merged => None,
            Self::Weighted => Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(
                common_lb_config::LocalityWeightedLbConfig::default(),
            )),
            Self::ZoneAware { disabled, min_cluster_size } => {
                let config = common_lb_config::ZoneAwareLbConfig {
                    routing_enabled: disabled.then(|| wire::percent(0.0)),
                    min_cluster_size: *min_cluster_size,
                    ..Default::default()
                };
                Some(LocalityConfigSpecifier::ZoneAwareLbConfig(config))
            }
        }
    }
}

impl Balancer {
    /// Endpoints that come from the cluster itself, with nothing else said.
    pub(super) fn provided() -> Self {
        Self { provided: true, ..Self::default() }
    }

    /// Puts load balancing into the cluster.
    pub(super) fn apply(&self, cluster: &mut api::Cluster) {
        let policy = if self.provided { LbPolicy::ClusterProvided } else { self.algorithm.policy() };
        cluster.lb_policy = policy as i32;
        if let Some(config) = self.algorithm.config() {
            cluster.lb_config = Some(config);
        }
        cluster.common_lb_config = self.common.as_ref().map(Common::build);
    }
}

impl Common {
    fn build(&self) -> api::cluster::CommonLbConfig {
        use core::HealthStatus::{Degraded, Draining, Healthy, Unknown};
        let kept = [Healthy, Draining, Unknown, Degraded].map(|status| status as i32);
        api::cluster::CommonLbConfig {
            healthy_panic_threshold: self.panic.map(|percent| wire::percent(percent.into())),
            locality_config_specifier: self.localities.build(),
            override_host_status: self.sticky.then(|| core::HealthStatusSet { statuses: kept.to_vec() }),
            ..Default::default()
        }
    }
}
