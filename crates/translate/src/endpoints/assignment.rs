//! The endpoints of one cluster: which, and in which order of preference.

use mesh::EffectivePolicy;
use model::endpoint::TlsMode;

use super::AssignmentInputs;
use super::lb::{Locality, Style, group};
use super::locality::{Client, LocalitySetting};
use super::select::{MutualTls, Selection, rule_mode, sends_unhealthy};

/// The plan of one assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) localities: Vec<Locality>,
}

impl Assignment {
    /// Chooses endpoints, groups them by locality and orders the localities.
    pub(super) fn plan(inputs: &AssignmentInputs) -> Self {
        let (service, subset) = (&inputs.service, inputs.subset());
        let rule = inputs.rule.as_ref().map(|rule| &rule.rule);
        // Here the mesh's default policy does not count, unlike in clusters.
        let policy = EffectivePolicy::of_port(rule.and_then(|rule| rule.policy.as_deref()), inputs.port);
        let policy = subset.map_or(policy, |subset| policy.with_subset(subset, inputs.port));
        let profile = &inputs.profile;
        let selection = Selection {
            service,
            subset: subset.map(|subset| &subset.labels),
            cluster: &profile.cluster,
            node: &profile.node,
            network_view: &profile.network_view,
            cluster_local: inputs.mesh.cluster_locals.covers(&service.host, &inputs.settings.domain),
            unhealthy: sends_unhealthy(service, &policy, &inputs.settings),
        };
        let tls = MutualTls {
            rule: rule.and_then(|rule| rule_mode(rule, subset, inputs.port)),
            refusals: inputs.refusals.as_deref(),
        };
        let all = inputs.endpoints.iter().flat_map(|endpoints| &endpoints.endpoints);
        let chosen =
            all.filter(|endpoint| endpoint.port_name == inputs.port_name && selection.keeps(endpoint));
        let chosen =
            chosen.filter(|endpoint| !inputs.by_server_name || endpoint.workload.tls_mode == TlsMode::Istio);
        let mut localities = group(chosen.map(|endpoint| tls.judge(endpoint)), Style::of(&inputs.settings));
        if let Some(setting) = LocalitySetting::of(&inputs.mesh, policy.load_balancer, service) {
            let client = Client { locality: &profile.locality, labels: Some(&profile.failover_labels) };
            setting.apply(&mut localities, client, policy.outlier_detection.is_some());
        }
        Self { localities }
    }
}
