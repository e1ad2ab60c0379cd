//! What routes set for filters: injected faults, cross-origin policy.

use envoy_api::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_api::envoy::extensions::filters::common::fault::v3 as delay;
use envoy_api::envoy::extensions::filters::http::cors::v3 as cors;
use envoy_api::envoy::extensions::filters::http::fault::v3 as fault;
use envoy_api::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use model::Text;
use model::networking::{Cors, Fault, FaultAbort, FaultDelay, FaultError, Share};

use super::matching;
use crate::wire::duration;

/// The filter that [`fault()`] is for.
pub(super) const FAULT: &str = "envoy.filters.http.fault";
/// The filter that [`cors()`] is for.
pub(super) const CORS: &str = "envoy.filters.http.cors";

/// Codes of gRPC by name.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Injected faults; a delay or abort of a form that Envoy does not know is left out.
pub(super) fn fault(faults: &Fault) -> fault::HttpFault {
    fault::HttpFault {
        delay: faults.delay.as_ref().and_then(delay),
        abort: faults.abort.as_ref().and_then(abort),
        ..Default::default()
    }
}

fn delay(injected: &FaultDelay) -> Option<delay::FaultDelay> {
    let fixed = duration(injected.fixed?);
    Some(delay::FaultDelay {
        percentage: Some(percent(injected.share, 0)),
        fault_delay_secifier: Some(delay::fault_delay::FaultDelaySecifier::FixedDelay(fixed)),
    })
}

fn abort(injected: &FaultAbort) -> Option<fault::FaultAbort> {
    use fault::fault_abort::ErrorType;
    let error = match &injected.error {
        FaultError::Http(status) => ErrorType::HttpStatus(*status),
        FaultError::Grpc(name) => ErrorType::GrpcStatus(grpc_status(name)),
        FaultError::Unset => return None,
    };
    let share = (injected.share != Share::Unset).then(|| percent(injected.share, 0));
    Some(fault::FaultAbort { percentage: share, error_type: Some(error), ..Default::default() })
}

/// The code of a name; an unknown one is 0, as for istiod.
fn grpc_status(name: &str) -> u32 {
    let at = GRPC.iter().position(|known| *known == name);
    at.and_then(|at| u32::try_from(at).ok()).or_else(|| name.parse().ok()).unwrap_or_default()
}

/// A share of requests in the unit that it was written in; `unset` percent if nothing was said.
pub(super) fn percent(share: Share, unset: u32) -> FractionalPercent {
    let (numerator, denominator) = match share {
        Share::Fraction(millionths) => (millionths.0, DenominatorType::Million),
        Share::Percent(percent) => (percent, DenominatorType::Hundred),
        Share::Unset => (unset, DenominatorType::Hundred),
    };
    FractionalPercent { numerator, denominator: denominator as i32 }
}

/// Cross-origin policy of a route.
pub(super) fn cors(policy: &Cors) -> cors::CorsPolicy {
    let joined = |list: &[Text]| list.iter().map(|one| &**one).collect::<Vec<_>>().join(",");
    let always = FractionalPercent { numerator: 100, denominator: DenominatorType::Hundred as i32 };
    cors::CorsPolicy {
        allow_origin_string_match: policy.origins.iter().filter_map(matching::text).collect(),
        allow_methods: joined(&policy.methods),
        allow_headers: joined(&policy.headers),
        expose_headers: joined(&policy.expose_headers),
        max_age: policy.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: policy.credentials,
        filter_enabled: Some(RuntimeFractionalPercent { default_value: Some(always), ..Default::default() }),
        forward_not_matching_preflights: Some(policy.forward_unmatched.unwrap_or(true)),
        ..Default::default()
    }
}
