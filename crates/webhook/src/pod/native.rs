//! Whether proxies run as init containers that stay, which a cluster's nodes must know.

use std::collections::BTreeMap;

/// When they do (`ENABLE_NATIVE_SIDECARS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeSidecars {
    /// Where every node knows them.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl NativeSidecars {
    /// From the setting's text: `true`, `false`, and anything else for `auto`.
    pub fn parse(text: &str) -> Self {
        match text {
            "true" => Self::On,
            "false" => Self::Off,
            _ => Self::Auto,
        }
    }
}

/// The kubelet's version by the node's name.
pub type Nodes = BTreeMap<String, String>;

/// The first minor version of Kubernetes in which they are stable.
const SINCE: u32 = 33;

/// Whether a pod's proxy may be one: the pod's own node decides if it has one already.
pub(crate) fn is_supported(mode: NativeSidecars, nodes: &Nodes, node: &str) -> bool {
    match (mode, nodes.get(node)) {
        (NativeSidecars::On, _) => true,
        (NativeSidecars::Off, _) => false,
        (NativeSidecars::Auto, Some(version)) => knows(version),
        (NativeSidecars::Auto, None) => nodes.values().all(|version| knows(version)),
    }
}

fn knows(version: &str) -> bool {
    let minor = version.trim_start_matches('v').split('.').nth(1);
    let digits = minor.map(|minor| minor.trim_end_matches(|last: char| !last.is_ascii_digit()));
    digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|minor| minor >= SINCE)
}
