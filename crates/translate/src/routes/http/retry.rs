//! Retries.

use envoy_api::Any;
use envoy_api::envoy::config::route::v3 as route;
use envoy_api::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_api::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use model::networking::Retry;
use route::retry_policy::{RetryBackOff, RetryHostPredicate, RetryPriority};
use route::retry_policy::{retry_host_predicate, retry_priority};

use crate::wire::duration;

const STATUS_CODES: &str = "retriable-status-codes";
const OUTBOUND: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
/// A request that did not reach the application may be repeated whatever its method.
const INBOUND: &str = "reset-before-request";

/// Retries of a route to a service: two by default, on other hosts than before unless hashing chooses
/// the host; `None` if they are switched off.
pub(crate) fn outbound(policy: Option<&Retry>, hashed: bool) -> Option<route::RetryPolicy> {
    let base = route::RetryPolicy {
        num_retries: Some(2),
        retry_on: OUTBOUND.into(),
        host_selection_retry_max_attempts: 5,
        ..Default::default()
    };
    let avoid = policy.and_then(|policy| policy.ignore_previous_hosts).unwrap_or(!hashed);
    let retry_host_predicate = if avoid { vec![previous_hosts()] } else { Vec::new() };
    let base = route::RetryPolicy { retry_host_predicate, ..base };
    let Some(policy) = policy else {
        return Some(base);
    };
    let base = with_conditions(base, policy)?;
    let remote = policy.remote_localities.unwrap_or_default();
    Some(route::RetryPolicy {
        per_try_timeout: policy.per_try_timeout.map(duration),
        retry_priority: remote.then(previous_priorities),
        ..base
    })
}

/// Retries of a route to the workload itself; `None` if they are switched off.
///
/// There is one host only: of the policy, attempts, conditions and back-off count.
pub(crate) fn inbound(policy: Option<&Retry>) -> Option<route::RetryPolicy> {
    let base = route::RetryPolicy { num_retries: Some(2), retry_on: INBOUND.into(), ..Default::default() };
    match policy {
        Some(policy) => with_conditions(base, policy),
        None => Some(base),
    }
}

/// Attempts, conditions and back-off put on top of `base`.
fn with_conditions(base: route::RetryPolicy, policy: &Retry) -> Option<route::RetryPolicy> {
    let attempts = u32::try_from(policy.attempts).ok().filter(|attempts| *attempts > 0)?;
    let (retry_on, retriable_status_codes) = match &*policy.retry_on {
        "" => (base.retry_on, Vec::new()),
        written => conditions(written),
    };
    Some(route::RetryPolicy {
        num_retries: Some(attempts),
        retry_on,
        retriable_status_codes,
        retry_back_off: policy
            .backoff
            .map(|base| RetryBackOff { base_interval: Some(duration(base)), max_interval: None }),
        ..base
    })
}

/// Conditions and status codes, which may stand in one list.
fn conditions(written: &str) -> (String, Vec<u32>) {
    let parts = || written.split(',').map(str::trim).filter(|part| !part.is_empty());
    let codes: Vec<u32> = parts().filter_map(status).collect();
    let mut names: Vec<&str> = parts().filter(|part| status(part).is_none()).collect();
    if !codes.is_empty() && !names.iter().any(|name| name.contains(STATUS_CODES)) {
        names.push(STATUS_CODES);
        // With no other condition istiod writes an empty first one; Envoy reads both alike.
        if names.len() == 1 {
            return (format!(",{STATUS_CODES}"), codes);
        }
    }
    (names.join(","), codes)
}

/// A number that is a status of HTTP.
fn status(part: &str) -> Option<u32> {
    let code = part.parse().ok()?;
    let known = matches!(code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 510 | 511);
    known.then_some(code)
}

fn previous_hosts() -> RetryHostPredicate {
    let config = Any::pack(&PreviousHostsPredicate::default());
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".into(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(config)),
    }
}

fn previous_priorities() -> RetryPriority {
    let config = Any::pack(&PreviousPrioritiesConfig { update_frequency: 2 });
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".into(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(config)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retry_on: &str, expected: &str, codes: &[u32]) {
        let policy = Retry { attempts: 3, retry_on: retry_on.into(), ..Retry::default() };
        let built = outbound(Some(&policy), false).expect("retries");
        assert_eq!(
            (built.retry_on.as_str(), &*built.retriable_status_codes),
            (expected, codes),
            "{retry_on}"
        );
    }

    #[test]
    fn status_codes_may_stand_among_the_conditions() {
        check("", OUTBOUND, &[]);
        check("gateway-error, 503", "gateway-error,retriable-status-codes", &[503]);
        check("retriable-status-codes,503", "retriable-status-codes", &[503]);
        check("503", ",retriable-status-codes", &[503]);
        check("5xx,999", "5xx,999", &[]);
    }

    #[test]
    fn hashing_keeps_the_host_unless_told_otherwise() {
        let predicates = |policy: Option<&Retry>, hashed| {
            outbound(policy, hashed).map(|policy| policy.retry_host_predicate.len())
        };
        assert_eq!(predicates(None, false), Some(1));
        assert_eq!(predicates(None, true), Some(0));
        let asked = Retry { attempts: 1, ignore_previous_hosts: Some(true), ..Retry::default() };
        assert_eq!(predicates(Some(&asked), true), Some(1));
        assert_eq!(predicates(Some(&Retry::default()), false), None);
    }
}
