//! Settings of identity: who is let in, and how certificates are made.

use std::time::Duration;

use ::identity::{Lifetimes, RootRules};
use model::Text;

use super::{Field, Setting};

/// Who is let in, and how certificates are made.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is a variable of the table, where it is described")]
pub struct Identity {
    pub hosts: Vec<Text>,
    pub folder: Text,
    pub key_bits: u32,
    pub root_lifetime: Duration,
    pub check_interval: Duration,
    pub renewed_at_percent: u32,
    pub default_lifetime: Duration,
    pub max_lifetime: Duration,
    pub audiences: Vec<Text>,
    pub issues: bool,
    pub authenticates: bool,
    pub authenticates_plaintext: bool,
    pub checks_identity: bool,
}

impl Default for Identity {
    fn default() -> Self {
        let (root, leaf) = (RootRules::default(), Lifetimes::default());
        Self {
            hosts: Vec::new(),
            folder: "./etc/cacerts".into(),
            key_bits: root.key_bits,
            root_lifetime: root.lifetime,
            check_interval: root.check_interval,
            renewed_at_percent: root.renewed_at_percent,
            default_lifetime: leaf.default,
            max_lifetime: leaf.max,
            audiences: vec!["istio-ca".into()],
            issues: true,
            authenticates: true,
            authenticates_plaintext: false,
            checks_identity: true,
        }
    }
}

settings! {
    /// Settings of identity, in the order in which they are listed to people.
    IDENTITY of Identity:
    "ISTIOD_CUSTOM_HOST" List hosts "" "Further names in the DNS under which this process is called."
    "ROOT_CA_DIR" Word folder "./etc/cacerts" "The folder in which an authority may be plugged in; read again when it changes."
    "CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE" Number key_bits "2048" "Bits of the key of a root that is made."
    "CITADEL_SELF_SIGNED_CA_CERT_TTL" Time root_lifetime "87600h" "How long such a root holds, and this process's own certificate at most."
    "CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL" Time check_interval "1h" "How often it is looked at whether such a root is to be renewed; 0 for never."
    "CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE" Number renewed_at_percent "20" "It is when less than this is left of its lifetime, in percent."
    "DEFAULT_WORKLOAD_CERT_TTL" Time default_lifetime "24h" "How long the certificate of a workload holds that does not say for how long."
    "MAX_WORKLOAD_CERT_TTL" Time max_lifetime "2160h" "The longest that it may ask for."
    "TOKEN_AUDIENCES" List audiences "istio-ca" "For whom tokens of callers must be made."
    "ENABLE_CA_SERVER" Flag issues "true" "Workloads get certificates here."
    "XDS_AUTH" Flag authenticates "true" "Streams over TLS must show whose they are."
    "XDS_AUTH_PLAINTEXT" Flag authenticates_plaintext "false" "Streams in plaintext must too."
    "PILOT_ENABLE_XDS_IDENTITY_CHECK" Flag checks_identity "true" "A node must be in the namespace, and of the service account, of whoever announces it."
}
