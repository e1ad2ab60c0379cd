//! Listener filters: where a connection was meant to go, and what its first bytes say; and how connections are
//! spread over workers.

use envoy_api::Any;
use envoy_api::envoy::config::listener::v3::listener::{ConnectionBalanceConfig, connection_balance_config};
use envoy_api::envoy::config::listener::v3::listener_filter_chain_match_predicate::{MatchSet, Rule};
use envoy_api::envoy::config::listener::v3::{
    ListenerFilter, ListenerFilterChainMatchPredicate as Predicate, listener_filter::ConfigType,
};
use envoy_api::envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;
use envoy_api::envoy::extensions::filters::listener::original_dst::v3::OriginalDst;
use envoy_api::envoy::extensions::filters::listener::original_src::v3::OriginalSrc;
use envoy_api::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;
use envoy_api::envoy::r#type::v3::Int32Range;

/// The address that was called before the connection was captured.
pub(crate) fn original_destination() -> ListenerFilter {
    filter("envoy.filters.listener.original_dst", Any::pack(&OriginalDst {}))
}

/// Connections to the workload keep the caller's address; the mark keeps them from being captured again.
pub(crate) fn original_source() -> ListenerFilter {
    let config = OriginalSrc { mark: 1337, ..Default::default() };
    filter("envoy.filters.listener.original_src", Any::pack(&config))
}

/// Looks whether a connection begins with TLS, and for which name and protocols.
pub(crate) fn tls_inspector() -> ListenerFilter {
    let config = TlsInspector { initial_read_buffer_size: Some(512), ..Default::default() };
    filter("envoy.filters.listener.tls_inspector", Any::pack(&config))
}

/// Looks whether a connection begins with HTTP; stands after the one for TLS.
pub(crate) fn http_inspector() -> ListenerFilter {
    filter("envoy.filters.listener.http_inspector", Any::pack(&HttpInspector {}))
}

/// A filter that does not look at connections to these ports; at all, if there are none.
pub(super) fn except(filter: ListenerFilter, ports: &[u16]) -> ListenerFilter {
    ListenerFilter { filter_disabled: any_of(ports), ..filter }
}

/// A filter that looks at connections to these ports only; at all, if there are none.
pub(super) fn only(filter: ListenerFilter, ports: &[u16]) -> ListenerFilter {
    let others = any_of(ports).map(|ports| Predicate { rule: Some(Rule::NotMatch(Box::new(ports))) });
    ListenerFilter { filter_disabled: others, ..filter }
}

fn any_of(ports: &[u16]) -> Option<Predicate> {
    let mut rules: Vec<_> = ports.iter().map(|port| Predicate { rule: Some(range(*port)) }).collect();
    match rules.len() {
        0 | 1 => rules.pop(),
        _ => Some(Predicate { rule: Some(Rule::OrMatch(MatchSet { rules })) }),
    }
}

fn range(port: u16) -> Rule {
    let start = i32::from(port);
    Rule::DestinationPortRange(Int32Range { start, end: start + 1 })
}

fn filter(name: &str, config: Any) -> ListenerFilter {
    ListenerFilter {
        name: name.into(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

/// Connections are spread evenly over workers.
pub(crate) fn exact_balance() -> ConnectionBalanceConfig {
    let exact = connection_balance_config::ExactBalance {};
    ConnectionBalanceConfig {
        balance_type: Some(connection_balance_config::BalanceType::ExactBalance(exact)),
    }
}
