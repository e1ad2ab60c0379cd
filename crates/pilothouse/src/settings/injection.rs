//! Settings of both webhooks: whether they are served, and what shapes injected pods.

use model::Text;

use super::{Field, Setting};

/// What the webhooks do.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is a variable of the table, where it is described")]
pub struct Injection {
    pub injects: bool,
    pub validates: bool,
    pub native_sidecars: Text,
    pub platform: Text,
}

impl Default for Injection {
    fn default() -> Self {
        Self { injects: true, validates: true, native_sidecars: "auto".into(), platform: "".into() }
    }
}

settings! {
    /// Settings of both webhooks, in the order in which they are listed to people.
    INJECTION of Injection:
    "INJECT_ENABLED" Flag injects "true" "Pods are injected (/inject)."
    "VALIDATION_ENABLED" Flag validates "true" "Objects are validated (/validate)."
    "ENABLE_NATIVE_SIDECARS" Word native_sidecars "auto" "Proxies are init containers that stay: true, false, or auto for where every kubelet is of 1.33 or newer."
    "PLATFORM" Word platform "" "The platform; on openshift a proxy's user is one of its namespace's."
}
