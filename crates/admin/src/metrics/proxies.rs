//! Metrics of what connected sidecars serve: both count proxies, as istiod does.

use mesh::ServiceTarget;
use model::ProxyKind;

use super::families::Families;
use super::names;
use crate::State;
use crate::debug::proxies;

pub(super) fn collect(state: &State, families: &mut Families) {
    let snapshot = state.snapshot();
    let (mut unselected, mut conflicting) = (0_u64, 0_u64);
    for connection in proxies(state) {
        let Ok(proxy) = push::proxy(&connection.who.announced) else { continue };
        if proxy.kind == ProxyKind::Sidecar {
            let targets = snapshot.targets(&proxy);
            unselected += u64::from(targets.is_empty());
            conflicting += u64::from(conflict(&targets));
        }
    }
    families.put(names::NO_SERVICE, &[], unselected as f64);
    families.put(names::CONFLICT_INBOUND, &[], conflicting as f64);
}

/// Whether two services lead to one port of the workload with different protocols; the older one wins.
fn conflict(targets: &[ServiceTarget]) -> bool {
    targets.iter().enumerate().any(|(at, target)| {
        let mut before = targets.iter().take(at);
        let first = before.find(|one| one.target_port == target.target_port);
        first.is_some_and(|first| {
            first.port.protocol != target.port.protocol && first.service.host != target.service.host
        })
    })
}
