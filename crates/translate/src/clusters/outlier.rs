//! Ejection of endpoints that fail.

use envoy_api::envoy::config::cluster::v3 as api;
use model::networking::OutlierDetection;

use crate::wire;

/// What Envoy ejects endpoints by. Ejection by comparing success rates is always off.
pub(super) fn build(outlier: &OutlierDetection) -> api::OutlierDetection {
    let enforced = |errors: Option<u32>| errors.map(|errors| if errors > 0 { 100 } else { 0 });
    let split = outlier.split_external_local_origin;
    let local = outlier.consecutive_local_origin.filter(|errors| split && *errors > 0);
    api::OutlierDetection {
        enforcing_success_rate: Some(0),
        consecutive_5xx: outlier.consecutive_5xx,
        enforcing_consecutive_5xx: enforced(outlier.consecutive_5xx),
        consecutive_gateway_failure: outlier.consecutive_gateway,
        enforcing_consecutive_gateway_failure: enforced(outlier.consecutive_gateway),
        interval: outlier.interval.map(wire::duration),
        base_ejection_time: outlier.base_ejection_time.map(wire::duration),
        max_ejection_percent: Some(outlier.max_ejection_percent).filter(|percent| *percent > 0),
        split_external_local_origin_errors: split,
        consecutive_local_origin_failure: local,
        enforcing_consecutive_local_origin_failure: local.map(|_| 100),
        enforcing_local_origin_success_rate: split.then_some(0),
        ..Default::default()
    }
}
