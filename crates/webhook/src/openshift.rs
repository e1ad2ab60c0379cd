//! OpenShift, where every namespace has users of its own.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::PROXY;
use crate::parts::{self, CONTAINERS, INIT_CONTAINERS};

const USERS: &str = "openshift.io/sa.scc.uid-range";
const GROUPS: &str = "openshift.io/sa.scc.supplemental-groups";
/// The proxy's user and group elsewhere.
const DEFAULT: i64 = 1337;

/// User and group of the proxy: the last of those that the namespace may have.
pub(crate) fn proxy_ids(namespace: Option<&BTreeMap<String, String>>) -> (i64, i64) {
    let annotation = |name: &str| namespace.and_then(|annotations| annotations.get(name));
    let user = annotation(USERS).and_then(|range| last(range));
    let groups = annotation(GROUPS).or_else(|| annotation(USERS));
    let group = groups.and_then(|groups| {
        let ranges = groups.split(',').map(last).collect::<Option<Vec<_>>>()?;
        ranges.first().copied()
    });
    (user.unwrap_or(DEFAULT), group.unwrap_or(DEFAULT))
}

/// The last number of `start/size` or `start-end`.
fn last(range: &str) -> Option<i64> {
    if let Some((start, size)) = range.split_once('/') {
        let (start, size): (u32, u32) = (start.trim().parse().ok()?, size.trim().parse().ok()?);
        return start.checked_add(size.checked_sub(1)?).map(i64::from);
    }
    let (_, end) = range.split_once('-')?;
    end.trim().parse::<u32>().ok().map(i64::from)
}

/// Forgets the proxy's user and group if they are the application's: the platform gives all containers the
/// same, and the proxy must have another for its traffic not to be captured.
pub(crate) fn forget_platform_user(pod: &mut Json) {
    let user = |container: &Json| {
        container.get("securityContext").and_then(|context| context.get("runAsUser")?.as_i64())
    };
    let (mut proxy, mut application) = (0, 0);
    for container in parts::list(pod, CONTAINERS).iter().chain(parts::list(pod, INIT_CONTAINERS)) {
        match parts::text(container, "name") {
            PROXY => proxy = user(container).unwrap_or(proxy),
            "istio-validation" | "istio-init" => {}
            _ => application = user(container).unwrap_or(application),
        }
    }
    if proxy != application {
        return;
    }
    let context = parts::proxy_mut(pod).and_then(|proxy| proxy.get_mut("securityContext")?.as_object_mut());
    if let Some(context) = context {
        context.remove("runAsUser");
        context.remove("runAsGroup");
    }
}
