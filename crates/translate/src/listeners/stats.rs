//! `istio.stats`: metrics of requests and connections (xds-semantics, metrics).

use envoy_api::Any;
use envoy_api::stats::PluginConfig;

/// The filter's name, for HTTP and TCP alike.
pub(super) const NAME: &str = "istio.stats";

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stats {
    /// Whether the host header is not trusted to name the service: where strangers may call.
    pub(super) disable_host_header_fallback: bool,
}

impl Stats {
    /// Its configuration.
    pub(super) fn config(&self) -> Any {
        Any::pack(&PluginConfig {
            disable_host_header_fallback: self.disable_host_header_fallback,
            ..Default::default()
        })
    }
}
