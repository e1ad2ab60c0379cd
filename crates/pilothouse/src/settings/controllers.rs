//! Settings of the controllers: what is kept right in the cluster.

use model::Text;

use super::{Field, Setting};

/// What is kept right in the cluster.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is a variable of the table, where it is described")]
pub struct Controllers {
    pub elects: bool,
    pub root_certificates: Text,
    pub only_namespace: Text,
    pub injection_webhook: Text,
    pub validation_webhook: Text,
}

impl Default for Controllers {
    fn default() -> Self {
        Self {
            elects: true,
            root_certificates: "istio-ca-root-cert".into(),
            only_namespace: "".into(),
            injection_webhook: "istio-sidecar-injector".into(),
            validation_webhook: "istio-istio-system".into(),
        }
    }
}

settings! {
    /// Settings of the controllers, in the order in which they are listed to people.
    CONTROLLERS of Controllers:
    "ENABLE_LEADER_ELECTION" Flag elects "true" "Of several control planes one does what only one may do; if not, each does."
    "PILOT_CA_CERT_CONFIGMAP" Word root_certificates "istio-ca-root-cert" "The ConfigMap that holds the root certificates in every namespace."
    "ISTIO_WATCH_NAMESPACE" Word only_namespace "" "The only namespace in which that is kept; empty for all."
    "INJECTION_WEBHOOK_CONFIG_NAME" Name injection_webhook "istio-sidecar-injector" "If this is empty, webhooks that inject are left alone; otherwise those of the revision are kept right, whatever they are called."
    "VALIDATION_WEBHOOK_CONFIG_NAME" Name validation_webhook "istio-istio-system" "If this is empty, webhooks that validate are left alone; otherwise those of the revision are kept right, whatever they are called."
}
