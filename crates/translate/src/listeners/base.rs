//! What the filters of all chains of one class share: decided once per proxy, and shared between proxies
//! that do not differ in it.

use memo::Shared;
use mesh::{Collectors, ListenerProfile};
use model::Text;
use model::mesh_config::{MeshConfig, ProviderKind};
use model::settings::Settings;
use prost_types::value::Kind;
use prost_types::{ListValue, Value};

use super::access_log::AccessLogs;
use super::hcm::{HttpBase, HttpInputs};
use super::network_filters::TcpBase;
use super::{Inputs, Memos, access_log, stats};
use crate::wire::text_value;

/// Which traffic a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// To the workload.
    SidecarInbound,
    /// From the workload.
    SidecarOutbound,
    /// Through a gateway.
    #[allow(dead_code, reason = "made by the listeners of gateways")]
    Gateway,
}

/// Everything that the chains of one class may depend on beyond what is said for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BaseInputs {
    pub(super) class: Class,
    pub(super) profile: Shared<ListenerProfile>,
    pub(super) mesh: Shared<MeshConfig>,
    pub(super) settings: Shared<Settings>,
    /// The services that take traces and logs.
    pub(super) collectors: Shared<Collectors>,
}

impl BaseInputs {
    fn of(inputs: &Inputs, class: Class) -> Self {
        Self {
            class,
            profile: inputs.profile.clone(),
            mesh: inputs.mesh.clone(),
            settings: inputs.settings.clone(),
            collectors: inputs.collectors.clone(),
        }
    }
}

/// Handles to what the filters of all chains of one class share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Base {
    /// For connection managers; carries the workload's tags.
    pub(crate) http: Shared<HttpBase>,
    /// For TCP proxies; the same for most proxies of a mesh.
    pub(crate) tcp: Shared<TcpBase>,
    /// Access logs; those of the listener itself are in `listener`.
    pub(crate) logs: Shared<AccessLogs>,
}

impl Base {
    /// What the chains of this class share, for the proxy of these inputs.
    pub(crate) fn of(inputs: &Inputs, class: Class, memos: &Memos) -> Self {
        let inputs = BaseInputs::of(inputs, class);
        (*memos.bases.get(&inputs, |inputs| Self::new(inputs, memos))).clone()
    }

    fn new(inputs: &BaseInputs, memos: &Memos) -> Self {
        let logs = memos.logs.get(&access_log::Inputs { mesh: inputs.mesh.clone() }, AccessLogs::new);
        let tcp = TcpBase::of(inputs, logs.clone());
        let http = HttpInputs::of(inputs, logs.clone());
        Self { http: memos.http.get(&http, HttpBase::new), tcp: memos.tcp.get(&tcp, TcpBase::clone), logs }
    }
}

/// The `istio.stats` filters of a class: one for each provider of metrics that the mesh has by default,
/// as far as the proxy knows the filter.
pub(super) fn metrics(inputs: &BaseInputs) -> Vec<stats::Stats> {
    if !inputs.profile.capabilities.stats {
        return Vec::new();
    }
    let mut names: Vec<_> = inputs.mesh.default_metrics.iter().collect();
    names.sort();
    names.dedup();
    let prometheus = names.iter().filter(|name| {
        let provider = inputs.mesh.provider(name);
        provider.is_some_and(|provider| provider.kind == ProviderKind::Prometheus)
    });
    let filter = stats::Stats { disable_host_header_fallback: inputs.class != Class::SidecarOutbound };
    prometheus.map(|_| filter.clone()).collect()
}

/// What a proxy tells its peers about its workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    /// Labels beside those that are always told.
    labels: Vec<Text>,
}

impl Exchange {
    /// `None` if it is switched off, or not known to the proxy.
    pub(super) fn of(inputs: &BaseInputs) -> Option<Self> {
        let on = inputs.settings.metadata_exchange && inputs.profile.capabilities.metadata_exchange;
        on.then(|| Self { labels: inputs.settings.mx_labels.clone() })
    }

    /// The field of the filters' configurations that names further labels, if there are any.
    pub(super) fn field(&self) -> Option<(&'static str, Value)> {
        let values = self.labels.iter().map(|label| text_value(label)).collect();
        let list = Kind::ListValue(ListValue { values });
        (!self.labels.is_empty()).then_some(("additional_labels", Value { kind: Some(list) }))
    }
}
