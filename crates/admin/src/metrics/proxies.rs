//! Metrics of what connected sidecars serve: both count proxies, as istiod does.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{ServiceTarget, Snapshot};
use model::{Proxy, ProxyKind};
use xds::ConnectionStatus;

use super::families::Families;
use super::names;
use super::remembered::{Counted, Remembered};
use crate::State;
use crate::debug::proxies;

/// What is wrong with what one proxy serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    /// It is a sidecar that no service leads to.
    is_unselected: bool,
    /// Two services lead to one port of it with different protocols.
    is_conflicting: bool,
}

pub(super) fn collect(state: &State, snapshot: &Snapshot, remembered: &Remembered, families: &mut Families) {
    let connections: Vec<_> = proxies(state).collect();
    let all = remembered.of_proxies(|known| count(snapshot, &connections, known));
    let unselected = all.iter().filter(|served| served.is_unselected).count();
    let conflicting = all.iter().filter(|served| served.is_conflicting).count();
    families.put(names::NO_SERVICE, &[], unselected as f64);
    families.put(names::CONFLICT_INBOUND, &[], conflicting as f64);
}

/// Of each connection; those that are known are read once, and looked up once in each snapshot.
fn count(
    snapshot: &Snapshot,
    connections: &[ConnectionStatus],
    known: &mut BTreeMap<Arc<str>, Counted>,
) -> Vec<Served> {
    let mut before = std::mem::take(known);
    for connection in connections {
        let who = &connection.who;
        let counted = match before.remove(&who.id) {
            Some(counted) if counted.generation == snapshot.generation => counted,
            Some(counted) => Counted::of(snapshot, counted.proxy),
            None => match push::proxy(&who.announced) {
                Ok(proxy) => Counted::of(snapshot, proxy),
                Err(_) => continue,
            },
        };
        known.insert(Arc::clone(&who.id), counted);
    }
    known.values().map(|counted| counted.served).collect()
}

impl Counted {
    fn of(snapshot: &Snapshot, proxy: Proxy) -> Self {
        let mut served = Served::default();
        if proxy.kind == ProxyKind::Sidecar {
            let targets = snapshot.targets(&proxy);
            served = Served { is_unselected: targets.is_empty(), is_conflicting: conflict(&targets) };
        }
        Self { proxy, generation: snapshot.generation, served }
    }
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

#[cfg(test)]
mod tests {
    use envoy_api::type_url;

    use super::*;
    use crate::testing::{Mesh, until};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_is_looked_up_once_in_each_snapshot() {
        let mesh = Mesh::small().await;
        let _client = mesh.client(&[(type_url::CLUSTER, &[])], &[]).await;
        until(|| proxies(&mesh.state).next().is_some()).await;
        let connections: Vec<_> = proxies(&mesh.state).collect();
        let (snapshot, mut known) = (mesh.state.snapshot(), BTreeMap::new());
        let unselected = Served { is_unselected: true, is_conflicting: false };
        assert_eq!(count(&snapshot, &connections, &mut known), [unselected]);
        let other = Served { is_unselected: false, is_conflicting: true };
        known.values_mut().for_each(|counted| counted.served = other);
        assert_eq!(count(&snapshot, &connections, &mut known), [other], "it is known");
        let next = snapshot.next(snapshot.config.clone());
        assert_eq!(count(&next, &connections, &mut known), [unselected]);
        assert!(count(&next, &[], &mut known).is_empty() && known.is_empty());
    }
}
